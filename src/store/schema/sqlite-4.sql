-- Version 4: how far a room is in the index of words.

-- Up to which seq a room is in the index of words; one without a number was never in it.
ALTER TABLE rooms ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
UPDATE rooms SET indexed = head WHERE room IN (SELECT room FROM room_numbers);
