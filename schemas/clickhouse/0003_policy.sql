-- Models that run beside the one that counts. Every statement can be run again.

ALTER TABLE flows
    MODIFY COLUMN verdict_note LowCardinality(String) COMMENT 'why it is not scored, which list decided, what to mind of the score',
    MODIFY COLUMN schema_hash LowCardinality(String) COMMENT 'of the columns that the model uses, empty when not scored',
    ADD COLUMN IF NOT EXISTS shadow Array(Tuple(
        model_id String,
        margin Nullable(Float64),
        score Nullable(Float64),
        verdict String)) COMMENT 'what models say that are watched and never alert' CODEC(ZSTD(1)) AFTER reasons;

ALTER TABLE feature_vectors
    MODIFY COLUMN schema_hash LowCardinality(String) COMMENT 'of all columns of the vector, in its order';

CREATE OR REPLACE VIEW flows_latest AS
SELECT * FROM flows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;
