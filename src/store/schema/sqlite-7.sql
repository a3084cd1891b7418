-- Version 7: what people see of their devices, members and invitations; which rule made the name keys.

-- Times are milliseconds; null: from before this version.
ALTER TABLE sessions ADD COLUMN made_at INTEGER;
-- The client address (IPv6: its /64) and the program, as it calls itself, that signed in.
ALTER TABLE sessions ADD COLUMN address TEXT;
ALTER TABLE sessions ADD COLUMN agent TEXT;
ALTER TABLE members ADD COLUMN since INTEGER;
-- Whether the first user who shows it uses it up.
ALTER TABLE invites ADD COLUMN once INTEGER NOT NULL DEFAULT 0;
-- Who made it, and may own the room no more.
ALTER TABLE invites ADD COLUMN made_by TEXT;
CREATE INDEX invites_by_maker ON invites (made_by) WHERE made_by IS NOT NULL;
-- The version of the rule by which users.name_key was made of users.name.
ALTER TABLE meta ADD COLUMN names TEXT;
-- How many rooms a user owns is asked whenever one is made.
CREATE INDEX rooms_by_owner ON rooms (owner) WHERE owner IS NOT NULL;
-- A session that was added to others of its user, who must hear of it as of what ended.
ALTER TABLE revocations ADD COLUMN device TEXT;
-- What is known of it, as in sessions: it may have ended before it is told.
ALTER TABLE revocations ADD COLUMN made_at INTEGER;
ALTER TABLE revocations ADD COLUMN address TEXT;
ALTER TABLE revocations ADD COLUMN agent TEXT;
-- What a name reads as in the case that it is written in, beside name_key, which knows no case.
ALTER TABLE users ADD COLUMN name_look TEXT;
CREATE UNIQUE INDEX users_by_look ON users (name_look);
-- Of a user whose name another owns, who then owns none: what it would be owned by.
ALTER TABLE users ADD COLUMN shared_key TEXT;
ALTER TABLE users ADD COLUMN shared_look TEXT;
CREATE INDEX users_by_shared_key ON users (shared_key) WHERE shared_key IS NOT NULL;
CREATE INDEX users_by_shared_look ON users (shared_look) WHERE shared_look IS NOT NULL;
-- Names that a node of an earlier version gave away.
CREATE INDEX users_without_look ON users (id) WHERE name_key IS NOT NULL AND name_look IS NULL;
-- Who was in a private room. Times as in members.
CREATE TABLE past_members (
  room TEXT NOT NULL,
  user_id TEXT NOT NULL,
  since INTEGER,
  until INTEGER NOT NULL,
  PRIMARY KEY (room, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX past_members_by_time ON past_members (until);
