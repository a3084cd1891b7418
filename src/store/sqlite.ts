/** The SQLite file: opened by one server at a time, brought to the newest schema. */

import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { runtime } from '#runtime'
import type { Sqlite } from '../runtime/runtime.ts'
import { DatabaseError } from './log.ts'
import { WORDS_SCHEMA } from '../search/fts5.ts'

/** The file cannot be opened. */
export class DataFileError extends DatabaseError {}

export interface Database {
  readonly db: Sqlite
  readonly epoch: string
  /** A path, or `:memory:`. */
  readonly file: string
  /** Idempotent. */
  close(): void
}

/**
 * Of each connection that writes: FULL has every commit on disk, which is the promise; and without
 * `secure_delete` what was erased stays readable in the file's free pages.
 */
export const OF_WRITERS = 'PRAGMA synchronous = FULL; PRAGMA secure_delete = ON'

/**
 * @param file  a path, or `:memory:`
 * @throws {DataFileError} when the folder cannot be written, another server holds the file, or it
 *   was made by a newer Hearth
 */
export function openDatabase(file: string): Database {
  const release = file === ':memory:' ? () => {} : claim(file)
  let db: Sqlite | undefined
  try {
    db = runtime.openSqlite(file)
    // WAL lets backup tools read meanwhile.
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 2000; ${OF_WRITERS}`)
    migrate(db, file)
  } catch (error) {
    db?.close()
    release()
    throw error instanceof DataFileError ? error : new DataFileError(`${file}: ${reason(error)}`)
  }
  const { epoch } = db.prepare('SELECT epoch FROM meta LIMIT 1').get() as { epoch: string }
  const opened = db
  let isOpen = true
  const close = () => {
    if (!isOpen) return
    isOpen = false
    // Leaves one whole file behind, with nothing in the -wal beside it.
    opened.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    opened.close()
    release()
  }
  return { db, epoch, file, close }
}

/**
 * Holds an exclusive transaction on an empty database beside the file for as long as the process
 * lives: the system lets go of it however the process ends.
 * @returns lets go of it
 * @throws {DataFileError} when another one holds it, or the folder cannot be written
 */
export function claim(file: string): () => void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    for (const path of [file, `${file}.lock`]) makePrivate(path)
  } catch (error) {
    throw new DataFileError(`cannot write ${file}: ${reason(error)}`)
  }
  const lock = runtime.openSqlite(`${file}.lock`)
  try {
    lock.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE')
  } catch {
    lock.close()
    throw new DataFileError(`${file} is in use by another Hearth server`)
  }
  return () => lock.close()
}

/** The files beside it (-wal, -shm) take their mode from the database. */
function makePrivate(path: string) {
  closeSync(openSync(path, 'a', 0o600))
  chmodSync(path, 0o600)
}

/** One step per version; a step that was released is never changed. */
export const MIGRATIONS: readonly string[] = [
  `
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
  `,
  `
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
  `,
  WORDS_SCHEMA,
  `
  -- Up to which seq a room is in the index of words; one without a number was never in it.
  ALTER TABLE rooms ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
  UPDATE rooms SET indexed = head WHERE room IN (SELECT room FROM room_numbers);
  `,
  `
  -- Sessions that a tool ended beside the server, which looks at the newest of them. s
  CREATE TABLE revocations (
    at INTEGER NOT NULL DEFAULT (unixepoch()),
    session TEXT NOT NULL,
    banned INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (at, session)
  ) STRICT, WITHOUT ROWID;
  `,
]

/** Brings the tables to the newest version. @throws {DataFileError} for those of a newer one */
export function migrate(db: Sqlite, file: string) {
  const { user_version: version } = db.prepare('PRAGMA user_version').get() as {
    user_version: number
  }
  if (version > MIGRATIONS.length) {
    throw new DataFileError(`${file} was made by a newer Hearth; this one cannot read it`)
  }
  for (const [index, step] of MIGRATIONS.entries()) {
    if (index < version) continue
    transaction(db, () => {
      db.exec(step)
      db.exec(`PRAGMA user_version = ${index + 1}`)
    })
  }
}

/** Runs `work` in one transaction: all of it, or nothing when it throws. */
export function transaction<T>(db: Sqlite, work: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    db.exec('COMMIT')
    return result
  } catch (error) {
    rollback(db)
    throw error
  }
}

/** After some faults (a full disk) SQLite has rolled back by itself. */
function rollback(db: Sqlite) {
  try {
    db.exec('ROLLBACK')
  } catch {
    // There was nothing left to roll back.
  }
}

function reason(error: unknown) {
  return error instanceof Error ? error.message : String(error)
}
