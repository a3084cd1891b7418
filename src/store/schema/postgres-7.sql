-- Version 7: what people see of their devices, members and invitations; which rule made the name keys.

-- Null: from before this version.
ALTER TABLE sessions ADD COLUMN made_at timestamptz;
-- The client address (IPv6: its /64) and the program, as it calls itself, that signed in.
ALTER TABLE sessions ADD COLUMN address text;
ALTER TABLE sessions ADD COLUMN agent text;
ALTER TABLE members ADD COLUMN since timestamptz;
-- Whether the first user who shows it uses it up.
ALTER TABLE invites ADD COLUMN once boolean NOT NULL DEFAULT false;
-- Who made it, and may own the room no more.
ALTER TABLE invites ADD COLUMN made_by uuid;
CREATE INDEX invites_by_maker ON invites (made_by) WHERE made_by IS NOT NULL;
-- The version of the rule by which users.name_key was made of users.name.
ALTER TABLE meta ADD COLUMN names text;
-- How many rooms a user owns is asked whenever one is made.
CREATE INDEX rooms_by_owner ON rooms (owner) WHERE owner IS NOT NULL;
-- A session that was added to others of its user, who must hear of it as of what ended.
ALTER TABLE revocations ADD COLUMN device text;
-- What is known of it, as in sessions: it may have ended before it is told.
ALTER TABLE revocations ADD COLUMN made_at timestamptz;
ALTER TABLE revocations ADD COLUMN address text;
ALTER TABLE revocations ADD COLUMN agent text;
-- What a name reads as in the case that it is written in, beside name_key, which knows no case.
ALTER TABLE users ADD COLUMN name_look text COLLATE "C" UNIQUE;
-- Of a user whose name another owns, who then owns none: what it would be owned by.
ALTER TABLE users ADD COLUMN shared_key text COLLATE "C";
ALTER TABLE users ADD COLUMN shared_look text COLLATE "C";
CREATE INDEX users_by_shared_key ON users (shared_key) WHERE shared_key IS NOT NULL;
CREATE INDEX users_by_shared_look ON users (shared_look) WHERE shared_look IS NOT NULL;
-- Names that a node of an earlier version gave away.
CREATE INDEX users_without_look ON users (id) WHERE name_key IS NOT NULL AND name_look IS NULL;
-- Who was in a private room. Times as in members.
CREATE TABLE past_members (
  room text COLLATE "C" NOT NULL,
  user_id uuid NOT NULL,
  since timestamptz,
  until timestamptz NOT NULL,
  PRIMARY KEY (room, user_id)
);
CREATE INDEX past_members_by_time ON past_members (until);
