/** What is asked of a log to find what is wrong with it: statements, the same for both databases. */

/** The entries of a piece, after `$1, $2`, at most `$3`: no database has a choice of how to find them. */
const SOME = `(SELECT room, seq, kind, target, reply_to, deleted, newest_edit FROM messages
  WHERE (room, seq) > ($1, $2) ORDER BY room, seq LIMIT $3) AS entry`

/**
 * Questions about them: what is wrong, and where. What an entry is about is a subquery that gives one
 * value, and has all of an index: no statistics lead a database to look at whole rooms instead. (An
 * index of only some kinds is not named in passing, as by `kind = 'edit'`, for the same reason.)
 */
export const OF_ENTRIES = [
  [
    'is about a message that is not there',
    `SELECT room, seq FROM ${SOME} WHERE coalesce(target, reply_to)
         > (SELECT floor FROM rooms WHERE rooms.room = entry.room)
       AND (coalesce(target, reply_to) >= seq OR coalesce((SELECT kind FROM messages AS goal
         WHERE goal.room = entry.room AND goal.seq = coalesce(entry.target, entry.reply_to)), '')
         <> 'message')`,
  ],
  [
    'was deleted and is still there',
    `SELECT room, target AS seq FROM ${SOME} WHERE kind = 'delete' AND 0 <
       (SELECT count(*) FROM messages AS goal WHERE goal.room = entry.room
         AND goal.seq = entry.target AND NOT goal.deleted)
       + (SELECT count(*) FROM messages AS edit WHERE edit.room = entry.room
         AND edit.target = entry.target AND edit.kind = 'edit' AND NOT edit.deleted)`,
  ],
  [
    'does not read as its newest edit',
    `SELECT room, coalesce(target, seq) AS seq FROM ${SOME} WHERE CASE kind
       WHEN 'message' THEN newest_edit IS NOT NULL AND NOT deleted AND seq <> coalesce((
         SELECT CASE kind WHEN 'edit' THEN target END FROM messages AS edit
         WHERE edit.room = entry.room AND edit.seq = entry.newest_edit), 0)
       WHEN 'edit' THEN seq > (SELECT coalesce(newest_edit, 0) FROM messages AS goal
         WHERE goal.room = entry.room AND goal.seq = entry.target AND NOT goal.deleted) END`,
  ],
] as const

/**
 * The reactions that are on, from the entries: those since the last time it was taken back, of
 * messages that are there.
 */
export const REACTIONS = `
  SELECT room, target, emoji, author_id, min(seq) AS seq FROM (
    SELECT room, target, emoji, author_id, seq, is_on,
      max(CASE WHEN is_on THEN 0 ELSE seq END)
        OVER (PARTITION BY room, target, emoji, author_id) AS last_off
    FROM messages WHERE kind = 'reaction') AS said
  WHERE is_on AND seq > last_off AND (
    SELECT kind = 'message' AND NOT deleted FROM messages AS goal
    WHERE goal.room = said.room AND goal.seq = said.target)
  GROUP BY room, target, emoji, author_id`

const STORED = 'SELECT room, target AS seq, emoji, author_id, seq AS at FROM reactions'
const FOLDED = `SELECT room, target AS seq, emoji, author_id, seq AS at FROM (${REACTIONS}) AS folded`

/** Questions about all that is there: what is wrong, and where. */
export const OF_ALL = [
  ['has a reaction that nobody made', `${STORED} EXCEPT ${FOLDED}`],
  ['lacks a reaction that somebody made', `${FOLDED} EXCEPT ${STORED}`],
  [
    'is read further than it goes',
    'SELECT room, read AS seq FROM members JOIN rooms USING (room) WHERE read > head',
  ],
] as const
