-- Version 3: what the messages say, for searching. A word stands there behind the number of its room,
-- so that no search ever looks at what is said in another; a row's id is room and seq, so that the
-- newest come first. The words are cut by us, so the tokenizer only has to leave them whole. What is
-- deleted must be gone, and not only marked as such (secure-delete).
CREATE TABLE room_numbers (number INTEGER PRIMARY KEY, room TEXT NOT NULL UNIQUE) STRICT;
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = "ascii tokenchars '/'", columnsize = 0);
INSERT INTO words (words, rank) VALUES ('secure-delete', 1), ('automerge', 16);
