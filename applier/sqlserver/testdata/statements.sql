-- a column of every type, from parameters
UPDATE t SET [c_tinyint] = CAST(s.c2 AS tinyint), [c_smallint] = CAST(s.c3 AS smallint), [c_int] = CAST(s.c4 AS int), [c_bigint] = s.c5, [c_bit] = s.c6, [c_real] = CAST(s.c7 AS real), [c_money] = CAST(s.c8 AS money), [c_smallmoney] = CAST(s.c9 AS smallmoney), [c_date] = CAST(s.c10 AS date), [c_datetime] = CAST(s.c11 AS datetime), [c_smalldatetime] = CAST(s.c12 AS smalldatetime), [c_uniqueidentifier] = CAST(s.c13 AS uniqueidentifier), [c_xml] = CAST(s.c14 AS xml), [c_sql_variant] = CAST(s.c15 AS nvarchar(4000)), [c_hierarchyid] = CAST(s.c16 AS [sys].[hierarchyid]), [c_geography] = CAST(s.c17 AS [sys].[geography]), [c_image] = s.c18, [c_sysname] = CAST(s.c19 AS nvarchar(4000)), [c_decimal] = CAST(s.c20 AS decimal(12,2)), [c_float] = s.c21, [c_time] = CAST(s.c22 AS time(3)), [c_datetime2] = CAST(s.c23 AS datetime2(7)), [c_datetimeoffset] = CAST(s.c24 AS datetimeoffset(0)), [c_char] = CAST(s.c25 AS varchar(8000)), [c_nchar] = CAST(s.c26 AS nvarchar(4000)), [c_text] = CAST(s.c27 AS varchar(max)), [c_ntext] = CAST(s.c28 AS nvarchar(max)), [c_binary] = CAST(s.c29 AS binary(4)), [c_varbinary] = CAST(s.c30 AS varbinary(8000)), [long] = CAST(s.c31 AS nvarchar(max)), [wide] = CAST(s.c32 AS varchar(8000)), [blob] = s.c33 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) INNER JOIN (VALUES (0, @p1, @p2, @p3, @p4, @p5, @p6, @p7, @p8, @p9, @p10, @p11, @p12, @p13, @p14, @p15, @p16, @p17, @p18, @p19, @p20, @p21, @p22, @p23, @p24, @p25, @p26, @p27, @p28, @p29, @p30, @p31, @p32, @p33, @p34)) AS s(n, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24, c25, c26, c27, c28, c29, c30, c31, c32, c33) ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000));
INSERT INTO [dbo].[odd ]]name] ([id], [part], [c_tinyint], [c_smallint], [c_int], [c_bigint], [c_bit], [c_real], [c_money], [c_smallmoney], [c_date], [c_datetime], [c_smalldatetime], [c_uniqueidentifier], [c_xml], [c_sql_variant], [c_hierarchyid], [c_geography], [c_image], [c_sysname], [c_decimal], [c_float], [c_time], [c_datetime2], [c_datetimeoffset], [c_char], [c_nchar], [c_text], [c_ntext], [c_binary], [c_varbinary], [long], [wide], [blob]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 AS nvarchar(4000)), CAST(s.c2 AS tinyint), CAST(s.c3 AS smallint), CAST(s.c4 AS int), s.c5, s.c6, CAST(s.c7 AS real), CAST(s.c8 AS money), CAST(s.c9 AS smallmoney), CAST(s.c10 AS date), CAST(s.c11 AS datetime), CAST(s.c12 AS smalldatetime), CAST(s.c13 AS uniqueidentifier), CAST(s.c14 AS xml), CAST(s.c15 AS nvarchar(4000)), CAST(s.c16 AS [sys].[hierarchyid]), CAST(s.c17 AS [sys].[geography]), s.c18, CAST(s.c19 AS nvarchar(4000)), CAST(s.c20 AS decimal(12,2)), s.c21, CAST(s.c22 AS time(3)), CAST(s.c23 AS datetime2(7)), CAST(s.c24 AS datetimeoffset(0)), CAST(s.c25 AS varchar(8000)), CAST(s.c26 AS nvarchar(4000)), CAST(s.c27 AS varchar(max)), CAST(s.c28 AS nvarchar(max)), CAST(s.c29 AS binary(4)), CAST(s.c30 AS varbinary(8000)), CAST(s.c31 AS nvarchar(max)), CAST(s.c32 AS varchar(8000)), s.c33 FROM (VALUES (0, @p1, @p2, @p3, @p4, @p5, @p6, @p7, @p8, @p9, @p10, @p11, @p12, @p13, @p14, @p15, @p16, @p17, @p18, @p19, @p20, @p21, @p22, @p23, @p24, @p25, @p26, @p27, @p28, @p29, @p30, @p31, @p32, @p33, @p34)) AS s(n, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24, c25, c26, c27, c28, c29, c30, c31, c32, c33) WHERE NOT EXISTS (SELECT 1 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000)));
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 bigint, @p4 bigint, @p5 bigint, @p6 bigint, @p7 bit, @p8 float, @p9 nvarchar(4000), @p10 nvarchar(4000), @p11 nvarchar(4000), @p12 nvarchar(4000), @p13 nvarchar(4000), @p14 nvarchar(4000), @p15 nvarchar(max), @p16 nvarchar(4000), @p17 nvarchar(4000), @p18 nvarchar(max), @p19 varbinary(max), @p20 nvarchar(4000), @p21 nvarchar(4000), @p22 float, @p23 nvarchar(4000), @p24 nvarchar(4000), @p25 nvarchar(4000), @p26 nvarchar(4000), @p27 nvarchar(4000), @p28 nvarchar(max), @p29 nvarchar(max), @p30 varbinary(8000), @p31 varbinary(8000), @p32 nvarchar(max), @p33 nvarchar(max), @p34 varbinary(max)

