-- Version 6: memberships that ended are told as well as sessions, and times are milliseconds.

ALTER TABLE revocations RENAME TO revocations_5;
CREATE TABLE revocations (
  at INTEGER NOT NULL,
  session TEXT,
  room TEXT,
  user_id TEXT,
  banned INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX revocations_by_time ON revocations (at);
INSERT INTO revocations (at, session, banned) SELECT at * 1000, session, banned FROM revocations_5;
DROP TABLE revocations_5;
