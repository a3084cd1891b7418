-- What the database does by itself; made anew whenever the tables get a new version.

-- Locks rooms for an append, in one order, and makes those that are new. What is acknowledged is on
-- disk, whatever the server's default. Plans made while the tables were small must not outlive that,
-- and none is made again for each batch, which would cost as much as a third of it.
CREATE OR REPLACE FUNCTION hearth_hold(names text[])
RETURNS TABLE (room text, head bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true), set_config('lock_timeout', '4s', true),
    set_config('enable_seqscan', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true);
  IF (SELECT count(*) FROM rooms WHERE room = ANY (names)) < cardinality(names) THEN
    INSERT INTO rooms (room) SELECT unnest(names) ORDER BY 1 ON CONFLICT DO NOTHING;
  END IF;
  RETURN QUERY SELECT room, head FROM rooms WHERE room = ANY (names)
    ORDER BY room FOR NO KEY UPDATE;
END $$;

-- Appends drafts, in their order and in the transaction of the caller. They are numbered already,
-- from 1 in each room, as if all were new and allowed. When they are, and none is a delete, they are
-- stored at once: one row for each room, 'all' and where it stood before. Else nothing of that is
-- left, and they are appended one by one.
CREATE OR REPLACE FUNCTION hearth_append_all(names text[], counts int[], drafts json,
  said_at timestamptz, emoji_per_message int)
RETURNS TABLE (outcome text, entry messages) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  held text[];
  heads bigint[];
  stored int;
  others messages[];
  other messages;
BEGIN
  SELECT array_agg(room), array_agg(head) INTO held, heads FROM hearth_hold(names);
  BEGIN
    WITH fresh AS (
      INSERT INTO messages (room, seq, id, kind, author_id, author_name, at, body, target,
          reply_to, mentions, emoji, is_on, digest)
        SELECT room, head + seq, id, coalesce(kind, 'message'), author_id, author_name, said_at,
          body, target, reply_to, mentions::jsonb, emoji, is_on = 1, digest
        FROM json_to_recordset(drafts) AS draft (
            room text, seq int, id uuid, kind text, author_id uuid, author_name text, body text,
            target bigint, reply_to bigint, mentions text, emoji text, is_on int, digest text)
          JOIN unnest(held, heads) AS place (room, head) USING (room)
        WHERE coalesce(target, reply_to) IS NULL OR EXISTS (
          SELECT FROM messages AS goal
          WHERE goal.room = draft.room AND goal.seq = coalesce(draft.target, draft.reply_to)
            AND goal.kind = 'message' AND CASE draft.kind
              WHEN 'message' THEN true
              WHEN 'edit' THEN NOT goal.deleted AND goal.author_id = draft.author_id
              WHEN 'reaction' THEN NOT goal.deleted
              ELSE false END)
        RETURNING kind, seq, CASE WHEN kind <> 'message' THEN messages END AS entry)
    SELECT count(*), array_agg(entry ORDER BY seq) FILTER (WHERE kind <> 'message')
      INTO stored, others FROM fresh;
    IF stored < (SELECT sum(count) FROM unnest(counts) AS count) THEN
      RAISE unique_violation;
    END IF;
    FOREACH other IN ARRAY coalesce(others, '{}') LOOP
      IF other.kind = 'edit' THEN
        UPDATE messages SET newest_edit = other.seq
          WHERE room = other.room AND seq = other.target;
      ELSIF NOT other.is_on THEN
        DELETE FROM reactions WHERE room = other.room AND target = other.target
          AND emoji = other.emoji AND author_id = other.author_id;
      ELSE
        INSERT INTO reactions
          VALUES (other.room, other.target, other.emoji, other.author_id, other.seq)
          ON CONFLICT DO NOTHING;
        IF (SELECT count(DISTINCT emoji) FROM reactions
          WHERE room = other.room AND target = other.target) > emoji_per_message
        THEN
          RAISE unique_violation;
        END IF;
      END IF;
    END LOOP;
    UPDATE rooms SET head = head + count FROM unnest(names, counts) AS added (room, count)
      WHERE rooms.room = added.room;
    FOR place IN 1 .. cardinality(held) LOOP
      outcome := 'all';
      entry.room := held[place];
      entry.seq := heads[place];
      RETURN NEXT;
    END LOOP;
  EXCEPTION WHEN unique_violation THEN
    RETURN QUERY SELECT * FROM hearth_append(
      (SELECT jsonb_agg(jsonb_build_object('kind', 'message', 'at', said_at) || value::jsonb)
        FROM json_array_elements(drafts)), emoji_per_message);
  END;
END $$;

-- Appends drafts one by one, in their order. One row for each: what became of it ('new', 'repeat',
-- or why it was refused) and the entry there is (new: its seq).
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
  SELECT array_agg(room), array_agg(head) INTO names, heads
    FROM hearth_hold(ARRAY(SELECT DISTINCT value ->> 'room' FROM jsonb_array_elements(drafts)));

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
      -- Who takes its words in now is waited for, and who does so later sees that it is deleted.
      INSERT INTO indexed AS i VALUES (draft.room, 0) ON CONFLICT (room) DO UPDATE SET seq = i.seq;
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

-- Keeps the words that were made of a room's messages, while it was indexed as far as `since`, and
-- that it now is as far as `up_to`. Does nothing when another node was faster. Returns how far it is.
CREATE OR REPLACE FUNCTION hearth_index(place text, since bigint, up_to bigint, seqs bigint[],
  texts text[])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  reached bigint;
BEGIN
  -- After a crash the words can be made again, but not without the number that says so.
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO indexed VALUES (place, 0) ON CONFLICT DO NOTHING;
  SELECT seq INTO reached FROM indexed WHERE room = place FOR UPDATE;
  IF reached <> since THEN
    RETURN reached;
  END IF;
  -- From here on nobody deletes, and this statement sees what was deleted before.
  INSERT INTO words
    SELECT place, made.seq, made.text FROM unnest(seqs, texts) AS made (seq, text)
    WHERE NOT (SELECT deleted FROM messages WHERE room = place AND seq = made.seq)
    ON CONFLICT (room, seq) DO UPDATE SET text = excluded.text;
  UPDATE indexed SET seq = up_to WHERE room = place;
  RETURN up_to;
END $$;

-- The newest matches of a room, below a seq, the newest first. What is common is found among the
-- newest, what is rare by its keys.
CREATE OR REPLACE FUNCTION hearth_search(place text, below bigint, most int, patterns text[],
  keys tsquery)
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
CREATE OR REPLACE FUNCTION hearth_search_all(place text, below bigint, most int, patterns text[],
  keys tsquery)
RETURNS SETOF bigint LANGUAGE sql STABLE
SET enable_bitmapscan = on SET enable_indexscan = off SET enable_indexonlyscan = off
SET enable_seqscan = off AS $$
  SELECT seq FROM words
  WHERE hearth_keys(room, text) @@ keys AND ' ' || text || ' ' LIKE ALL (patterns)
    AND room || '' = place AND seq + 0 < below
  ORDER BY seq DESC LIMIT most
$$;
