-- session
SET NAMES utf8mb4, sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO,NO_BACKSLASH_ESCAPES', time_zone = '+00:00', autocommit = 0, foreign_key_checks = 1, unique_checks = 1, innodb_lock_wait_timeout = 60, lock_wait_timeout = 60, tx_isolation = 'READ-COMMITTED', max_statement_time = 60, idle_transaction_timeout = 10, in_predicate_conversion_threshold = 0, a = 'x''y', b = 5;
-- upsert
INSERT INTO `db`.`peo``ple` (`id`, `na``me`, `seen`) VALUES (1,'it''s \','2030-02-01 10:30:45.5'),(1,'it''s \','2030-02-01 10:30:45.5') ON DUPLICATE KEY UPDATE `na``me` = VALUES(`na``me`), `seen` = VALUES(`seen`);
-- upsert of keys alone
INSERT INTO `db`.`peo``ple` (`id`) VALUES (1),(1) ON DUPLICATE KEY UPDATE `id` = `peo``ple`.`id`;
-- upsert where another index is unique
UPDATE (WITH r (c0, c1, c2) AS (VALUES (1,'it''s \','2030-02-01 10:30:45.5'),(1,'it''s \','2030-02-01 10:30:45.5')) SELECT * FROM r) AS v STRAIGHT_JOIN `db`.`peo``ple` AS t ON t.`id` = v.c0 SET t.`na``me` = v.c1, t.`seen` = v.c2;
INSERT INTO `db`.`peo``ple` (`id`, `na``me`, `seen`) SELECT v.c0, v.c1, v.c2 FROM (WITH r (c0, c1, c2) AS (VALUES (1,'it''s \','2030-02-01 10:30:45.5'),(1,'it''s \','2030-02-01 10:30:45.5')) SELECT * FROM r) AS v WHERE NOT EXISTS (SELECT 1 FROM `db`.`peo``ple` AS t WHERE t.`id` = v.c0);
-- upsert beside a numbered column
UPDATE (WITH r (c0, c1) AS (VALUES ('1','it''s \'),('1','it''s \')) SELECT * FROM r) AS v STRAIGHT_JOIN `db`.`peo``ple` AS t ON t.`na``me` = CONVERT(v.c0 USING utf8mb4) COLLATE utf8mb4_general_ci SET t.`seen` = v.c1;
INSERT INTO `db`.`peo``ple` (`na``me`, `seen`) SELECT v.c0, v.c1 FROM (WITH r (c0, c1) AS (VALUES ('1','it''s \'),('1','it''s \')) SELECT * FROM r) AS v WHERE NOT EXISTS (SELECT 1 FROM `db`.`peo``ple` AS t WHERE t.`na``me` = CONVERT(v.c0 USING utf8mb4) COLLATE utf8mb4_general_ci);
-- insert
INSERT INTO `db`.`peo``ple` (`id`, `na``me`) VALUES (1,'it''s \'),(1,'it''s \');
-- delete
DELETE FROM `db`.`peo``ple` WHERE `id` IN (1,1);
-- delete by two keys
DELETE FROM `db`.`peo``ple` WHERE (`id`, `na``me`) IN ((1,'it''s \'),(1,'it''s \'));
-- close
UPDATE `db`.`peo``ple` SET `seen` = (now() -- then
) WHERE `id` IN (1,1) AND (seen IS NULL
);