-- the temporary table that bulk copy fills
CREATE TABLE #slipstream_1 (n int NOT NULL, c0 nvarchar(4000) COLLATE Cyrillic_General_CI_AS NULL, c1 nvarchar(4000) COLLATE SQL_Latin1_General_CP1_CI_AS NULL, c2 bigint NULL, c3 bigint NULL, c4 bigint NULL, c5 bigint NULL, c6 bit NULL, c7 float NULL, c8 nvarchar(4000) NULL, c9 nvarchar(4000) NULL, c10 nvarchar(4000) NULL, c11 nvarchar(4000) NULL, c12 nvarchar(4000) NULL, c13 nvarchar(4000) NULL, c14 nvarchar(max) NULL, c15 nvarchar(4000) NULL, c16 nvarchar(4000) NULL, c17 nvarchar(max) NULL, c18 varbinary(max) NULL, c19 nvarchar(4000) NULL, c20 nvarchar(4000) NULL, c21 float NULL, c22 nvarchar(4000) NULL, c23 nvarchar(4000) NULL, c24 nvarchar(4000) NULL, c25 nvarchar(4000) COLLATE SQL_Latin1_General_CP1_CI_AS NULL, c26 nvarchar(4000) COLLATE SQL_Latin1_General_CP1_CI_AS NULL, c27 nvarchar(max) COLLATE SQL_Latin1_General_CP1_CI_AS NULL, c28 nvarchar(max) COLLATE SQL_Latin1_General_CP1_CI_AS NULL, c29 varbinary(8000) NULL, c30 varbinary(8000) NULL, c31 nvarchar(max) COLLATE SQL_Latin1_General_CP1_CI_AS NULL, c32 nvarchar(max) COLLATE SQL_Latin1_General_CP1_CI_AS NULL, c33 varbinary(max) NULL)

