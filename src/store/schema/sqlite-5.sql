-- Version 5: what a tool ended beside the server.

-- Sessions that a tool ended beside the server, which looks at the newest of them. s
CREATE TABLE revocations (
  at INTEGER NOT NULL DEFAULT (unixepoch()),
  session TEXT NOT NULL,
  banned INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (at, session)
) STRICT, WITHOUT ROWID;
