-- What the database does by itself; made anew whenever the tables get a new version.

-- Locks rooms for an append, in one order, and makes those that are new. What is acknowledged is on
-- disk, whatever the server's default. A node that freezes between two statements holds up the others
-- for half a second. Plans made while the tables were small must not outlive that, and none is made
-- again for each batch, which would cost as much as a third of it.
CREATE OR REPLACE FUNCTION hearth_hold(names text[])
RETURNS TABLE (room text, head bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true), set_config('lock_timeout', '4s', true),
    set_config('idle_in_transaction_session_timeout', '500ms', true),
    set_config('enable_seqscan', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true);
  IF (SELECT count(*) FROM rooms WHERE room = ANY (names)) < cardinality(names) THEN
    INSERT INTO rooms (room) SELECT unnest(names) ORDER BY 1 ON CONFLICT DO NOTHING;
  END IF;
  RETURN QUERY SELECT room, head FROM rooms WHERE room = ANY (names)
    ORDER BY room FOR NO KEY UPDATE;
END $$;

-- As above, before lists of keys are looked up: one by one, whatever the planner thinks of a list.
CREATE OR REPLACE FUNCTION hearth_hold_to_look(names text[])
RETURNS TABLE (room text, head bigint) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('enable_material', 'off', true), set_config('enable_bitmapscan', 'off', true);
  RETURN QUERY SELECT * FROM hearth_hold(names);
END $$;

-- Appends messages that answer nothing, numbered from 1 in each room, and tells where the rooms stood
-- before. When some id is there already, nothing is stored and nothing told: what then becomes of
-- each is decided elsewhere.
CREATE OR REPLACE FUNCTION hearth_append_new(names text[], counts int[], drafts json,
  said_at timestamptz)
RETURNS TABLE (room text, head bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  held text[];
  heads bigint[];
BEGIN
  SELECT array_agg(room), array_agg(head) INTO held, heads FROM hearth_hold(names);
  BEGIN
    INSERT INTO messages (room, seq, id, kind, author_id, author_name, at, body, mentions, digest)
      SELECT room, head + seq, id, 'message', author_id, author_name, said_at, body, mentions, digest
      FROM json_to_recordset(drafts) AS draft (room text, seq int, id uuid, author_id uuid,
          author_name text, body text, mentions jsonb, digest text)
        JOIN unnest(held, heads) AS stood (room, head) USING (room);
    UPDATE rooms SET head = head + count FROM unnest(names, counts) AS added (room, count)
      WHERE rooms.room = added.room;
    RETURN QUERY SELECT * FROM unnest(held, heads);
  EXCEPTION WHEN unique_violation THEN
    RETURN;
  END;
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