-- from the temporary table
UPDATE t SET [c_tinyint] = CAST(s.c2 AS tinyint), [c_smallint] = CAST(s.c3 AS smallint), [c_int] = CAST(s.c4 AS int), [c_bigint] = s.c5, [c_bit] = s.c6, [c_real] = CAST(s.c7 AS real), [c_money] = CAST(s.c8 AS money), [c_smallmoney] = CAST(s.c9 AS smallmoney), [c_date] = CAST(s.c10 AS date), [c_datetime] = CAST(s.c11 AS datetime), [c_smalldatetime] = CAST(s.c12 AS smalldatetime), [c_uniqueidentifier] = CAST(s.c13 AS uniqueidentifier), [c_xml] = CAST(s.c14 AS xml), [c_sql_variant] = CAST(s.c15 AS nvarchar(4000)), [c_hierarchyid] = CAST(s.c16 AS [sys].[hierarchyid]), [c_geography] = CAST(s.c17 AS [sys].[geography]), [c_image] = s.c18, [c_sysname] = CAST(s.c19 AS nvarchar(4000)), [c_decimal] = CAST(s.c20 AS decimal(12,2)), [c_float] = s.c21, [c_time] = CAST(s.c22 AS time(3)), [c_datetime2] = CAST(s.c23 AS datetime2(7)), [c_datetimeoffset] = CAST(s.c24 AS datetimeoffset(0)), [c_char] = CAST(s.c25 AS varchar(8000)), [c_nchar] = CAST(s.c26 AS nvarchar(4000)), [c_text] = CAST(s.c27 AS varchar(max)), [c_ntext] = CAST(s.c28 AS nvarchar(max)), [c_binary] = CAST(s.c29 AS binary(4)), [c_varbinary] = CAST(s.c30 AS varbinary(8000)), [long] = CAST(s.c31 AS nvarchar(max)), [wide] = CAST(s.c32 AS varchar(8000)), [blob] = s.c33 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) INNER JOIN #slipstream_1 AS s ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000));
INSERT INTO [dbo].[odd ]]name] ([id], [part], [c_tinyint], [c_smallint], [c_int], [c_bigint], [c_bit], [c_real], [c_money], [c_smallmoney], [c_date], [c_datetime], [c_smalldatetime], [c_uniqueidentifier], [c_xml], [c_sql_variant], [c_hierarchyid], [c_geography], [c_image], [c_sysname], [c_decimal], [c_float], [c_time], [c_datetime2], [c_datetimeoffset], [c_char], [c_nchar], [c_text], [c_ntext], [c_binary], [c_varbinary], [long], [wide], [blob]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 AS nvarchar(4000)), CAST(s.c2 AS tinyint), CAST(s.c3 AS smallint), CAST(s.c4 AS int), s.c5, s.c6, CAST(s.c7 AS real), CAST(s.c8 AS money), CAST(s.c9 AS smallmoney), CAST(s.c10 AS date), CAST(s.c11 AS datetime), CAST(s.c12 AS smalldatetime), CAST(s.c13 AS uniqueidentifier), CAST(s.c14 AS xml), CAST(s.c15 AS nvarchar(4000)), CAST(s.c16 AS [sys].[hierarchyid]), CAST(s.c17 AS [sys].[geography]), s.c18, CAST(s.c19 AS nvarchar(4000)), CAST(s.c20 AS decimal(12,2)), s.c21, CAST(s.c22 AS time(3)), CAST(s.c23 AS datetime2(7)), CAST(s.c24 AS datetimeoffset(0)), CAST(s.c25 AS varchar(8000)), CAST(s.c26 AS nvarchar(4000)), CAST(s.c27 AS varchar(max)), CAST(s.c28 AS nvarchar(max)), CAST(s.c29 AS binary(4)), CAST(s.c30 AS varbinary(8000)), CAST(s.c31 AS nvarchar(max)), CAST(s.c32 AS varchar(8000)), s.c33 FROM #slipstream_1 AS s WHERE NOT EXISTS (SELECT 1 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000)));

-- upsert from parameters
UPDATE t SET [c_int] = CAST(s.c2 AS int) FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) INNER JOIN (VALUES (0, @p1, @p2, @p3), (1, @p4, @p5, @p6)) AS s(n, c0, c1, c2) ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000));
INSERT INTO [dbo].[odd ]]name] ([id], [part], [c_int]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 AS nvarchar(4000)), CAST(s.c2 AS int) FROM (VALUES (0, @p1, @p2, @p3), (1, @p4, @p5, @p6)) AS s(n, c0, c1, c2) WHERE NOT EXISTS (SELECT 1 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000)));
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 bigint, @p4 nvarchar(4000), @p5 nvarchar(4000), @p6 bigint

