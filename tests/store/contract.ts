/** What every log promises, whichever database keeps it; each implementation runs all of it. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import type { Accounts } from '../../src/store/accounts.ts'
import type { Draft, Log, Outcome } from '../../src/store/log.ts'
import type { User } from '../../src/protocol.ts'
import { createRandom } from '../random.ts'
import { ann, bob, edit, erase, nthUser, react, say, tell, userId } from './drafts.ts'
import { comparable, fold, MemoryLog } from './model.ts'
import type { SearchedLog } from './opened.ts'
import { searchChecks } from './searches.ts'

export interface OpenedLog {
  log: SearchedLog
  /** Users and sessions beside it. */
  accounts: Accounts
  /** Closes it and opens the same data again. */
  reopen(): Promise<OpenedLog>
}

/** Opens an empty log, which is gone when the test is over. */
export type OpenLog = (t: TestContext) => Promise<OpenedLog>

const ALL = 100_000

/**
 * @param inside  a test that all of these are parts of; without it they stand for themselves
 */
export async function logContract(name: string, open: OpenLog, inside?: TestContext) {
  const checks: [string, (t: TestContext) => Promise<void>][] = []
  const check = (title: string, body: (opened: OpenedLog, t: TestContext) => Promise<void>) =>
    void checks.push([`${name}: ${title}`, async (t) => body(await open(t), t)])

  check('entries are numbered 1, 2, 3 … per room, in the order of the drafts', async ({ log }) => {
    const drafts = [say(ann, 'a'), say(bob, 'b', { room: 'garden' }), say(bob, 'c')]
    assert.deepEqual(tell(await log.append(drafts)), [1, 1, 2])
    assert.deepEqual(
      tell(await log.append([say(ann, 'd'), say(ann, 'e', { room: 'garden' })])),
      [3, 2],
    )
    assert.deepEqual(await log.append([]), [])
    assert.deepEqual(await bodies(log, 'lobby'), ['a', 'c', 'd'])
    assert.deepEqual(await bodies(log, 'garden'), ['b', 'e'])
  })

  check('what is appended reads as it was written', async ({ log }) => {
    const draft = say(ann, 'é 😀\n\t<b>', { mentions: [bob.id, ann.id] })
    const [first] = await log.append([draft, react(bob, 1, '👩🏽‍💻'), edit(ann, 1, 'new')])
    const { id } = draft
    const { at } = entryOf(first)
    assert.ok(!Number.isNaN(Date.parse(at)))
    const [message, reaction, edited] = await log.after('lobby', 0, ALL)
    const common = { type: 'message', room: 'lobby', seq: 1, id, author: ann, at } as const
    const body = 'é 😀\n\t<b>'
    assert.deepEqual(message, { ...common, kind: 'message', body, mentions: [bob.id, ann.id] })
    assert.deepEqual(entryOf(first), message)
    assert.ok(reaction?.kind === 'reaction' && reaction.on && reaction.emoji === '👩🏽‍💻')
    assert.ok(edited?.kind === 'edit' && edited.target === 1 && edited.body === 'new')
  })

  check('many appends at once leave no hole and no double', async ({ log }) => {
    const seed = 20260101
    const random = createRandom(seed)
    const batches = Array.from({ length: 60 }, () =>
      Array.from({ length: 1 + random.below(20) }, () =>
        say(nthUser(1 + random.below(5)), 'x', { room: random.pick(['a', 'b', 'c']) }),
      ),
    )
    const outcomes = (await Promise.all(batches.map((batch) => log.append(batch)))).flat()
    const drafts = batches.flat()
    for (const room of ['a', 'b', 'c']) {
      const entries = await log.after(room, 0, ALL)
      assert.deepEqual(
        entries.map(({ seq }) => seq),
        entries.map((_, index) => index + 1),
      )
      const told = outcomes.filter((outcome) => outcome.entry?.room === room)
      assert.equal(told.length, entries.length, `seed ${seed}`)
      for (const outcome of told) {
        const entry = entryOf(outcome)
        assert.equal(entries[entry.seq - 1]?.id, entry.id)
        assert.equal(entry.id, drafts[outcomes.indexOf(outcome)]?.id)
      }
    }
  })

  check(
    'a repeat is the entry that is there, in the same batch and in a later one',
    async ({ log }) => {
      const draft = say(ann, 'once', { mentions: [bob.id] })
      const again = { ...draft }
      assert.deepEqual(tell(await log.append([draft, again, say(bob)])), [1, 'repeat 1', 2])
      const [repeat] = await log.append([again])
      assert.deepEqual(tell([repeat!]), ['repeat 1'])
      assert.deepEqual(entryOf(repeat!), (await log.after('lobby', 0, 1))[0])
      assert.equal((await log.after('lobby', 0, ALL)).length, 2)
    },
  )

  check(
    'the same id with other content is a conflict; of another author or room it is new',
    async ({ log }) => {
      const id = userId(77)
      assert.deepEqual(tell(await log.append([say(ann, 'a', { id }), say(ann, 'b', { id })])), [
        1,
        'conflict',
      ])
      const others = [
        ...[say(ann, 'b', { id }), say(ann, 'a', { id, mentions: [bob.id] })],
        ...[
          say(ann, 'a', { id, replyTo: 1 }),
          edit(ann, 1, 'a', { id }),
          react(ann, 1, '👍', { id }),
        ],
      ]
      assert.deepEqual(
        tell(await log.append(others)),
        others.map(() => 'conflict'),
      )
      const elsewhere = [say(bob, 'a', { id }), say(ann, 'a', { id, room: 'garden' })]
      assert.deepEqual(tell(await log.append(elsewhere)), [2, 1])
    },
  )

  check('each part of the content tells two entries apart', async ({ log }) => {
    await log.append([say(ann), say(ann)])
    const pairs: [Draft, Draft][] = [
      [edit(ann, 1, 'a', { id: userId(1) }), edit(ann, 2, 'a', { id: userId(1) })],
      [edit(ann, 1, 'a', { id: userId(2) }), edit(ann, 1, 'b', { id: userId(2) })],
      [react(ann, 1, '👍', { id: userId(3) }), react(ann, 1, '👎', { id: userId(3) })],
      [react(ann, 1, '👍', { id: userId(4) }), react(ann, 1, '👍', { id: userId(4), on: false })],
    ]
    for (const pair of pairs) assert.equal(tell(await log.append(pair))[1], 'conflict')
  })

  check('a refused entry takes no number', async ({ log }) => {
    await log.append([say(ann), react(bob, 1)])
    const outcomes = await log.append([
      ...[say(ann, 'a', { replyTo: 9 }), edit(ann, 9), edit(bob, 1), erase(bob, 1), react(bob, 2)],
      ...[
        edit(ann, 2),
        erase(ann, 2),
        say(ann, 'b', { replyTo: 2 }),
        erase(bob, 9, { moderates: true }),
      ],
      say(ann, 'stored'),
    ])
    assert.deepEqual(tell(outcomes), [
      ...['not_found', 'not_found', 'forbidden', 'forbidden', 'not_found'],
      ...['not_found', 'not_found', 'not_found', 'not_found', 3],
    ])
    assert.equal((await log.page('lobby', 1)).head, 3)
  })

  check('a target of the same batch is found, of another room it is not', async ({ log }) => {
    const room = 'garden'
    const outcomes = await log.append([
      ...[say(ann), say(bob, 'yes', { replyTo: 1 }), edit(ann, 1), react(bob, 1)],
      ...[edit(ann, 1, 'x', { room }), erase(ann, 1, { room }), react(ann, 1, '👍', { room })],
    ])
    assert.deepEqual(tell(outcomes), [1, 2, 3, 4, 'not_found', 'not_found', 'not_found'])
  })

  check('a refused draft may come again, once what it needs is there', async ({ log }) => {
    const early = react(bob, 1)
    assert.deepEqual(tell(await log.append([early])), ['not_found'])
    assert.deepEqual(tell(await log.append([say(ann), early, early])), [1, 2, 'repeat 2'])
  })

  check('a batch with an entry that cannot be stored stores nothing', async ({ log }) => {
    const nameless = { ...say(ann), author: { id: ann.id, name: null as unknown as string } }
    await assert.rejects(log.append([say(ann), nameless, say(bob)]))
    assert.deepEqual(await log.after('lobby', 0, ALL), [])
    assert.deepEqual(tell(await log.append([say(ann), say(bob)])), [1, 2])
  })

  check('a delete takes the body and those of the edits with it, everywhere', async ({ log }) => {
    const first = say(ann, 'secret one')
    await log.append([first, say(ann, 'kept'), edit(ann, 1, 'secret two'), react(bob, 1)])
    const answer = await log.append([
      erase(ann, 1),
      edit(ann, 1),
      react(bob, 1),
      erase(ann, 1),
      first,
    ])
    assert.deepEqual(tell(answer), [5, 'not_found', 'not_found', 'not_found', 'repeat 1'])
    const entries = await log.after('lobby', 0, ALL)
    const page = await log.page('lobby', 50)
    assert.doesNotMatch(JSON.stringify([entries, page, answer]), /secret/)
    for (const seq of [1, 3]) {
      const entry = entries[seq - 1]!
      assert.ok('deleted' in entry && entry.deleted)
      assert.ok(!('body' in entry))
    }
    const [gone] = page.messages
    assert.deepEqual(
      [gone?.deleted, gone?.body, gone?.editedAt, gone?.reactions],
      [true, undefined, undefined, []],
    )
    assert.deepEqual(tell(await log.append([say(bob, 'about it', { replyTo: 1 })])), [6])
  })

  check('who moderates deletes what others wrote, and edits nothing', async ({ log }) => {
    await log.append([say(ann)])
    const moderates = true
    const outcomes = await log.append([
      edit(bob, 1, 'x', { moderates }),
      erase(bob, 1, { moderates }),
    ])
    assert.deepEqual(tell(outcomes), ['forbidden', 2])
  })

  check('a message takes 20 different emoji', async ({ log }) => {
    const emoji = [...'😀😁😂😃😄😅😆😇😈😉😊😋😌😍😎😏😐😑😒😓😔']
    await log.append([say(ann), ...emoji.slice(0, 20).map((one) => react(ann, 1, one))])
    const full = await log.append([react(bob, 1, emoji[20]), react(bob, 1, emoji[0])])
    assert.deepEqual(tell(full), ['too_many', 22])
    const freed = await log.append([
      react(ann, 1, emoji[1], { on: false }),
      react(bob, 1, emoji[20]),
    ])
    assert.deepEqual(tell(freed), [23, 24])
    const [message] = (await log.page('lobby', 1)).messages
    assert.equal(message?.reactions.length, 20)
  })

  check('a reaction names 100 users and counts them all', async ({ log }) => {
    const users = Array.from({ length: 103 }, (_, n) => nthUser(n))
    await log.append([say(ann), ...users.map((user) => react(user, 1))])
    const [reaction] = (await log.page('lobby', 1)).messages[0]!.reactions
    assert.equal(reaction?.count, 103)
    assert.deepEqual(
      reaction.users,
      users.slice(0, 100).map(({ id }) => id),
    )
  })

  check('after gives what comes after, ascending, as much as asked for', async ({ log }) => {
    await log.append(Array.from({ length: 30 }, (_, n) => say(ann, `${n + 1}`)))
    const seqs = async (after: number, limit: number) =>
      (await log.after('lobby', after, limit)).map(({ seq }) => seq)
    assert.deepEqual(await seqs(0, 3), [1, 2, 3])
    assert.deepEqual(await seqs(28, 10), [29, 30])
    assert.deepEqual(await seqs(30, 10), [])
    assert.deepEqual(await seqs(Number.MAX_SAFE_INTEGER, 10), [])
    assert.deepEqual(await log.after('nowhere', 0, 10), [])
  })

  check(
    'a page is the newest messages below a seq, and says whether there are more',
    async ({ log }) => {
      await log.append([1, 2, 3, 4, 5].map((n) => say(ann, `${n}`)))
      await log.append([react(bob, 2), edit(ann, 3, '3!'), say(ann, '8')])
      const page = async (limit: number, before?: number) => {
        const { head, messages, more } = await log.page('lobby', limit, before)
        return [head, messages.map(({ body }) => body).join(' '), more]
      }
      assert.deepEqual(await page(100), [8, '1 2 3! 4 5 8', false])
      assert.deepEqual(await page(6), [8, '1 2 3! 4 5 8', false])
      assert.deepEqual(await page(2), [8, '5 8', true])
      assert.deepEqual(await page(2, 5), [8, '3! 4', true])
      assert.deepEqual(await page(2, 3), [8, '1 2', false])
      assert.deepEqual(await page(2, 1), [8, '', false])
      assert.deepEqual(await page(0), [8, '', true])
      assert.deepEqual(await log.page('nowhere', 10), { head: 0, messages: [], more: false })
    },
  )

  check('stored entries say what their authors are, whoever wrote before', async (opened) => {
    const { log, accounts } = opened
    const guest = await signUp(opened, 'Ann')
    const until = new Date('2040-01-01')
    const admin = await accounts.addAdmin('Root', 'hash-1')
    const foreign = await accounts.addForeign('sub', 'Bob', 'hash-2', until)
    const nobody = nthUser(9)
    const users = [guest.user, admin!.user, foreign!.user, nobody]
    assert.deepEqual(
      users.map(({ kind }) => kind),
      [undefined, 'admin', 'foreign', undefined],
    )
    for (const turn of [1, 2]) {
      const body = `word${turn}`
      await log.append(users.map((user) => say({ id: user.id, name: `Was ${turn}` }, body)))
      const authors = users.map((user) => ({ ...user, name: `Was ${turn}` }))
      const since = (turn - 1) * users.length
      const pages = [
        await log.after('lobby', since, ALL),
        (await log.page('lobby', users.length)).messages,
        (await log.search('lobby', body, ALL)).messages,
        await log.after('lobby', since, ALL),
      ]
      for (const found of pages)
        assert.deepEqual(
          found.map(({ author }) => author),
          authors,
        )
    }
  })

  check('entering needs a session, makes a member, and says where the room is', async (opened) => {
    const { log } = opened
    const { user, hash } = await signUp(opened, 'Ann')
    const fresh = await log.enter('lobby', user.id, hash)
    const nothing = { head: 0, floor: 0, lastId: null, private: false, owner: false, ownerId: null }
    assert.deepEqual(fresh, { signedIn: true, allowed: true, ...nothing })
    const draft = say(user)
    await log.append([draft, say(user)])
    const back = await log.enter('lobby', user.id, hash, 1)
    assert.deepEqual([back.head, back.lastId], [2, draft.id])
    assert.equal((await log.enter('lobby', user.id, hash, 3)).lastId, null)
    assert.equal((await log.enter('lobby', user.id, hash, 0)).lastId, null)
    assert.deepEqual(
      (await log.rooms(user.id)).map(({ room }) => room),
      ['lobby'],
    )
  })

  check('without a session nobody enters, nor with that of another', async (opened) => {
    const { log } = opened
    const here = await signUp(opened, 'Ann')
    const other = await signUp(opened, 'Bob')
    for (const hash of ['unknown', other.hash, '']) {
      assert.equal((await log.enter('lobby', here.user.id, hash)).signedIn, false)
    }
    assert.deepEqual(await log.rooms(here.user.id), [])
    const session = await opened.accounts.session(here.hash)
    assert.ok(session)
    await opened.accounts.endSessions(session, false)
    assert.equal((await log.enter('lobby', here.user.id, here.hash)).signedIn, false)
  })

  check('leaving ends the membership; leaving again does nothing', async (opened) => {
    const { log } = opened
    const { user, hash } = await signUp(opened, 'Ann')
    for (const room of ['b', 'a', 'c']) await log.enter(room, user.id, hash)
    assert.deepEqual(
      (await log.rooms(user.id)).map(({ room }) => room),
      ['a', 'b', 'c'],
    )
    const some = async (after?: string, limit?: number) => {
      return (await log.rooms(user.id, after, limit)).map(({ room }) => room)
    }
    assert.deepEqual(await some(undefined, 2), ['a', 'b'])
    assert.deepEqual(await some('a', 1), ['b'])
    assert.deepEqual(await some('b'), ['c'])
    assert.deepEqual(await some('c', 2), [])
    await log.leave('a', user.id)
    await log.leave('a', user.id)
    await log.leave('nowhere', user.id)
    assert.deepEqual(
      (await log.rooms(user.id)).map(({ room }) => room),
      ['b', 'c'],
    )
  })

  check('unread are the messages of others above the read position', async (opened) => {
    const { log } = opened
    const { user, hash } = await signUp(opened, 'Ann')
    await log.enter('lobby', user.id, hash)
    const summary = async () => (await log.rooms(user.id))[0]
    const mentions = [user.id]
    await log.append([
      say(bob),
      say(user),
      react(bob, 1),
      edit(bob, 1),
      say(bob, 'x', { mentions }),
    ])
    const expected = { room: 'lobby', head: 5, read: 0, unread: 2, mentions: 1, private: false }
    assert.deepEqual(await summary(), expected)
    await log.saveReads([{ room: 'lobby', user: user.id, seq: 1 }])
    assert.deepEqual(await summary(), { ...expected, read: 1, unread: 1 })
    await log.append([erase(bob, 5)])
    assert.deepEqual(await summary(), { ...expected, head: 6, read: 1, unread: 0, mentions: 0 })
    await log.append(Array.from({ length: 120 }, () => say(bob)))
    assert.equal((await summary())?.unread, 100)
    // Whoever writes much and reads nothing is counted for among the newest alone.
    await log.append(Array.from({ length: 150 }, () => say(user)))
    assert.equal((await summary())?.unread, 50)
    await log.append(Array.from({ length: 50 }, () => say(user)))
    assert.equal((await summary())?.unread, 0)
    assert.equal(await log.roomCount(user.id), 1)
    assert.equal(await log.roomCount(bob.id), 0)
  })

  check('read positions go forward only, and no further than the head', async (opened) => {
    const { log } = opened
    const { user, hash } = await signUp(opened, 'Ann')
    await log.enter('lobby', user.id, hash)
    await log.append([say(bob), say(bob), say(bob)])
    const read = async (...seqs: number[]) => {
      await log.saveReads(seqs.map((seq) => ({ room: 'lobby', user: user.id, seq })))
      return (await log.rooms(user.id))[0]?.read
    }
    assert.equal(await read(2), 2)
    assert.equal(await read(1), 2)
    assert.equal(await read(1, 3, 2), 3)
    assert.equal(await read(99), 3)
    await log.saveReads([{ room: 'lobby', user: userId(9), seq: 1 }])
    assert.deepEqual(await log.rooms(userId(9)), [])
  })

  check('compare tells the head of a room and who is at a position', async ({ log }) => {
    const drafts = [say(ann), say(bob), say(ann, 'x', { room: 'garden' })]
    await log.append([...drafts, react(bob, 9, '👍', { room: 'cellar' })])
    const ids = drafts.map(({ id }) => id)
    const positions = (['lobby', 'garden', 'cellar', 'nowhere'] as const).map((room) => ({
      ...{ room, seq: 1 },
    }))
    const found = await log.compare([...positions, { room: 'lobby', seq: 3 }])
    assert.deepEqual(
      found.sort((a, b) => (a.room < b.room ? -1 : a.room > b.room ? 1 : b.id ? 1 : -1)),
      [
        { room: 'garden', head: 1, id: ids[2], owner: null },
        { room: 'lobby', head: 2, id: ids[0], owner: null },
        { room: 'lobby', head: 2, id: null, owner: null },
      ],
    )
    assert.deepEqual(await log.compare([{ room: 'lobby', seq: 0 }]), [
      { room: 'lobby', head: 2, id: null, owner: null },
    ])
    assert.deepEqual(await log.compare([]), [])
  })

  check('everything is there after it was closed and opened again', async (opened) => {
    const { user, hash } = await signUp(opened, 'Ann')
    await opened.log.enter('lobby', user.id, hash)
    const draft = say(user, 'one')
    await opened.log.append([
      draft,
      say(user, 'two'),
      edit(user, 1),
      erase(user, 2),
      react(user, 1),
    ])
    await opened.log.saveReads([{ room: 'lobby', user: user.id, seq: 2 }])
    const all = async (log: Log) => [
      ...[log.epoch, await log.after('lobby', 0, ALL), await log.page('lobby', 50)],
      await log.rooms(user.id),
    ]
    const before = await all(opened.log)
    const { log, accounts } = await opened.reopen()
    assert.deepEqual(await all(log), before)
    assert.deepEqual(tell(await log.append([draft, say(user)])), ['repeat 1', 6])
    assert.equal((await accounts.session(hash))?.user.id, user.id)
    assert.equal((await log.enter('lobby', user.id, hash, 1)).lastId, draft.id)
  })

  check('two logs have two epochs, and close twice', async ({ log }, t) => {
    const other = await open(t)
    assert.notEqual(log.epoch, other.log.epoch)
    await other.log.close()
    await other.log.close()
  })

  check(
    'whatever is said, edited, deleted and repeated reads as the model has it',
    async ({ log }) => {
      let run = 0
      const property = fc.asyncProperty(batchesOfActions, (batches) =>
        compareWithModel(log, batches, `run-${(run += 1)}`),
      )
      await fc.assert(property, { numRuns: 200 })
    },
  )

  for (const [title, body] of searchChecks) check(title, body)

  for (const [title, body] of checks) {
    if (inside) await inside.test(title, body)
    else void test(title, body)
  }
}

