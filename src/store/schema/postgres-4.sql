-- Version 4: the index of words follows the log instead of being written with it.

-- The seq up to which a room's entries are in `words`; a table of its own, as who takes them in must
-- not hold up who appends. Whoever deletes a message locks its room's row first.
CREATE TABLE indexed (
  room text COLLATE "C" PRIMARY KEY,
  seq bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO indexed
  SELECT room, coalesce((SELECT min(seq) - 1 FROM words
    WHERE words.room = rooms.room AND text IS NULL), head) FROM rooms;
DELETE FROM words WHERE text IS NULL;
DROP INDEX words_to_make;
