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
