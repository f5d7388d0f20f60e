-- Dead letters that were put back on their topic. Every statement can be run again.

CREATE TABLE IF NOT EXISTS dead_letter_replays
(
    id FixedString(16) COMMENT 'of the dead letter, as dead_letters_latest has it',
    replayed DateTime64(3, 'UTC') COMMENT 'when its record was put back'
)
ENGINE = ReplacingMergeTree(replayed)
ORDER BY id
TTL toDateTime(replayed) + INTERVAL 90 DAY;

-- A letter is named by what it was made from: the same record given up again is the
-- same letter.
CREATE OR REPLACE VIEW dead_letters_latest AS
SELECT letters.*, replays.replayed AS replayed
FROM
(
    SELECT lower(hex(sipHash64(stage, topic, partition, offset, time, key))) AS id, *
    FROM dead_letters FINAL
) AS letters
LEFT JOIN (SELECT toString(id) AS id, max(replayed) AS replayed FROM dead_letter_replays GROUP BY id) AS replays ON letters.id = replays.id;