/* ------------------------------------------------------------------ the model */

/** What somebody does; `nth` points at an entry or an earlier draft, at times at none. */
interface Action {
  kind: 'say' | 'edit' | 'delete' | 'react' | 'repeat' | 'twist'
  user: number
  nth: number
  room: 'a' | 'b'
  emoji: string
  on: boolean
  body: string
}

const actions: fc.Arbitrary<Action> = fc.record({
  kind: fc.constantFrom('say', 'say', 'edit', 'delete', 'react', 'react', 'repeat', 'twist'),
  user: fc.integer({ min: 1, max: 3 }),
  nth: fc.nat(15),
  room: fc.constantFrom('a', 'a', 'b'),
  emoji: fc.constantFrom('👍', '🎉', '❤️'),
  on: fc.boolean(),
  body: fc.constantFrom('a', 'b', '😀'),
})

/** What some people do in two rooms, batch by batch. */
export const batchesOfActions = fc.array(fc.array(actions, { minLength: 1, maxLength: 8 }), {
  maxLength: 12,
  size: 'max',
})

/** @param earlier  all drafts before it; rooms begin with the prefix */
export function toDraft(action: Action, prefix: string, earlier: readonly Draft[]): Draft {
  const { kind, user, nth, emoji, on, body } = action
  const room = `${prefix}-${action.room}`
  const author = nthUser(user)
  const old = earlier[nth]
  if (kind === 'repeat' && old) return old
  if (kind === 'twist' && old)
    return say(old.author, `other ${body}`, { room: old.room, id: old.id })
  if (kind === 'edit') return edit(author, nth, body, { room })
  if (kind === 'delete') return erase(author, nth, { room, moderates: user === 1 })
  if (kind === 'react') return react(author, nth, emoji, { room, on })
  return say(author, body, { room, ...(on && nth > 0 && { replyTo: nth }) })
}