-- upsert of keys alone from parameters
INSERT INTO [dbo].[odd ]]name] ([id], [part]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 AS nvarchar(4000)) FROM (VALUES (0, @p1, @p2), (1, @p3, @p4)) AS s(n, c0, c1) WHERE NOT EXISTS (SELECT 1 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000)));
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000)

-- insert from parameters
INSERT INTO [dbo].[odd ]]name] ([id], [part], [c_int]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 AS nvarchar(4000)), CAST(s.c2 AS int) FROM (VALUES (0, @p1, @p2, @p3), (1, @p4, @p5, @p6)) AS s(n, c0, c1, c2) ORDER BY s.n;
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 bigint, @p4 nvarchar(4000), @p5 nvarchar(4000), @p6 bigint

-- delete from parameters
DELETE t FROM [dbo].[odd ]]name] AS t INNER JOIN (VALUES (0, @p1, @p2), (1, @p3, @p4)) AS s(n, c0, c1) ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000));
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000)

-- prune from parameters
DELETE t FROM [dbo].[odd ]]name] AS t INNER JOIN (VALUES (0, @p1), (1, @p2)) AS s(n, c0) ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) WHERE NOT EXISTS (SELECT 1 FROM (VALUES (0, @p3, @p4)) AS k(n, c0, c1) WHERE t.[id] = CAST(k.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(k.c1 AS nvarchar(4000)));
-- with @p1 nvarchar(4000), @p2 nvarchar(4000), @p3 nvarchar(4000), @p4 nvarchar(4000)

-- upsert from a temporary table
UPDATE t SET [c_int] = CAST(s.c2 AS int) FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) INNER JOIN #slipstream_1 AS s ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000));
INSERT INTO [dbo].[odd ]]name] ([id], [part], [c_int]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 AS nvarchar(4000)), CAST(s.c2 AS int) FROM #slipstream_1 AS s WHERE NOT EXISTS (SELECT 1 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000)));

-- upsert of keys alone from a temporary table
INSERT INTO [dbo].[odd ]]name] ([id], [part]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 AS nvarchar(4000)) FROM #slipstream_1 AS s WHERE NOT EXISTS (SELECT 1 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000)));

-- insert from a temporary table
INSERT INTO [dbo].[odd ]]name] ([id], [part], [c_int]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 AS nvarchar(4000)), CAST(s.c2 AS int) FROM #slipstream_1 AS s ORDER BY s.n;

-- delete from a temporary table
DELETE t FROM [dbo].[odd ]]name] AS t INNER JOIN #slipstream_1 AS s ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 AS nvarchar(4000));

-- prune from a temporary table
DELETE t FROM [dbo].[odd ]]name] AS t INNER JOIN #slipstream_1 AS s ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) WHERE NOT EXISTS (SELECT 1 FROM #slipstream_2 AS k WHERE t.[id] = CAST(k.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(k.c1 AS nvarchar(4000)));

-- upsert from JSON
UPDATE t SET [c_int] = CAST(s.c2 AS int) FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) INNER JOIN OPENJSON(@p1) WITH (n int '$[0]', c0 nvarchar(4000) '$[1]', c1 nvarchar(4000) '$[2]', c2 bigint '$[3]') AS s ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 COLLATE SQL_Latin1_General_CP1_CI_AS AS nvarchar(4000));
INSERT INTO [dbo].[odd ]]name] ([id], [part], [c_int]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 COLLATE SQL_Latin1_General_CP1_CI_AS AS nvarchar(4000)), CAST(s.c2 AS int) FROM OPENJSON(@p1) WITH (n int '$[0]', c0 nvarchar(4000) '$[1]', c1 nvarchar(4000) '$[2]', c2 bigint '$[3]') AS s WHERE NOT EXISTS (SELECT 1 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 COLLATE SQL_Latin1_General_CP1_CI_AS AS nvarchar(4000)));
-- with @p1 nvarchar(max)

