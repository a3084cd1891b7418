-- Version 1: rooms, the log, users and their sessions.

CREATE TABLE meta (epoch TEXT NOT NULL) STRICT;
INSERT INTO meta VALUES (lower(hex(randomblob(16))));

CREATE TABLE rooms (
  room TEXT PRIMARY KEY,
  head INTEGER NOT NULL DEFAULT 0,
  floor INTEGER NOT NULL DEFAULT 0,
  private INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
  room TEXT NOT NULL,
  user_id TEXT NOT NULL,
  read INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (room, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_id, room);

-- Every entry of every room, whatever its kind. An erased one has deleted = 1 and no body.
CREATE TABLE messages (
  room TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  author_id TEXT NOT NULL,
  author_name TEXT NOT NULL,
  at TEXT NOT NULL,
  body TEXT,
  target INTEGER,
  reply_to INTEGER,
  mentions TEXT,
  emoji TEXT,
  is_on INTEGER,
  deleted INTEGER NOT NULL DEFAULT 0,
  newest_edit INTEGER,
  digest TEXT NOT NULL,
  PRIMARY KEY (room, seq),
  UNIQUE (room, author_id, id)
) STRICT;
CREATE INDEX messages_only ON messages (room, seq, author_id) WHERE kind = 'message';
CREATE INDEX edits_by_target ON messages (room, target) WHERE kind = 'edit';

-- The reactions that are on now: what the entries of kind reaction come to.
CREATE TABLE reactions (
  room TEXT NOT NULL,
  target INTEGER NOT NULL,
  emoji TEXT NOT NULL,
  author_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (room, target, emoji, author_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  name_key TEXT UNIQUE,
  kind TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  hash TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  role TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  expires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);
