-- Flows, feature vectors and dead letters.
--
-- Every statement can be run again: a migration that was interrupted is simply
-- started anew. Tables belong to the database the connection chose.

-- One row per flow. A flow that is still open is reported again and again, and a
-- replay inserts everything once more: rows with the same sorting key collapse to
-- the one with the highest part, so the key must be the same for all reports of a
-- flow. That holds for ts (the flow's first packet) and flow_id; and because a
-- later report may know better who the client is, the two addresses are in the key
-- without their roles. Until parts are merged both rows are there: read
-- flows_latest, or use FINAL.
--
-- Sorted by hour, then by the pair of hosts: a host's flows of an hour lie
-- together, and the indexes on client_ip and server_ip skip the rest.
CREATE TABLE IF NOT EXISTS flows
(
    source LowCardinality(String) COMMENT 'file as given, or sensor:interface',
    flow_id FixedString(32) COMMENT 'deterministic: the same packets are the same flow',
    part UInt32 COMMENT 'report of the flow; the highest replaces the others',
    final Bool COMMENT 'the flow has ended',
    ts DateTime64(9, 'UTC') COMMENT 'first packet' CODEC(Delta(8), ZSTD(1)),
    ts_end DateTime64(9, 'UTC') COMMENT 'last packet' CODEC(Delta(8), ZSTD(1)),
    proto LowCardinality(String) COMMENT 'tcp, udp, icmp and so on',
    app_proto LowCardinality(String) COMMENT 'tls, dtls, quic, dns, http, ssh, or empty',
    client_ip String COMMENT 'as text' CODEC(ZSTD(1)),
    client_port UInt16 CODEC(ZSTD(1)),
    server_ip String COMMENT 'as text' CODEC(ZSTD(1)),
    server_port UInt16 CODEC(ZSTD(1)),
    vlan Array(UInt16) COMMENT 'outer first',
    tunnel LowCardinality(String) COMMENT 'encapsulation',
    rtt Nullable(Float64) COMMENT 'handshake round trip, s; NULL when not observed' CODEC(ZSTD(1)),
    retrans_c2s UInt64 COMMENT 'retransmitted packets' CODEC(T64, ZSTD(1)),
    retrans_s2c UInt64 COMMENT 'retransmitted packets' CODEC(T64, ZSTD(1)),
    gaps UInt64 COMMENT 'bytes missing in the reassembled part' CODEC(T64, ZSTD(1)),
    truncated Bool COMMENT 'a packet was cut by the snap length',
    packets_c2s UInt64 CODEC(T64, ZSTD(1)),
    packets_s2c UInt64 CODEC(T64, ZSTD(1)),
    bytes_c2s UInt64 COMMENT 'from the IP header on' CODEC(T64, ZSTD(1)),
    bytes_s2c UInt64 COMMENT 'from the IP header on' CODEC(T64, ZSTD(1)),
    payload_c2s UInt64 COMMENT 'bytes of transport payload' CODEC(T64, ZSTD(1)),
    payload_s2c UInt64 COMMENT 'bytes of transport payload' CODEC(T64, ZSTD(1)),
    end_reason LowCardinality(String) COMMENT 'fin, rst, idle, evicted, reuse, done, eof, or active while it goes on',
    splt Array(Tuple(length Int32, delta Float64)) COMMENT 'first data packets: payload bytes, negative from the server; s since the one before' CODEC(ZSTD(1)),
    entropy_c2s Nullable(Float64) COMMENT 'bits per byte' CODEC(ZSTD(1)),
    entropy_s2c Nullable(Float64) COMMENT 'bits per byte' CODEC(ZSTD(1)),
    byte_dist Array(UInt32) COMMENT '256 counts of both directions, or none' CODEC(ZSTD(1)),
    tls_version LowCardinality(String),
    tls_cipher LowCardinality(String),
    tls_sni String CODEC(ZSTD(1)),
    tls_alpn LowCardinality(String),
    tls_resumed Bool,
    tls_established Bool,
    tls_incomplete Bool,
    tls_ech Bool,
    starttls LowCardinality(String) COMMENT 'protocol that came before TLS',
    quic_version LowCardinality(String),
    tls_client_ciphers Array(UInt16) COMMENT 'wire order, GREASE kept' CODEC(ZSTD(1)),
    tls_client_extensions Array(UInt16) CODEC(ZSTD(1)),
    tls_server_extensions Array(UInt16) CODEC(ZSTD(1)),
    tls_key_bits UInt32 CODEC(ZSTD(1)),
    ja3 String CODEC(ZSTD(1)),
    ja3s LowCardinality(String),
    ja4 LowCardinality(String),
    cert_chain Array(Tuple(
        sha1 String,
        sha256 String,
        subject String,
        issuer String,
        serial String,
        not_before String,
        not_after String,
        sans Array(String),
        key_type String,
        key_bits UInt32,
        signature String,
        self_signed Bool)) COMMENT 'leaf first; the dates are RFC 3339, for X.509 dates go further than DateTime64' CODEC(ZSTD(1)),
    dns Tuple(
        queries Array(Tuple(name String, type String)),
        answers Array(Tuple(name String, type String, ttl UInt32, data String)),
        rcode String,
        age Nullable(Float64)) COMMENT 'of a TLS flow: the answer that led here, age s before' CODEC(ZSTD(1)),
    http Tuple(
        requests Array(Tuple(method String, target String, host String, user_agent String, version String, headers Array(Tuple(name String, value String)))),
        responses Array(Tuple(status UInt16, version String, server String, headers Array(Tuple(name String, value String))))) CODEC(ZSTD(1)),
    hassh LowCardinality(String),
    community_id String CODEC(ZSTD(1)),
    score Nullable(Float64) COMMENT 'calibrated probability, NULL when not scored' CODEC(ZSTD(1)),
    verdict Enum8('unscored' = 0, 'benign' = 1, 'suspicious' = 2, 'malicious' = 3),
    verdict_note LowCardinality(String),
    margin Nullable(Float64) COMMENT 'raw model output, NULL when not scored' CODEC(ZSTD(1)),
    model_id LowCardinality(String),
    schema_hash LowCardinality(String),
    reasons Array(Tuple(code String, text String, value Nullable(Float64), contribution Float64, attack String)) CODEC(ZSTD(1)),
    ingested DateTime DEFAULT now() COMMENT 'when the row was inserted; it is kept from then on' CODEC(Delta(4), ZSTD(1)),
    INDEX client_ip client_ip TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX server_ip server_ip TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX flow_id flow_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX tls_sni tls_sni TYPE bloom_filter(0.01) GRANULARITY 2,
    INDEX verdict verdict TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(part)
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (toStartOfHour(ts), least(client_ip, server_ip))
ORDER BY (toStartOfHour(ts), least(client_ip, server_ip), greatest(client_ip, server_ip), ts, flow_id)
TTL ingested + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW flows_latest AS
SELECT * FROM flows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- What the model saw, to score it again. Collapses as flows does.
CREATE TABLE IF NOT EXISTS feature_vectors
(
    flow_id FixedString(32),
    ts DateTime64(9, 'UTC') COMMENT 'first packet of the flow' CODEC(Delta(8), ZSTD(1)),
    part UInt32,
    schema_hash LowCardinality(String),
    vector Array(Float32) COMMENT 'in the order of the schema; NaN is not observed' CODEC(ZSTD(1)),
    ingested DateTime DEFAULT now() CODEC(Delta(4), ZSTD(1)),
    INDEX flow_id flow_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(part)
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (toStartOfHour(ts))
ORDER BY (toStartOfHour(ts), ts, flow_id)
TTL ingested + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

-- Records that a stage gave up. The same record given up again is the same row.
CREATE TABLE IF NOT EXISTS dead_letters
(
    stage LowCardinality(String) COMMENT 'which stage gave up',
    error String COMMENT 'why' CODEC(ZSTD(1)),
    topic LowCardinality(String) COMMENT 'where the record came from',
    partition Int32,
    offset Int64 CODEC(Delta(8), ZSTD(1)),
    time DateTime64(9, 'UTC') COMMENT 'of the record' CODEC(Delta(8), ZSTD(1)),
    failed DateTime64(9, 'UTC') COMMENT 'when it was given up' CODEC(Delta(8), ZSTD(1)),
    key String COMMENT 'of the record: 16 bytes of flow_id, if it was ours',
    value String COMMENT 'its first bytes' CODEC(ZSTD(3)),
    value_bytes UInt64 COMMENT 'length of the whole value',
    headers Array(Tuple(key String, value String)) CODEC(ZSTD(1)),
    ingested DateTime DEFAULT now() CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree(failed)
ORDER BY (stage, topic, partition, offset, time)
TTL ingested + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW dead_letters_latest AS
SELECT * FROM dead_letters FINAL;
