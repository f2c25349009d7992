CREATE TABLE city (
  country    TEXT    NOT NULL,
  no         INTEGER NOT NULL,
  name       TEXT    NOT NULL,
  region     TEXT,
  latitude   REAL    NOT NULL,
  longitude  REAL    NOT NULL,
  hemisphere TEXT,
  visits     INTEGER,
  changed_ms INTEGER NOT NULL,
  PRIMARY KEY (country, no)
);
