-- begin
SET XACT_ABORT OFF; SET IMPLICIT_TRANSACTIONS OFF; SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN TRANSACTION

-- savepoint
SAVE TRANSACTION slipstream

-- back to it
IF XACT_STATE() = 1 ROLLBACK TRANSACTION slipstream; SELECT XACT_STATE()

-- roll back
IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION

-- commit
COMMIT TRANSACTION

-- create positions
CREATE TABLE [slipstream_position] (
  [source] nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL, [pipeline] nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL, [job] nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL, [connection] nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL,
  [layout] bigint NOT NULL, [shard] nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL, [partition] bigint NOT NULL,
  [incarnation] nvarchar(200) NULL, [last_id] varchar(50) NOT NULL DEFAULT '0-0', [last_side_id] varchar(50) NOT NULL DEFAULT '0-0',
  [epoch] bigint NOT NULL, [state] nvarchar(max) NULL, [owner] nvarchar(200) NOT NULL DEFAULT N'',
  [updated_at] datetime2(3) NOT NULL DEFAULT SYSUTCDATETIME(),
  PRIMARY KEY NONCLUSTERED ([pipeline], [job], [connection], [layout], [shard], [partition]));

-- raise the epoch
UPDATE [slipstream_position] SET [epoch] = [epoch] + 1, [owner] = @p8, [updated_at] = SYSUTCDATETIME()
WHERE [pipeline] = @p2 AND [job] = @p3 AND [connection] = @p4 AND [layout] = @p5 AND [shard] = @p6 AND [partition] = @p7 AND [source] = @p1
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000), @p5 bigint, @p6 nvarchar(4000), @p7 bigint, @p8 nvarchar(4000)

-- or begin with 1
INSERT INTO [slipstream_position] ([source], [pipeline], [job], [connection], [layout], [shard], [partition], [epoch], [owner])
SELECT @p1, @p2, @p3, @p4, @p5, @p6, @p7, 1, @p8
WHERE NOT EXISTS (SELECT 1 FROM [slipstream_position] WITH (UPDLOCK, HOLDLOCK) WHERE [pipeline] = @p2 AND [job] = @p3 AND [connection] = @p4 AND [layout] = @p5 AND [shard] = @p6 AND [partition] = @p7)
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000), @p5 bigint, @p6 nvarchar(4000), @p7 bigint, @p8 nvarchar(4000)

-- read the position
SELECT [source], [epoch], [last_id], [last_side_id], [incarnation], [state] FROM [slipstream_position]
WHERE [pipeline] = @p2 AND [job] = @p3 AND [connection] = @p4 AND [layout] = @p5 AND [shard] = @p6 AND [partition] = @p7 AND @p1 IS NOT NULL
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000), @p5 bigint, @p6 nvarchar(4000), @p7 bigint

-- move the position
UPDATE [slipstream_position] SET [last_id] = @p11, [last_side_id] = @p12,
  [incarnation] = COALESCE(@p13, [incarnation]), [state] = COALESCE(@p14, [state]), [updated_at] = SYSUTCDATETIME()
WHERE [pipeline] = @p2 AND [job] = @p3 AND [connection] = @p4 AND [layout] = @p5 AND [shard] = @p6 AND [partition] = @p7 AND [source] = @p1 AND [epoch] = @p8 AND [last_id] = @p9 AND [last_side_id] = @p10
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000), @p5 bigint, @p6 nvarchar(4000), @p7 bigint, @p8 bigint, @p9 varchar(50), @p10 varchar(50), @p11 varchar(50), @p12 varchar(50), @p13 nvarchar(4000), @p14 nvarchar(max)

-- create the row index
CREATE TABLE [ops].[the index] (
  [pipeline] nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL, [job] nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL, [connection] nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL, [output] nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL,
  [row_hash] varbinary(32) NOT NULL, [owner_hash] varbinary(32) NOT NULL, [row_key] varbinary(max) NOT NULL,
  [redis_key] varbinary(max) NOT NULL, [last_ms] bigint NOT NULL, [last_seq] bigint NOT NULL, [before] varbinary(max) NULL,
  PRIMARY KEY NONCLUSTERED ([pipeline], [job], [connection], [output], [row_hash]));
CREATE INDEX [the index_owner] ON [ops].[the index] ([owner_hash]);

-- look for it
SELECT TOP (0) [pipeline], [job], [connection], [output], [row_hash], [owner_hash], [row_key], [redis_key], [last_ms], [last_seq], [before] FROM [ops].[the index]

-- lock and read entries
UPDATE [ops].[the index] SET [last_seq] = [last_seq]
OUTPUT inserted.[row_key], inserted.[redis_key], inserted.[last_ms], inserted.[last_seq]
WHERE [pipeline] = @p1 AND [job] = @p2 AND [connection] = @p3 AND [output] = @p4 AND [owner_hash] IN (@p5, @p6)
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000), @p5 varbinary(32), @p6 varbinary(32)

-- read images
SELECT [redis_key], [before] FROM [ops].[the index] WHERE [pipeline] = @p1 AND [job] = @p2 AND [connection] = @p3 AND [output] = @p4
AND [owner_hash] IN (@p5, @p6) AND [before] IS NOT NULL ORDER BY [last_ms], [last_seq]
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000), @p5 varbinary(32), @p6 varbinary(32)

-- remove entries
DELETE FROM [ops].[the index] WHERE [pipeline] = @p1 AND [job] = @p2 AND [connection] = @p3 AND [output] = @p4 AND [row_hash] IN (@p5, @p6)
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000), @p5 varbinary(32), @p6 varbinary(32)

-- store entries
UPDATE t SET [owner_hash] = s.o, [redis_key] = s.k, [last_ms] = s.m, [last_seq] = s.q, [before] = s.b
FROM [ops].[the index] AS t WITH (UPDLOCK, HOLDLOCK) INNER JOIN (VALUES (@p5, @p6, @p7, @p8, @p9, @p10, @p11), (@p12, @p13, @p14, @p15, @p16, @p17, @p18)) AS s(h, o, r, k, m, q, b) ON t.[row_hash] = s.h
WHERE t.[pipeline] = @p1 AND t.[job] = @p2 AND t.[connection] = @p3 AND t.[output] = @p4;
INSERT INTO [ops].[the index] ([pipeline], [job], [connection], [output], [row_hash], [owner_hash], [row_key], [redis_key], [last_ms], [last_seq], [before])
SELECT @p1, @p2, @p3, @p4, s.h, s.o, s.r, s.k, s.m, s.q, s.b FROM (VALUES (@p5, @p6, @p7, @p8, @p9, @p10, @p11), (@p12, @p13, @p14, @p15, @p16, @p17, @p18)) AS s(h, o, r, k, m, q, b)
WHERE NOT EXISTS (SELECT 1 FROM [ops].[the index] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[pipeline] = @p1 AND t.[job] = @p2 AND t.[connection] = @p3
  AND t.[output] = @p4 AND t.[row_hash] = s.h);
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000), @p5 varbinary(32), @p6 varbinary(32), @p7 varbinary(max), @p8 varbinary(max), @p9 bigint, @p10 bigint, @p11 varbinary(max), @p12 varbinary(32), @p13 varbinary(32), @p14 varbinary(max), @p15 varbinary(max), @p16 bigint, @p17 bigint, @p18 varbinary(max)