-- upsert of keys alone from JSON
INSERT INTO [dbo].[odd ]]name] ([id], [part]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 COLLATE SQL_Latin1_General_CP1_CI_AS AS nvarchar(4000)) FROM OPENJSON(@p1) WITH (n int '$[0]', c0 nvarchar(4000) '$[1]', c1 nvarchar(4000) '$[2]') AS s WHERE NOT EXISTS (SELECT 1 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 COLLATE SQL_Latin1_General_CP1_CI_AS AS nvarchar(4000)));
-- with @p1 nvarchar(max)

-- insert from JSON
INSERT INTO [dbo].[odd ]]name] ([id], [part], [c_int]) SELECT CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)), CAST(s.c1 COLLATE SQL_Latin1_General_CP1_CI_AS AS nvarchar(4000)), CAST(s.c2 AS int) FROM OPENJSON(@p1) WITH (n int '$[0]', c0 nvarchar(4000) '$[1]', c1 nvarchar(4000) '$[2]', c2 bigint '$[3]') AS s ORDER BY s.n;
-- with @p1 nvarchar(max)

-- delete from JSON
DELETE t FROM [dbo].[odd ]]name] AS t INNER JOIN OPENJSON(@p1) WITH (n int '$[0]', c0 nvarchar(4000) '$[1]', c1 nvarchar(4000) '$[2]') AS s ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(s.c1 COLLATE SQL_Latin1_General_CP1_CI_AS AS nvarchar(4000));
-- with @p1 nvarchar(max)

-- prune from JSON
DELETE t FROM [dbo].[odd ]]name] AS t INNER JOIN OPENJSON(@p1) WITH (n int '$[0]', c0 nvarchar(4000) '$[1]') AS s ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) WHERE NOT EXISTS (SELECT 1 FROM OPENJSON(@p2) WITH (n int '$[0]', c0 nvarchar(4000) '$[1]', c1 nvarchar(4000) '$[2]') AS k WHERE t.[id] = CAST(k.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND t.[part] = CAST(k.c1 COLLATE SQL_Latin1_General_CP1_CI_AS AS nvarchar(4000)));
-- with @p1 nvarchar(max), @p2 nvarchar(max)

-- prune of everything
DELETE t FROM [dbo].[odd ]]name] AS t INNER JOIN (VALUES (0, @p1)) AS s(n, c0) ON t.[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000));
-- with @p1 nvarchar(4000)

-- rows of defaults
INSERT INTO [dbo].[odd ]]name] DEFAULT VALUES;
INSERT INTO [dbo].[odd ]]name] DEFAULT VALUES;


-- close (TYPE2)
UPDATE [odd ]]name] SET [ended] = (SYSUTCDATETIME()
) FROM [dbo].[odd ]]name] AS [odd ]]name] WHERE EXISTS (SELECT 1 FROM (VALUES (0, @p1, @p2)) AS s(n, c0, c1) WHERE [odd ]]name].[id] = CAST(s.c0 COLLATE Cyrillic_General_CI_AS AS varchar(8000)) AND [odd ]]name].[part] = CAST(s.c1 AS nvarchar(4000))) AND (ended IS NULL
);
-- with @p1 nvarchar(4000), @p2 nvarchar(4000)

-- upsert by a column that the server numbers
UPDATE t SET [part] = CAST(s.c1 AS nvarchar(4000)) FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) INNER JOIN (VALUES (0, @p1, @p2)) AS s(n, c0, c1) ON t.[c_int] = CAST(s.c0 AS int);
SET IDENTITY_INSERT [dbo].[odd ]]name] ON;
INSERT INTO [dbo].[odd ]]name] ([c_int], [part]) SELECT CAST(s.c0 AS int), CAST(s.c1 AS nvarchar(4000)) FROM (VALUES (0, @p1, @p2)) AS s(n, c0, c1) WHERE NOT EXISTS (SELECT 1 FROM [dbo].[odd ]]name] AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.[c_int] = CAST(s.c0 AS int));
SET IDENTITY_INSERT [dbo].[odd ]]name] OFF;
-- with @p1 bigint, @p2 nvarchar(4000)

