-- Version 1 of the tables in Postgres: as SQLite's, and what many nodes share beside them.
-- Rooms, names and hashes are compared by their bytes ("C"), as in SQLite.

CREATE TABLE rooms (
  room text COLLATE "C" PRIMARY KEY,
  head bigint NOT NULL DEFAULT 0,
  floor bigint NOT NULL DEFAULT 0,
  private boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

CREATE TABLE members (
  room text COLLATE "C" NOT NULL,
  user_id uuid NOT NULL,
  read bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (room, user_id)
);
CREATE INDEX members_by_user ON members (user_id, room);

-- Every entry of every room, whatever its kind. An erased one is deleted and has no body.
CREATE TABLE messages (
  room text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  id uuid NOT NULL,
  kind text NOT NULL,
  author_id uuid NOT NULL,
  author_name text NOT NULL,
  at timestamptz NOT NULL,
  body text,
  target bigint,
  reply_to bigint,
  mentions jsonb,
  emoji text COLLATE "C",
  is_on boolean,
  deleted boolean NOT NULL DEFAULT false,
  newest_edit bigint,
  digest text COLLATE "C" NOT NULL,
  PRIMARY KEY (room, seq),
  UNIQUE (room, author_id, id)
);
CREATE INDEX messages_only ON messages (room, seq, author_id) WHERE kind = 'message';
CREATE INDEX edits_by_target ON messages (room, target) WHERE kind = 'edit';

-- The reactions that are on now: what the entries of kind reaction come to.
CREATE TABLE reactions (
  room text COLLATE "C" NOT NULL,
  target bigint NOT NULL,
  emoji text COLLATE "C" NOT NULL,
  author_id uuid NOT NULL,
  seq bigint NOT NULL,
  PRIMARY KEY (room, target, emoji, author_id)
);

CREATE TABLE users (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  name_key text COLLATE "C" UNIQUE,
  kind text NOT NULL
);

CREATE TABLE sessions (
  hash text COLLATE "C" PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id),
  role text NOT NULL,
  seen_at timestamptz NOT NULL,
  expires_at timestamptz
);
CREATE INDEX sessions_by_user ON sessions (user_id);

-- A session that ended, or a membership: every node looks at the newest of them.
CREATE TABLE revocations (
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  session text,
  room text COLLATE "C",
  user_id uuid
);
CREATE INDEX revocations_by_time ON revocations (at);

-- These three are empty after a crash of Postgres, and may be.
CREATE UNLOGGED TABLE tickets (
  hash text COLLATE "C" PRIMARY KEY,
  kind text NOT NULL,
  user_id uuid NOT NULL,
  session text NOT NULL,
  address text,
  expires_at timestamptz NOT NULL
);
CREATE INDEX tickets_by_end ON tickets (expires_at);
CREATE UNLOGGED TABLE nodes (
  node uuid PRIMARY KEY,
  seen_at timestamptz NOT NULL,
  is_mute boolean NOT NULL
);
CREATE UNLOGGED TABLE presence (
  node uuid NOT NULL,
  room text COLLATE "C" NOT NULL,
  user_id uuid NOT NULL,
  name text NOT NULL,
  PRIMARY KEY (node, room, user_id)
);
CREATE INDEX presence_by_room ON presence (room);
