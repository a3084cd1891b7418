-- Version 3: what the messages say, for searching. The words are cut by us (words.ts): neither the
-- server's dictionaries nor its collations take part.

-- Of each message that is not deleted the words, joined by blanks; null until they are made.
CREATE TABLE words (
  room text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  text text COLLATE "C",
  PRIMARY KEY (room, seq)
);
INSERT INTO words SELECT room, seq FROM messages WHERE kind = 'message' AND NOT deleted;
CREATE INDEX words_to_make ON words (room, seq) WHERE text IS NULL;

-- A word's key names its room, so that no search ever looks at what is said in another.
-- New keys wait in a list that is merged at 1 MiB: merged one by one they cost more than all else
-- of an append, at the usual 4 MiB some append takes half a second.
CREATE FUNCTION hearth_keys(room text, words text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT array_to_tsvector(string_to_array(
    room || '/' || replace(words, ' ', ' ' || room || '/'), ' '))
$$;
CREATE INDEX words_by_key ON words USING gin (hearth_keys(room, text))
  WITH (gin_pending_list_limit = 1024);

-- The newest matches of a room, below a seq, the newest first. What is common is found among the
-- newest, what is rare by its keys.
CREATE FUNCTION hearth_search(place text, below bigint, most int, patterns text[], keys tsquery)
RETURNS SETOF bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
  newest CONSTANT int := 2000;
  looked int;
  found bigint[];
BEGIN
  SELECT count(*), array_agg(seq ORDER BY seq DESC)
      FILTER (WHERE ' ' || text || ' ' LIKE ALL (patterns))
    INTO looked, found
    FROM (SELECT seq, text FROM words WHERE room = place AND seq < below
      ORDER BY seq DESC LIMIT newest) AS near;
  IF looked < newest OR cardinality(found) >= most THEN
    RETURN QUERY SELECT unnest(found[1:most]);
  ELSE
    RETURN QUERY SELECT * FROM hearth_search_all(place, below, most, patterns, keys);
  END IF;
END $$;

-- Its second half, whose settings leave no other way than by the keys: the plan must not hang on
-- statistics.
CREATE FUNCTION hearth_search_all(place text, below bigint, most int, patterns text[], keys tsquery)
RETURNS SETOF bigint LANGUAGE sql STABLE
SET enable_bitmapscan = on SET enable_indexscan = off SET enable_indexonlyscan = off
SET enable_seqscan = off AS $$
  SELECT seq FROM words
  WHERE hearth_keys(room, text) @@ keys AND ' ' || text || ' ' LIKE ALL (patterns)
    AND room || '' = place AND seq + 0 < below
  ORDER BY seq DESC LIMIT most
$$;

-- Appends drafts, in their order and in the transaction of the caller. One row for each: what
-- became of it ('new', 'repeat', or why it was refused) and the entry there is (new: its seq).
-- As in version 1, and keeps the words; a draft of a node that knows none leaves them to be made.
CREATE OR REPLACE FUNCTION hearth_append(drafts jsonb, emoji_per_message int)
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
    moderates boolean, words text)
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
        IF draft.kind = 'message' THEN
          INSERT INTO words VALUES (draft.room, next, draft.words);
        END IF;
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
      UPDATE words SET text = draft.words WHERE room = draft.room AND seq = draft.target;
    ELSIF outcome = 'new' AND draft.kind = 'delete' THEN
      UPDATE messages SET body = NULL, deleted = true
        WHERE room = draft.room AND seq = draft.target;
      UPDATE messages SET body = NULL, deleted = true
        WHERE room = draft.room AND target = draft.target AND kind = 'edit';
      DELETE FROM reactions WHERE room = draft.room AND target = draft.target;
      DELETE FROM words WHERE room = draft.room AND seq = draft.target;
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
