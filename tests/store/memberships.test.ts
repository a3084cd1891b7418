/** Private rooms in both databases: who owns one, who comes in, who must go. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { DEFAULT_LIMITS, type Limits } from '../../src/limits.ts'
import { createAccounts, type Accounts } from '../../src/store/accounts.ts'
import { openDataFile } from '../../src/store/file.ts'
import type { Log } from '../../src/store/log.ts'
import { createMemberships, type Memberships } from '../../src/store/memberships.ts'
import { openDatabase, startPostgres } from '../postgres.ts'
import { openLog } from './opened.ts'

const HOUR = 3_600_000

interface Opened {
  /** The same data, seen from two nodes where there can be two. */
  here: Memberships
  there: Memberships
  log: Log
  accounts: Accounts
  /** Ends every invitation there is, as time would. */
  expire(): Promise<void>
}

/** For who is in too many. */
const LIMITS = { ...DEFAULT_LIMITS, membershipsPerUser: 3, ownedPerUser: 2 }

const CHECKS: {
  title: string
  limits?: Limits
  check(opened: Opened & { people: string[] }): Promise<void>
}[] = [
  {
    title: 'who makes a private room owns it and is in it; nobody else is',
    check: async ({ here, there, log, people: [ann, bob] }) => {
      assert.equal(await here.create('den', ann!), true)
      assert.equal(await there.create('den', bob!), false)
      assert.equal(await here.create('den', ann!), false)
      const mine = { room: 'den', head: 0, read: 0, unread: 0, mentions: 0, private: true }
      assert.deepEqual(await log.rooms(ann!), [{ ...mine, owner: true }])
      assert.deepEqual(await log.rooms(bob!), [])
      const inside = await log.enter('den', ann!, ann!)
      assert.deepEqual([inside.allowed, inside.private, inside.owner], [true, true, true])
      const outside = await log.enter('den', bob!, bob!)
      assert.deepEqual([outside.allowed, outside.owner], [false, false])
      assert.deepEqual(await log.rooms(bob!), [])
    },
  },
  {
    title: 'an invitation says what it opens, as often as it is asked, while it is good',
    check: async ({ here, there, expire, people: [ann, bob] }) => {
      await here.create('den', ann!)
      await here.create('attic', ann!)
      const { invite } = (await here.invite('den', ann!, HOUR, true))!
      const ofBob = await there.look('den', bob!, invite)
      assert.deepEqual([ofBob?.owner?.id, ofBob?.members, ofBob?.isMember], [ann, 1, false])
      assert.deepEqual(await there.look('den', ann!, invite), { ...ofBob, isMember: true })
      assert.equal(await here.look('attic', bob!, invite), null)
      assert.equal(await here.look('den', bob!, 'x'.repeat(43)), null)
      assert.equal(await here.admit('den', bob!, invite), 'admitted', 'and is not used up by it')
      assert.equal(await here.look('den', bob!, invite), null)
      const { invite: late } = (await here.invite('den', ann!, HOUR))!
      assert.equal((await there.look('den', bob!, late))?.members, 2)
      await expire()
      assert.equal(await there.look('den', bob!, late), null)
    },
  },
  {
    title: 'a room that somebody is in cannot be made private',
    check: async ({ here, log, people: [ann, bob] }) => {
      await log.enter('lobby', bob!, bob!)
      assert.equal(await here.create('lobby', ann!), false)
      const { owner, private: isPrivate } = await log.enter('lobby', ann!, ann!)
      assert.deepEqual([owner, isPrivate], [false, false])
      assert.equal(await here.invite('lobby', ann!, HOUR), null)
      assert.equal((await log.rooms(ann!))[0]?.owner, undefined)
    },
  },
  {
    title: 'who only visits is no member; a room that was claimed stays public',
    check: async ({ here, there, log, people: [ann, bob] }) => {
      const nothing = {
        head: 0,
        floor: 0,
        lastId: null,
        private: false,
        owner: false,
        ownerId: null,
      }
      const visit = (room: string, user: string, claims = false) =>
        log.visit(room, user, user, 0, claims ? () => true : undefined)
      assert.deepEqual(await visit('den', ann!), { signedIn: true, allowed: true, ...nothing })
      assert.equal((await log.visit('hall', ann!, bob!, 0, () => true)).signedIn, false)
      // A look leaves nothing behind, nor does a stranger: both names are still anybody's.
      assert.equal(await here.create('den', bob!), true)
      assert.equal(await here.create('hall', bob!), true)
      assert.equal((await visit('den', ann!, true)).allowed, false)
      assert.equal((await visit('yard', ann!, true)).allowed, true)
      assert.equal(await there.create('yard', bob!), false)
      assert.deepEqual(await log.rooms(ann!), [])
    },
  },
  {
    title: 'an invitation lets in whoever shows it, into its room and no other',
    check: async ({ here, there, log, people: [ann, bob, eve] }) => {
      await here.create('den', ann!)
      await here.create('cave', ann!)
      assert.equal(await here.invite('den', bob!, HOUR), null)
      assert.equal(await here.invite('nowhere', ann!, HOUR), null)
      const { invite, expiresAt } = (await here.invite('den', ann!, HOUR))!
      assert.match(invite, /^[\w-]{43}$/)
      assert.ok(Math.abs(expiresAt.getTime() - Date.now() - HOUR) < 60_000)
      assert.equal(await there.admit('cave', bob!, invite), 'refused')
      assert.equal(await there.admit('den', bob!, 'x'.repeat(43)), 'refused')
      assert.equal(await there.admit('den', bob!, invite), 'admitted')
      assert.equal(await there.admit('den', bob!, invite), 'member')
      assert.equal(await there.admit('den', eve!, invite), 'admitted')
      assert.equal((await log.enter('den', bob!, bob!)).allowed, true)
      assert.equal((await log.enter('cave', bob!, bob!)).allowed, false)
      assert.equal((await log.rooms(bob!))[0]?.owner, undefined)
    },
  },
  {
    title: 'an invitation that is over or revoked lets nobody in',
    check: async ({ here, there, expire, people: [ann, bob] }) => {
      await here.create('den', ann!)
      const old = (await here.invite('den', ann!, HOUR))!
      await expire()
      assert.equal(await there.admit('den', bob!, old.invite), 'refused')
      const { invite } = (await here.invite('den', ann!, HOUR))!
      assert.equal(await there.revokeInvites('den', bob!), null)
      assert.deepEqual(await there.revokeInvites('den', ann!), { ended: 1, members: 1 })
      assert.deepEqual(await there.revokeInvites('den', ann!), { ended: 0, members: 1 })
      assert.equal(await here.admit('den', bob!, invite), 'refused')
    },
  },
  {
    title: 'the owner removes others, who cannot come back with the invitation they had',
    check: async ({ here, there, log, people: [ann, bob, eve] }) => {
      await here.create('den', ann!)
      const { invite } = (await here.invite('den', ann!, HOUR))!
      await there.admit('den', bob!, invite)
      assert.equal(await here.remove('den', bob!, ann!), 'forbidden')
      assert.equal(await here.remove('den', bob!, bob!), 'forbidden')
      assert.equal(await here.remove('den', ann!, ann!), 'forbidden')
      assert.equal(await here.remove('nowhere', ann!, bob!), 'forbidden')
      assert.equal(await here.remove('den', ann!, eve!), 'not_found')
      assert.equal(await there.admit('den', eve!, invite), 'admitted', 'nobody was removed yet')
      assert.equal(await here.remove('den', ann!, bob!), 'removed')
      assert.equal((await log.enter('den', bob!, bob!)).allowed, false)
      assert.equal(await there.admit('den', bob!, invite), 'refused')
      assert.equal(await here.remove('den', ann!, bob!), 'not_found')
      const again = (await here.invite('den', ann!, HOUR))!
      assert.equal(await there.admit('den', bob!, again.invite), 'admitted')
    },
  },
  {
    title: 'who leaves needs an invitation again; the owner does not',
    check: async ({ here, log, people: [ann, bob] }) => {
      await here.create('den', ann!)
      const { invite } = (await here.invite('den', ann!, HOUR))!
      await here.admit('den', bob!, invite)
      for (const user of [ann!, bob!]) await log.leave('den', user)
      assert.equal((await log.enter('den', bob!, bob!)).allowed, false)
      assert.deepEqual(await log.rooms(ann!), [])
      assert.equal((await log.enter('den', ann!, ann!)).allowed, true)
      assert.equal((await log.rooms(ann!))[0]?.room, 'den')
    },
  },
  {
    title: 'who may read a room: everybody a public one, only who is in it a private one',
    check: async ({ here, log, people: [ann, bob, eve] }) => {
      await here.create('den', ann!)
      const { invite } = (await here.invite('den', ann!, HOUR))!
      await here.admit('den', bob!, invite)
      const mayRead = async (room: string, user: string) =>
        (await log.visit(room, user, user)).allowed
      const may = (room: string) => Promise.all([ann, bob, eve].map((p) => mayRead(room, p!)))
      assert.deepEqual(await may('den'), [true, true, false])
      for (const user of [ann!, bob!]) await log.leave('den', user)
      assert.deepEqual(await may('den'), [true, false, false])
      await log.enter('lobby', bob!, bob!)
      assert.deepEqual(await may('lobby'), [true, true, true])
      assert.deepEqual(await may('nowhere'), [true, true, true])
      assert.deepEqual(await log.rooms(eve!), [])
    },
  },
  {
    title: 'whoever is in a private room sees who else is, and since when',
    check: async ({ here, there, log, accounts, people: [ann, bob, eve] }) => {
      const before = Date.now()
      await here.create('den', ann!)
      const { invite } = (await here.invite('den', ann!, HOUR))!
      await there.admit('den', bob!, invite)
      const list = async (asker: string, more = {}) => {
        const { members, refusal, ...rest } = await there.members('den', asker, {
          ...{ limit: 200, ...more },
        })
        const names = members?.map(({ user: { id, name }, owner }) => `${id} ${name} ${owner}`)
        return refusal ?? { names, ...rest }
      }
      const all = [`${ann} ann true`, `${bob} bob undefined`].sort()
      assert.deepEqual(await list(bob!), { names: all, more: false })
      assert.equal(await list(eve!), 'forbidden')
      assert.deepEqual(await list(ann!, { limit: 1 }), { names: all.slice(0, 1), more: true })
      const after = all[0]!.slice(0, 36)
      assert.deepEqual(await list(ann!, { limit: 1, after }), { names: all.slice(1), more: false })
      for (const room of ['lobby', 'nowhere']) {
        if (room === 'lobby') await log.enter(room, eve!, eve!)
        assert.equal((await here.members(room, eve!, { limit: 9 })).refusal, 'public')
      }
      const { members } = await here.members('den', ann!, { limit: 9 })
      const sinceOf = (id: string) => members!.find(({ user }) => user.id === id)!.since!.getTime()
      for (const id of [ann!, bob!]) assert.ok(Math.abs(sinceOf(id) - before) < 60_000)
      const since = new Date(sinceOf(bob!))
      assert.deepEqual(await list(ann!, { since: new Date(sinceOf(bob!) + 60_000) }), {
        ...{ names: [], more: false },
      })
      assert.ok(JSON.stringify(await list(ann!, { since })).includes(bob!))
      // An owner who left may come back at any time, and so is shown; one who cannot is not.
      await log.leave('den', ann!)
      assert.deepEqual(await list(bob!), { names: all, more: false })
      const [left] = (await here.members('den', ann!, { limit: 9 })).members!.filter(
        ({ owner }) => owner,
      )
      assert.equal(left?.since, null)
      await log.enter('den', ann!, ann!)
      const again = await here.members('den', ann!, { limit: 9 })
      assert.ok(again.members!.every(({ since }) => since !== null))
      await accounts.ban(bob!)
      assert.deepEqual(await list(ann!), { names: [`${ann} ann true`], more: false })
    },
  },
  {
    title: 'whoever was in a private room is listed for a while, however the membership ended',
    check: async ({ here, there, log, accounts, people: [ann, bob, eve] }) => {
      const before = Date.now()
      await here.create('den', ann!)
      const { invite } = (await here.invite('den', ann!, HOUR))!
      const past = async (more = {}) => {
        const options = { limit: 200, past: true, ...more }
        const { members, ...rest } = await there.members('den', ann!, options)
        assert.ok(members && 'more' in rest)
        for (const { since, until } of members) {
          assert.ok(since!.getTime() >= before - 60_000 && until! >= since!)
        }
        return [members.map(({ user }) => user.id), rest.more]
      }
      const count = async () => (await there.look('den', ann!, invite))!.members
      const guest = (await accounts.addGuest('mole', 'mole'))!
      for (const user of [bob!, eve!, guest.user.id]) await there.admit('den', user, invite)
      assert.deepEqual([await past(), await count()], [[[], false], 4])
      await log.leave('den', bob!)
      await accounts.endSessions(guest, false)
      await accounts.ban(eve!)
      const all = [bob!, eve!, guest.user.id].sort()
      assert.deepEqual([await past(), await count()], [[all, false], 1])
      assert.deepEqual(await past({ limit: 2 }), [all.slice(0, 2), true])
      assert.deepEqual(await past({ limit: 2, after: all[1] }), [all.slice(2), false])
      assert.deepEqual(await past({ since: new Date(Date.now() + 60_000) }), [[], false])
      assert.equal((await here.members('den', bob!, { limit: 9, past: true })).refusal, 'forbidden')
      // Who comes again is a member, and is put out as one.
      await here.admit('den', bob!, invite)
      const others = all.filter((id) => id !== bob)
      assert.deepEqual(await past(), [others, false])
      await here.remove('den', ann!, bob!)
      assert.deepEqual(await past(), [all, false])
      // The owner may come back; of a public room nothing is kept.
      await log.leave('den', ann!)
      await log.enter('lobby', bob!, bob!)
      await log.leave('lobby', bob!)
      assert.deepEqual(await past(), [all, false])
      assert.equal((await here.members('lobby', ann!, { limit: 9, past: true })).refusal, 'public')
    },
  },
  {
    title: 'of who comes in and signs out at once either nothing or a trace is left',
    check: async ({ here, there, accounts, people: [ann] }) => {
      await here.create('den', ann!)
      const { invite } = (await here.invite('den', ann!, HOUR))!
      const came: string[] = []
      for (let n = 0; n < 10; n += 1) {
        const mole = (await accounts.addGuest(`mole ${n}`, `mole ${n}`))!
        const [admission] = await Promise.all([
          there.admit('den', mole.user.id, invite),
          accounts.endSessions(mole, false),
        ])
        if (admission === 'admitted') came.push(mole.user.id)
        else assert.equal(admission, 'refused')
      }
      const { members } = await here.members('den', ann!, { limit: 200, past: true })
      assert.deepEqual(
        members!.map(({ user }) => user.id),
        came.sort(),
      )
    },
  },
  {
    title: 'an invitation for one lets in one, whoever is first, and is no secret to a member',
    check: async ({ here, there, log, people: [ann, bob, eve] }) => {
      await here.create('den', ann!)
      const once = async () => (await here.invite('den', ann!, HOUR, true))!.invite
      const first = await once()
      assert.equal(await there.admit('den', ann!, first), 'member', 'which uses nothing up')
      assert.equal(await there.admit('den', bob!, first), 'admitted')
      assert.equal(await here.admit('den', eve!, first), 'refused')
      assert.equal(await here.admit('den', bob!, first), 'member', 'the answer may have been lost')
      await log.leave('den', bob!)
      assert.equal(await here.admit('den', bob!, first), 'refused')
      for (let n = 0; n < 10; n += 1) {
        const invite = await once()
        const racing = [here.admit('den', bob!, invite), there.admit('den', eve!, invite)]
        assert.deepEqual((await Promise.all(racing)).sort(), ['admitted', 'refused'])
        for (const user of [bob!, eve!]) await log.leave('den', user)
      }
      const many = (await here.invite('den', ann!, HOUR))!.invite
      for (const user of [bob!, eve!]) assert.equal(await here.admit('den', user, many), 'admitted')
      await once()
      assert.deepEqual(await here.revokeInvites('den', ann!), { ended: 2, members: 3 })
    },
  },
  {
    title: 'a room is handed over to a member; from then on it is that one who decides',
    check: async ({ here, there, log, people: [ann, bob, eve] }) => {
      await here.create('den', ann!)
      const { invite } = (await here.invite('den', ann!, HOUR))!
      assert.equal(await here.handOver('den', ann!, bob!), 'not_found')
      await there.admit('den', bob!, invite)
      assert.equal(await there.handOver('den', bob!, bob!), 'forbidden')
      assert.equal(await there.handOver('den', ann!, bob!), 'given')
      assert.equal(await here.handOver('den', ann!, ann!), 'forbidden')
      assert.equal(await here.invite('den', ann!, HOUR), null)
      const { owner, ownerId } = await log.enter('den', ann!, ann!)
      assert.deepEqual([owner, ownerId], [false, bob])
      assert.equal(await here.remove('den', bob!, ann!), 'removed')
      assert.equal(await here.handOver('den', bob!, ann!), 'not_found')
      const again = (await here.invite('den', bob!, HOUR))!.invite
      for (const user of [ann!, eve!]) await there.admit('den', user, again)
      // Of two at once the first one counts: the other does not own it any more.
      const racing = [here.handOver('den', bob!, ann!), there.handOver('den', bob!, eve!)]
      assert.deepEqual((await Promise.all(racing)).sort(), ['forbidden', 'given'])
      for (const room of ['lobby', 'nowhere']) {
        if (room === 'lobby') assert.equal(await here.reserve(room), 'made')
        assert.equal(await here.handOver(room, ann!, ann!), 'forbidden')
        assert.equal(await here.handOver(room, ann!, ann!, 'admin'), 'forbidden')
      }
    },
  },
  {
    title: 'an admin ends invitations, removes, hands over and takes over, in any private room',
    check: async ({ here, there, log, people: [ann, bob, eve] }) => {
      await here.create('den', ann!)
      const { invite } = (await here.invite('den', ann!, HOUR))!
      await there.admit('den', bob!, invite)
      assert.deepEqual(await there.revokeInvites('den', eve!, 'admin'), { ended: 1, members: 2 })
      assert.equal(await there.admit('den', eve!, invite), 'refused')
      assert.equal(await here.remove('den', eve!, ann!, 'admin'), 'forbidden', 'the owner stays')
      assert.equal(await here.handOver('den', eve!, bob!, 'admin'), 'given')
      assert.equal(await here.remove('den', eve!, ann!, 'admin'), 'removed')
      assert.equal(await here.handOver('den', eve!, ann!, 'admin'), 'not_found')
      assert.equal(await here.handOver('den', eve!, eve!, 'admin'), 'taken')
      assert.equal(await here.handOver('den', eve!, eve!, 'admin'), 'given')
      assert.equal((await log.enter('den', eve!, eve!)).owner, true)
      assert.equal(await there.revokeInvites('lobby', eve!, 'admin'), null)
      assert.equal(await there.remove('lobby', eve!, bob!, 'admin'), 'forbidden')
    },
  },
  {
    title: 'invitations end with an owner who is banned, or a guest who can never come back',
    check: async ({ here, there, accounts, people: [ann, bob, eve] }) => {
      const open = async (room: string, owner: string) => {
        await here.create(room, owner)
        return (await here.invite(room, owner, HOUR))!.invite
      }
      const ofAnn = await open('den', ann!)
      const ofBob = await open('cave', bob!)
      assert.ok(await accounts.ban(ann!))
      assert.equal(await there.admit('den', eve!, ofAnn), 'refused')
      assert.equal(await here.invite('den', ann!, HOUR), null, 'nor do new ones begin')
      assert.equal(await there.admit('cave', eve!, ofBob), 'admitted', 'those of others stay')
      const session = (await accounts.session(bob!))!
      await accounts.endSessions(session, false)
      const last = (await here.invite('cave', bob!, HOUR))!.invite
      await accounts.endSessions((await accounts.session('bob'))!, false)
      assert.equal(await there.admit('cave', ann!, last), 'refused')
      assert.equal(await here.invite('cave', bob!, HOUR), null)
      assert.equal(await here.handOver('cave', eve!, bob!, 'admin'), 'not_found')
      assert.equal(await here.handOver('cave', eve!, eve!, 'admin'), 'given')
    },
  },
  {
    title: 'invitations end with who made them, also when the room was handed on since',
    check: async ({ here, there, accounts, people: [ann, bob, eve] }) => {
      /** A room of Eve's into which somebody else invites. */
      const handOn = async (room: string, maker: string) => {
        await here.create(room, maker)
        const { invite } = (await here.invite(room, maker, HOUR))!
        await there.admit(room, eve!, invite)
        assert.equal(await here.handOver(room, maker, eve!), 'given')
        return invite
      }
      const ofAnn = await handOn('den', ann!)
      const ofBob = await handOn('cave', bob!)
      const ofEve = (await here.invite('den', eve!, HOUR))!.invite
      const guest = (await accounts.addGuest('new', 'new'))!
      assert.ok(await there.look('den', guest.user.id, ofAnn), 'it is the new owner’s to end')
      await accounts.ban(ann!)
      assert.equal(await there.admit('den', guest.user.id, ofAnn), 'refused')
      assert.equal(await there.admit('den', guest.user.id, ofEve), 'admitted', 'hers stays')
      await accounts.endSessions((await accounts.session(bob!))!, true)
      assert.equal(await there.admit('cave', guest.user.id, ofBob), 'refused')
    },
  },
  {
    title: 'a name that is reserved is a public room, and one that is private stays so',
    check: async ({ here, there, log, people: [ann] }) => {
      assert.equal(await here.reserve('lobby'), 'made')
      assert.equal(await there.reserve('lobby'), 'public')
      assert.equal(await here.create('lobby', ann!), false)
      assert.deepEqual(await log.rooms(ann!), [])
      await here.create('den', ann!)
      assert.equal(await there.reserve('den'), 'private')
    },
  },
  {
    title: 'of many who make one room at once one owns it; a join is before or after',
    check: async ({ here, there, log, people: [ann, bob, eve] }) => {
      for (let n = 0; n < 10; n += 1) {
        const room = `den-${n}`
        const [a, b, entrance] = await Promise.all([
          here.create(room, ann!),
          there.create(room, bob!),
          log.enter(room, eve!, eve!),
        ])
        assert.equal(Number(a) + Number(b) + Number(entrance.allowed), 1)
      }
    },
  },
  {
    title: 'one owns so many private rooms, also those that one left',
    limits: LIMITS,
    check: async ({ here, there, log, people: [ann, bob] }) => {
      assert.equal(await here.create('den', ann!), true)
      await log.leave('den', ann!)
      assert.equal(await there.create('cave', ann!), true)
      assert.equal(await here.create('hut', ann!), null)
      assert.equal(await here.create('hut', bob!), true)
      assert.equal(await here.create('hut', ann!), null, 'the same, whether it is there')
      const racing = ['a', 'b', 'c', 'd'].flatMap((room) => [
        here.create(`${room}1`, bob!),
        there.create(`${room}2`, bob!),
      ])
      const made = await Promise.all(racing)
      assert.equal(made.filter((isMade) => isMade).length, 1)
    },
  },
  {
    title: 'one is in so many rooms, whichever way one came in',
    limits: LIMITS,
    check: async ({ here, there, log, people: [ann, bob, eve] }) => {
      const join = async (room: string, user: string) => {
        const { refusal = 'in' } = await log.enter(room, user, user)
        return refusal
      }
      await here.create('den', ann!)
      const { invite } = (await here.invite('den', ann!, HOUR))!
      for (const room of ['one', 'two']) assert.equal(await join(room, bob!), 'in')
      const rooms = ['a', 'b', 'c', 'd', 'e', 'f']
      const racing = await Promise.all([
        ...rooms.map((room) => join(room, bob!)),
        ...[here, there].map(({ admit }) => admit('den', bob!, invite)),
      ])
      const refused = racing.filter((answer) => answer === 'too_many')
      // Two of them are about the same room.
      const isByInvitation = racing.includes('admitted')
      assert.equal(refused.length, rooms.length + 2 - (isByInvitation ? 2 : 1), `${racing}`)
      assert.equal(await log.roomCount(bob!), 3)
      assert.equal(await there.create('cave', bob!), null)
      assert.equal(await join('unheard', bob!), 'too_many')
      const unheard = await log.rooms(eve!)
      assert.deepEqual(unheard, [])
      assert.equal(await here.create('unheard', eve!), true, 'the refused join made nothing')
      assert.equal(await join('one', bob!), 'in', 'one is there already')
      await log.leave('one', bob!)
      assert.equal(await join('three', bob!), 'in')
      assert.equal(await join('one', bob!), 'too_many')
    },
  },
]

