-- server, choice 1
SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)), CAST(SERVERPROPERTY('Collation') AS nvarchar(128)),
  CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS nvarchar(128)), CAST(SERVERPROPERTY('EngineEdition') AS int),
  CAST(SERVERPROPERTY('BabelfishVersion') AS nvarchar(128))

-- tables, choice 1
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, SCHEMA_NAME() FROM INFORMATION_SCHEMA.TABLES
WHERE LOWER(TABLE_NAME) = LOWER(@p1) AND (@p2 = N'' OR LOWER(TABLE_SCHEMA) = LOWER(@p2))

-- columns, choice 1
SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE, CASE WHEN COLUMN_DEFAULT IS NULL THEN 0 ELSE 1 END,
  COALESCE(CHARACTER_MAXIMUM_LENGTH, 0), COALESCE(NUMERIC_PRECISION, 0), COALESCE(NUMERIC_SCALE, 0), COALESCE(DATETIME_PRECISION, 0),
  COALESCE(COLLATION_NAME, N'')
FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = @p1 AND TABLE_NAME = @p2 ORDER BY ORDINAL_POSITION

-- what the server fills in, choice 1
SELECT c.name, c.is_identity, c.is_computed, CASE WHEN c.default_object_id = 0 THEN 0 ELSE 1 END, c.generated_always_type
FROM sys.columns AS c WHERE c.object_id = OBJECT_ID(@p1)

-- what the server fills in, choice 2
SELECT c.name, c.is_identity, c.is_computed, CASE WHEN c.default_object_id = 0 THEN 0 ELSE 1 END, 0
FROM sys.columns AS c WHERE c.object_id = OBJECT_ID(@p1)

-- what the server fills in, choice 3
SELECT COLUMN_NAME, COALESCE(COLUMNPROPERTY(OBJECT_ID(@p1), COLUMN_NAME, 'IsIdentity'), 0),
  COALESCE(COLUMNPROPERTY(OBJECT_ID(@p1), COLUMN_NAME, 'IsComputed'), 0), 0, 0
FROM INFORMATION_SCHEMA.COLUMNS WHERE OBJECT_ID(QUOTENAME(TABLE_SCHEMA) + N'.' + QUOTENAME(TABLE_NAME)) = OBJECT_ID(@p1)

-- unique indexes, choice 1
SELECT i.name, c.name, i.ignore_dup_key FROM sys.indexes AS i
JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id
JOIN sys.columns AS c ON c.object_id = k.object_id AND c.column_id = k.column_id
WHERE i.object_id = OBJECT_ID(@p1) AND i.is_unique = 1 AND i.has_filter = 0 AND i.is_disabled = 0 AND k.is_included_column = 0
ORDER BY i.index_id, k.key_ordinal

-- unique indexes, choice 2
SELECT k.CONSTRAINT_NAME, k.COLUMN_NAME, 0 FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS AS t
JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE AS k ON k.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = t.CONSTRAINT_NAME
WHERE t.CONSTRAINT_TYPE IN ('PRIMARY KEY', 'UNIQUE') AND LOWER(QUOTENAME(t.TABLE_SCHEMA) + N'.' + QUOTENAME(t.TABLE_NAME)) = LOWER(@p1)
  AND k.TABLE_NAME = t.TABLE_NAME ORDER BY k.CONSTRAINT_NAME, k.ORDINAL_POSITION

-- foreign keys, choice 1
SELECT COUNT(*) FROM sys.foreign_keys AS f WHERE f.parent_object_id = OBJECT_ID(@p1) OR f.referenced_object_id = OBJECT_ID(@p1)

-- foreign keys, choice 2
SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS WHERE CONSTRAINT_TYPE = 'FOREIGN KEY'

-- CHECK constraints, choice 1
SELECT k.name FROM sys.check_constraints AS k WHERE k.parent_object_id = OBJECT_ID(@p1)

-- CHECK constraints, choice 2
SELECT CONSTRAINT_NAME FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS
WHERE CONSTRAINT_TYPE = 'CHECK' AND LOWER(QUOTENAME(TABLE_SCHEMA) + N'.' + QUOTENAME(TABLE_NAME)) = LOWER(@p1)

-- triggers in place of writes, choice 1
SELECT COUNT(*) FROM sys.triggers AS g WHERE g.parent_id = OBJECT_ID(@p1) AND g.is_instead_of_trigger = 1 AND g.is_disabled = 0

-- grants, choice 1
SELECT HAS_PERMS_BY_NAME(@p1, 'OBJECT', 'SELECT'), HAS_PERMS_BY_NAME(@p1, 'OBJECT', 'INSERT'),
  HAS_PERMS_BY_NAME(@p1, 'OBJECT', 'UPDATE'), HAS_PERMS_BY_NAME(@p1, 'OBJECT', 'DELETE'), HAS_PERMS_BY_NAME(@p1, 'OBJECT', 'ALTER')

-- code page of a collation, choice 1
SELECT COALESCE(CAST(COLLATIONPROPERTY(@p1, 'CodePage') AS int), 0)

-- may create, choice 1
SELECT HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'CREATE TABLE'), HAS_PERMS_BY_NAME(QUOTENAME(COALESCE(NULLIF(@p1, N''), SCHEMA_NAME())), 'SCHEMA', 'ALTER')

-- takes writes, choice 1
SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(60))

