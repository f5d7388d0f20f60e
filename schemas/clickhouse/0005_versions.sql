-- Which row of a flow is shown depends on the rows alone, no longer on the order in
-- which they came: tables keep the highest version. And a row says where it has been.
--
-- The column that a ReplacingMergeTree goes by can not be altered. So there is a new
-- table, which takes the place of the old one at once, so that no insert is lost; then
-- what the old one shows is copied. Until that is done, what was there before is not
-- shown. A statement after a line that begins with "if:" is run only when the query
-- there says 1. All can be run again from the start, wherever it was interrupted.

ALTER TABLE flows
    ADD COLUMN IF NOT EXISTS trace Array(Tuple(
        stage LowCardinality(String),
        time DateTime64(6, 'UTC'),
        partition Int32,
        offset Int64)) COMMENT 'the stages it came through: when each handed it on, and where on the bus it had read it, -1 when it did not' CODEC(ZSTD(1)) AFTER shadow,
    ADD COLUMN IF NOT EXISTS version UInt128 DEFAULT bitOr(bitShiftLeft(toUInt128(part), 96), bitShiftLeft(toUInt128(toUnixTimestamp(ingested)) * 1000000, 32))
        COMMENT '32 bits of part, 64 of when it was made in µs, 32 of the content; the highest is shown' CODEC(ZSTD(1)) AFTER trace;

ALTER TABLE feature_vectors
    ADD COLUMN IF NOT EXISTS version UInt128 DEFAULT bitOr(bitShiftLeft(toUInt128(part), 96), bitShiftLeft(toUInt128(toUnixTimestamp(ingested)) * 1000000, 32))
        COMMENT 'as of flows' CODEC(ZSTD(1)) AFTER vector;

CREATE TABLE IF NOT EXISTS flows_0005 AS flows
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (toStartOfHour(ts), least(client_ip, server_ip))
ORDER BY (toStartOfHour(ts), least(client_ip, server_ip), greatest(client_ip, server_ip), ts, flow_id)
TTL ingested + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS feature_vectors_0005 AS feature_vectors
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (toStartOfHour(ts))
ORDER BY (toStartOfHour(ts), ts, flow_id)
TTL ingested + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

-- if: SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'flows' AND engine_full LIKE 'ReplacingMergeTree(part)%'
EXCHANGE TABLES flows AND flows_0005;

-- if: SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'feature_vectors' AND engine_full LIKE 'ReplacingMergeTree(part)%'
EXCHANGE TABLES feature_vectors AND feature_vectors_0005;

INSERT INTO flows SELECT * FROM flows_0005 FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1, max_partitions_per_insert_block = 0;

INSERT INTO feature_vectors SELECT * FROM feature_vectors_0005 FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1, max_partitions_per_insert_block = 0;

-- Two that migrate at once may have exchanged twice: then nothing is dropped, and the
-- next one ends it.
SELECT throwIf(count() != 2, 'others migrate at the same time: migrate again')
FROM system.tables WHERE database = currentDatabase() AND name IN ('flows', 'feature_vectors') AND engine_full LIKE 'ReplacingMergeTree(version)%';

DROP TABLE IF EXISTS flows_0005 SETTINGS max_table_size_to_drop = 0;

DROP TABLE IF EXISTS feature_vectors_0005 SETTINGS max_table_size_to_drop = 0;

CREATE OR REPLACE VIEW flows_latest AS
SELECT * FROM flows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW vectors_latest AS
SELECT * FROM feature_vectors FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;
