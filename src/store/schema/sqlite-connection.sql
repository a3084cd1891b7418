-- Of the server's own connection, and gone with it: whoever has a ticket makes a new one for each try.

CREATE TEMP TABLE tickets (
  hash TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  user_id TEXT NOT NULL,
  session TEXT NOT NULL,
  address TEXT,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX temp.tickets_by_end ON tickets (expires_at);
