-- Version 2: private rooms, users whom another issuer vouches for, bans.

ALTER TABLE rooms ADD COLUMN owner uuid;

-- Opens a private room to whoever shows it, until it is over or its room's are all revoked.
CREATE TABLE invites (
  hash text COLLATE "C" PRIMARY KEY,
  room text COLLATE "C" NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX invites_by_room ON invites (room);

-- The issuer's name for a user, with the issuer's.
ALTER TABLE users ADD COLUMN subject text COLLATE "C" UNIQUE;
ALTER TABLE users ADD COLUMN banned boolean NOT NULL DEFAULT false;
ALTER TABLE revocations ADD COLUMN banned boolean NOT NULL DEFAULT false;