/** Appends the same to both, and compares every answer, and then every way of reading. */
async function compareWithModel(log: Log, batches: Action[][], prefix: string) {
  const model = new MemoryLog()
  const earlier: Draft[] = []
  for (const batch of batches) {
    const drafts = batch.map((action) => {
      const draft = toDraft(action, prefix, earlier)
      earlier.push(draft)
      return draft
    })
    const expected = await model.append(drafts)
    assert.deepEqual(tell(await log.append(drafts)), tell(expected))
  }
  for (const room of ['a', 'b'].map((letter) => `${prefix}-${letter}`)) {
    const entries = await log.after(room, 0, ALL)
    const page = await log.page(room, ALL)
    const timeless = entries.map((entry) => ({ ...entry, at: '' }))
    assert.deepEqual(
      timeless,
      model.entries(room).map((entry) => ({ ...entry, at: '' })),
    )
    assert.deepEqual(comparable(page.messages), comparable(fold(entries)))
    assert.deepEqual(comparable(page.messages), comparable(fold(model.entries(room))))
    assert.equal(page.head, entries.length)
  }
}

/* ------------------------------------------------------------------ small things */

async function signUp(
  { accounts }: OpenedLog,
  name: string,
): Promise<{ user: User; hash: string }> {
  const hash = crypto.randomUUID()
  const session = await accounts.addGuest(name, hash)
  assert.ok(session)
  return { user: session.user, hash }
}

async function bodies(log: Log, room: string) {
  return (await log.after(room, 0, ALL)).map((entry) => 'body' in entry && entry.body)
}

function entryOf({ entry }: Outcome = { code: 'not_found', message: '' }) {
  assert.ok(entry)
  return entry
}
