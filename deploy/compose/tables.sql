-- What the job of compose/pipeline writes to, in PostgreSQL and MariaDB alike.
CREATE TABLE emp (
	id INTEGER PRIMARY KEY,
	first_name VARCHAR(100),
	last_name VARCHAR(100),
	country_code VARCHAR(2)
);