for (const { title, check, limits } of CHECKS) {
  test(`SQLite: ${title}`, async (t) => {
    const file = openDataFile(':memory:', systemClock)
    const log = await openLog(file, systemClock, () => {}, limits)
    t.after(() => log.close())
    const accounts = createAccounts(file.sql, DEFAULT_LIMITS, systemClock)
    const [here, there] = [0, 1].map(() => createMemberships(file.sql, limits))
    const expire = async () => file.db.exec('UPDATE invites SET expires_at = 0')
    await withPeople(check, { here: here!, there: there!, log, accounts, expire })
  })
}

void test('Postgres', async (t) => {
  const server = await startPostgres(t)
  for (const { title, check, limits } of CHECKS) {
    await t.test(title, async (each: TestContext) => {
      const url = await server.lendDatabase(each)
      const [db, other] = [await openDatabase(each, url), await openDatabase(each, url)]
      await withPeople(check, {
        here: createMemberships(db.sql, limits),
        there: createMemberships(other.sql, limits),
        log: await openLog(db, systemClock, () => {}, limits),
        accounts: createAccounts(db.sql, DEFAULT_LIMITS, systemClock),
        expire: async () => void (await db.query('UPDATE invites SET expires_at = now()')),
      })
    })
  }

  await t.test('a removal is told to the other nodes', async (each) => {
    const db = await openDatabase(each, await server.lendDatabase(each))
    const here = createMemberships(db.sql)
    const accounts = createAccounts(db.sql, DEFAULT_LIMITS, systemClock)
    const idOf = async (name: string) => (await accounts.addGuest(name, name))!.user.id
    const [ann, bob] = [await idOf('ann'), await idOf('bob')]
    await here.create('den', ann)
    const { invite } = (await here.invite('den', ann, HOUR))!
    await here.admit('den', bob, invite)
    await here.remove('den', ann, bob)
    const told = await db.query('SELECT room, user_id FROM revocations')
    assert.deepEqual(told, [{ room: 'den', user_id: bob }])
  })
})

/** Three users, whose sessions' hashes are their own ids. */
async function withPeople(check: (typeof CHECKS)[number]['check'], opened: Opened) {
  const people: string[] = []
  for (const name of ['ann', 'bob', 'eve']) {
    const first = await opened.accounts.addGuest(name, name)
    const { id } = first!.user
    await opened.accounts.addDevice(name, id)
    people.push(id)
  }
  await check({ ...opened, people })
}
