-- What a reason's value belongs to and what is usual; notes that hold values. The names of
-- files and tables are as in the first migration; every statement can be run again.

ALTER TABLE flows
    MODIFY COLUMN verdict_note String COMMENT 'why it is not scored, which list decided, what to mind of the score' CODEC(ZSTD(1)),
    MODIFY COLUMN reasons Array(Tuple(
        code String,
        text String,
        value Nullable(Float64),
        contribution Float64,
        attack String,
        feature String,
        usual Array(Float64))) COMMENT 'strongest first; value is that of the column feature, usual its 5 % and 95 % quantiles in benign training traffic' CODEC(ZSTD(1));

CREATE OR REPLACE VIEW flows_latest AS
SELECT * FROM flows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;
