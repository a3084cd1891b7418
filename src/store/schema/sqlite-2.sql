-- Version 2: private rooms, users whom another issuer vouches for, bans.

ALTER TABLE rooms ADD COLUMN owner TEXT;

-- Opens a private room to whoever shows it, until it is over or its room's are all revoked.
CREATE TABLE invites (
  hash TEXT PRIMARY KEY,
  room TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invites_by_room ON invites (room);

-- The issuer's name for a user, with the issuer's.
ALTER TABLE users ADD COLUMN subject TEXT;
CREATE UNIQUE INDEX users_by_subject ON users (subject);
ALTER TABLE users ADD COLUMN banned INTEGER NOT NULL DEFAULT 0;
