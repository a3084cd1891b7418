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

-- Appends drafts, in their order and in the transaction of the caller. One row for each: what
-- became of it ('new', 'repeat', or why it was refused) and the entry there is (new: its seq).
CREATE FUNCTION hearth_append(drafts jsonb, emoji_per_message int)
RETURNS TABLE (outcome text, entry messages) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  names text[];
  heads bigint[];
  place int;
  next bigint;
  draft record;
  goal messages;
BEGIN
  -- What is acknowledged is on disk, whatever the server's default. Plans made while the tables
  -- were small must not outlive that.
  PERFORM set_config('synchronous_commit', 'on', true), set_config('lock_timeout', '4s', true),
    set_config('enable_seqscan', 'off', true);
  INSERT INTO rooms (room)
    SELECT DISTINCT value ->> 'room' FROM jsonb_array_elements(drafts) ORDER BY 1
    ON CONFLICT DO NOTHING;
  SELECT array_agg(room), array_agg(head) INTO names, heads FROM (
    SELECT room, head FROM rooms
    WHERE room = ANY (ARRAY(SELECT value ->> 'room' FROM jsonb_array_elements(drafts)))
    ORDER BY room FOR NO KEY UPDATE) AS locked;

  FOR draft IN SELECT * FROM jsonb_to_recordset(drafts) AS one (
    room text, id uuid, kind text, author_id uuid, author_name text, at timestamptz, body text,
    target bigint, reply_to bigint, mentions text, emoji text, is_on int, digest text,
    moderates boolean)
  LOOP
    place := array_position(names, draft.room);
    next := heads[place] + 1;
    outcome := 'new';
    entry := NULL;
    IF draft.kind <> 'message' OR draft.reply_to IS NOT NULL THEN
      -- A repeat is one even when what it is about was deleted since.
      SELECT * INTO entry FROM messages
        WHERE room = draft.room AND author_id = draft.author_id AND id = draft.id;
      SELECT * INTO goal FROM messages
        WHERE room = draft.room AND seq = coalesce(draft.target, draft.reply_to)
          AND kind = 'message';
      outcome := CASE
        WHEN entry.seq IS NOT NULL THEN 'known'
        WHEN draft.kind = 'message' AND goal.seq IS NOT NULL THEN 'new'
        WHEN goal.seq IS NULL OR goal.deleted THEN 'not_found'
        WHEN draft.kind = 'reaction' THEN CASE
          WHEN draft.is_on = 0 OR EXISTS (SELECT 1 FROM reactions
            WHERE room = draft.room AND target = draft.target AND emoji = draft.emoji) THEN 'new'
          WHEN (SELECT count(DISTINCT emoji) FROM reactions
            WHERE room = draft.room AND target = draft.target) < emoji_per_message THEN 'new'
          ELSE 'too_many' END
        WHEN goal.author_id = draft.author_id THEN 'new'
        WHEN draft.kind = 'delete' AND draft.moderates THEN 'new'
        ELSE 'forbidden' END;
    END IF;
    IF outcome = 'new' THEN
      INSERT INTO messages (room, seq, id, kind, author_id, author_name, at, body, target,
          reply_to, mentions, emoji, is_on, digest)
        VALUES (draft.room, next, draft.id, draft.kind, draft.author_id, draft.author_name,
          draft.at, draft.body, draft.target, draft.reply_to, draft.mentions::jsonb, draft.emoji,
          draft.is_on = 1, draft.digest)
        ON CONFLICT (room, author_id, id) DO NOTHING;
      IF FOUND THEN
        heads[place] := next;
        entry.seq := next;
      ELSE
        outcome := 'known';
        SELECT * INTO entry FROM messages
          WHERE room = draft.room AND author_id = draft.author_id AND id = draft.id;
      END IF;
    END IF;
    IF outcome = 'known' THEN
      outcome := CASE entry.digest WHEN draft.digest THEN 'repeat' ELSE 'conflict' END;
    ELSIF outcome = 'new' AND draft.kind = 'edit' THEN
      UPDATE messages SET newest_edit = next WHERE room = draft.room AND seq = draft.target;
    ELSIF outcome = 'new' AND draft.kind = 'delete' THEN
      UPDATE messages SET body = NULL, deleted = true
        WHERE room = draft.room AND seq = draft.target;
      UPDATE messages SET body = NULL, deleted = true
        WHERE room = draft.room AND target = draft.target AND kind = 'edit';
      DELETE FROM reactions WHERE room = draft.room AND target = draft.target;
    ELSIF outcome = 'new' AND draft.kind = 'reaction' AND draft.is_on = 1 THEN
      INSERT INTO reactions VALUES (draft.room, draft.target, draft.emoji, draft.author_id, next)
        ON CONFLICT DO NOTHING;
    ELSIF outcome = 'new' AND draft.kind = 'reaction' THEN
      DELETE FROM reactions WHERE room = draft.room AND target = draft.target
        AND emoji = draft.emoji AND author_id = draft.author_id;
    END IF;
    RETURN NEXT;
  END LOOP;

  UPDATE rooms SET head = raised.head FROM unnest(names, heads) AS raised (room, head)
    WHERE rooms.room = raised.room AND rooms.head < raised.head;
END $$;
