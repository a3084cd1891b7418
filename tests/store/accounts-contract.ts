/** What all accounts promise, whichever database keeps them. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Accounts, Session } from '../../src/store/accounts.ts'
import { deviceId } from '../../src/store/devices.ts'
import { DEFAULT_LIMITS } from '../../src/limits.ts'
import type { TestClock } from '../helpers.ts'

const DAY = 86_400_000

const FAR = new Date('2100-01-01')
const TAB = { address: '192.0.2.1', agent: 'Mozilla/5.0 (X11; Linux) Firefox/140.0' }
const PHONE = { address: '2001:db8::', agent: null }

/** Another device, which must be let in. */
async function addDevice(accounts: Accounts, session: string, hash: string): Promise<Session> {
  const added = await accounts.addDevice(session, hash, PHONE)
  assert.ok(added && added !== 'too_many')
  return added
}

export interface OpenedAccounts {
  accounts: Accounts
  clock: TestClock
}

/** @param inside  a test that all of these are parts of; without it they stand for themselves */
export async function accountsContract(
  name: string,
  open: (t: TestContext) => Promise<OpenedAccounts>,
  inside?: TestContext,
) {
  const checks: [string, (t: TestContext) => Promise<void>][] = []
  const check = (title: string, body: (opened: OpenedAccounts) => Promise<void>) =>
    void checks.push([`${name}: ${title}`, async (t) => body(await open(t))])

  check('a guest owns the name, and is found by the session', async ({ accounts }) => {
    const session = await accounts.addGuest('Ann', 'h1')
    assert.ok(session)
    assert.deepEqual([session.user.name, session.role, session.expiresAt], ['Ann', 'member', null])
    assert.deepEqual(await accounts.session('h1'), session)
    assert.equal(await accounts.session('h2'), null)
    assert.equal(await accounts.addGuest('ANN', 'h2'), null)
    assert.equal(await accounts.session('h2'), null)
    const other = await accounts.addGuest('Bob', 'h3')
    assert.notEqual(other?.user.id, session.user.id)
  })

  check('the last session of a guest frees the name, as long as it is', async (opened) => {
    const { accounts, clock } = opened
    const first = (await accounts.addGuest('Ann', 'h1'))!
    assert.equal(await accounts.freesName(first), true)
    const second = await addDevice(accounts, 'h1', 'h2')
    assert.equal(await accounts.freesName(first), false)
    clock.skip(29 * DAY)
    await accounts.session('h2')
    clock.skip(2 * DAY)
    assert.equal(await accounts.freesName(second), true, 'the other was idle too long')
    const foreign = await accounts.addForeign(
      'a b',
      'Bob',
      'h3',
      new Date(clock.date().getTime() + 1),
    )
    const admin = await accounts.addAdmin('Root', 'h4')
    assert.deepEqual(
      [await accounts.freesName(foreign!), await accounts.freesName(admin!)],
      [false, false],
    )
  })

  check(
    'a session in the place of others ends them; when one is over, nothing is done',
    async (opened) => {
      const { accounts } = opened
      const ann = (await accounts.addGuest('Ann', 'h1'))!
      await addDevice(accounts, 'h1', 'h2')
      const ways = [
        (hash: string, instead: string[]) => accounts.addGuest('Bob', hash, { ...TAB, instead }),
        (hash: string, instead: string[]) => accounts.addAdmin('Root', hash, { ...TAB, instead }),
        (hash: string, instead: string[]) =>
          accounts.addForeign('iss sub', 'Cleo', hash, FAR, { ...TAB, instead }),
        (hash: string, instead: string[]) => accounts.addDevice('h1', hash, { ...TAB, instead }),
      ]
      for (const way of ways) {
        assert.equal(await way('h9', ['h2', 'none']), null)
        assert.equal(await accounts.session('h9'), null)
      }
      assert.ok(await accounts.session('h2'))
      assert.equal(await accounts.addGuest('Ann', 'h3', { ...TAB, instead: ['h1', 'h2'] }), null)
      assert.ok(await accounts.session('h1'), 'what is refused ends nothing')
      const bob = await accounts.addGuest('Bob', 'h3', { ...TAB, instead: ['h1', 'h2'] })
      assert.equal(bob?.user.name, 'Bob')
      assert.deepEqual([await accounts.session('h1'), await accounts.session('h2')], [null, null])
      const next = await accounts.addGuest('Ann', 'h4')
      assert.notEqual(next?.user.id, ann.user.id, 'the name was free')
      const tries = ['Dan', 'Eve', 'Fay'].map((name, nth) =>
        accounts.addGuest(name, `t${nth}`, { ...TAB, instead: ['h4'] }),
      )
      const made = (await Promise.all(tries)).filter((session) => session !== null)
      assert.equal(made.length, 1, 'of several at once the first takes the place')
    },
  )

  check('another device is the same user, as long as the first holds', async ({ accounts }) => {
    const first = await accounts.addGuest('Ann', 'h1')
    const second = await addDevice(accounts, 'h1', 'h2')
    assert.deepEqual(second.user, first?.user)
    await accounts.endSessions(first!, false)
    assert.equal(await accounts.addDevice('h1', 'h3'), null)
    assert.ok(await accounts.session('h2'))
  })

  check(
    'the name is free when the last session ends, and its next owner is another user',
    async ({ accounts }) => {
      const first = await accounts.addGuest('Ann', 'h1')
      const second = await addDevice(accounts, 'h1', 'h2')
      assert.deepEqual(await accounts.endSessions(first!, false), ['h1'])
      assert.equal(await accounts.addGuest('Ann', 'h4'), null)
      assert.deepEqual(await accounts.endSessions(second, false), ['h2'])
      const next = await accounts.addGuest('Ann', 'h4')
      assert.ok(next)
      assert.notEqual(next.user.id, first?.user.id)
    },
  )

  check(
    'signing out everywhere ends all sessions of the user and of nobody else',
    async ({ accounts }) => {
      const ann = await accounts.addGuest('Ann', 'h1')
      await accounts.addDevice('h1', 'h2')
      await accounts.addGuest('Bob', 'h3')
      assert.deepEqual((await accounts.endSessions(ann!, true)).sort(), ['h1', 'h2'])
      assert.equal(await accounts.session('h2'), null)
      assert.ok(await accounts.session('h3'))
    },
  )

  check(
    '30 days unused are the end of a session and of the name; using it keeps both',
    async ({ accounts, clock }) => {
      await accounts.addGuest('Ann', 'h1')
      await accounts.addGuest('Bob', 'h2')
      for (let day = 0; day < 29; day += 1) {
        await clock.advance(DAY)
        assert.ok(await accounts.session('h1'))
      }
      await clock.advance(DAY)
      assert.equal(await accounts.session('h2'), null)
      const session = await accounts.session('h1')
      assert.equal(session!.idleUntil.getTime(), clock.date().getTime() - DAY + 30 * DAY)
      assert.equal(await accounts.addGuest('Ann', 'h3'), null)
      assert.ok(await accounts.addGuest('Bob', 'h4'))
    },
  )

  check(
    'an admin comes back to the name, for half a day, and takes no name of a guest',
    async ({ accounts, clock }) => {
      const first = await accounts.addAdmin('Root', 'h1')
      assert.equal(first?.role, 'admin')
      assert.equal(first.expiresAt!.getTime() - clock.date().getTime(), DAY / 2)
      const second = await accounts.addAdmin('Root', 'h2')
      assert.equal(second?.user.id, first.user.id)
      assert.equal(await accounts.addGuest('Root', 'h3'), null)
      await accounts.addGuest('Ann', 'h4')
      assert.equal(await accounts.addAdmin('Ann', 'h5'), null)
      await clock.advance(DAY / 2)
      assert.equal(await accounts.session('h1'), null)
      assert.equal(await accounts.addGuest('Root', 'h6'), null, 'an admin keeps the name')
    },
  )

  check('who owns a name owns all that look like it', async ({ accounts }) => {
    assert.ok(await accounts.addGuest('Iris', 'h1'))
    for (const name of ['lris', '1RIS', 'ΙRIS', 'Ir1s.']) {
      assert.equal(await accounts.addGuest(name, 'h2'), null, name)
      assert.equal(await accounts.addAdmin(name, 'h2'), null, name)
    }
    // Of these the one looks like the first, and has all letters of the second in another case.
    const latin = await accounts.addGuest('NINA', 'h3')
    const greek = await accounts.addGuest('Νινα', 'h4')
    assert.equal(await accounts.addGuest('ΝΙΝΑ', 'h5'), null)
    await accounts.endSessions(latin!, true)
    assert.equal(await accounts.addGuest('ΝΙΝΑ', 'h5'), null)
    await accounts.endSessions(greek!, true)
    assert.ok(await accounts.addGuest('ΝΙΝΑ', 'h5'))
    assert.equal(await accounts.addGuest('Nina', 'h6'), null)
    assert.equal(await accounts.addGuest('νινα', 'h6'), null)
  })

  check(
    'a reserved name that others have goes to the admin, and they stay who they are',
    async (opened) => {
      const { accounts, clock } = opened
      const until = new Date(clock.date().getTime() + DAY)
      const guest = await accounts.addGuest('Admin', 'h1')
      const foreign = await accounts.addForeign('s', 'Support', 'h2', until)
      const admin = await accounts.addAdmin('ADMIN', 'h3')
      assert.deepEqual([admin?.user.name, admin?.role], ['ADMIN', 'admin'])
      assert.equal((await accounts.addAdmin('Support', 'h4'))?.user.name, 'Support')
      const left = await Promise.all(['h1', 'h2'].map((hash) => accounts.session(hash)))
      assert.deepEqual(
        left.map((session) => session?.user.name),
        ['someone', 'someone 2'],
      )
      assert.deepEqual(
        left.map((session) => session?.user.id),
        [guest?.user.id, foreign?.user.id],
      )
      assert.equal(await accounts.addAdmin('someone', 'h5'), null)
      await accounts.ban(admin!.user.id)
      assert.equal(
        await accounts.addAdmin('Admin', 'h5'),
        null,
        'from another admin nobody takes it',
      )
    },
  )

  check('another device lasts as long as the first, and not a moment longer', async (opened) => {
    const { accounts, clock } = opened
    const first = await accounts.addAdmin('Root', 'h1')
    await clock.advance(DAY / 4)
    const second = await addDevice(accounts, 'h1', 'h2')
    assert.deepEqual([second.role, second.expiresAt], ['admin', first?.expiresAt])
    await clock.advance(DAY / 4)
    assert.equal(await accounts.session('h2'), null)
  })

  check('whom an issuer vouches for is the same user each time, until then', async (opened) => {
    const { accounts, clock } = opened
    const until = new Date(clock.date().getTime() + DAY)
    const first = await accounts.addForeign('["iss","1"]', 'Ann', 'h1', until)
    assert.ok(first)
    assert.deepEqual([first.user.name, first.role, first.expiresAt], ['Ann', 'member', until])
    const again = await accounts.addForeign('["iss","1"]', 'Ann', 'h2', until)
    assert.deepEqual(again?.user, first.user)
    assert.equal(await accounts.addGuest('Ann', 'h3'), null)
    await accounts.endSessions(first, true)
    assert.equal(await accounts.addGuest('Ann', 'h3'), null, 'the name is kept')
    assert.equal(await accounts.addAdmin('Ann', 'h3'), null)
    await accounts.addForeign('["iss","1"]', 'Ann', 'h4', until)
    await clock.advance(DAY)
    assert.equal(await accounts.session('h4'), null)
  })

  check('a foreign name that somebody has gets a number, and keeps it', async (opened) => {
    const { accounts, clock } = opened
    const until = new Date(clock.date().getTime() + DAY)
    const add = async (subject: string, name: string, hash: string) =>
      (await accounts.addForeign(subject, name, hash, until))?.user
    await accounts.addGuest('Ann', 'h0')
    const second = await add('s2', 'Ann', 'h2')
    const third = await add('s3', 'ANN', 'h3')
    assert.deepEqual([second?.name, third?.name], ['Ann 2', 'ANN 3'])
    assert.deepEqual(await add('s2', 'Ann', 'h4'), second)
    const renamed = await add('s2', 'Anna', 'h5')
    assert.deepEqual(renamed, { id: second?.id, name: 'Anna', kind: 'foreign' })
    assert.equal((await accounts.session('h2'))?.user.name, 'Anna')
    assert.equal((await accounts.addGuest('Ann 2', 'h6'))?.user.name, 'Ann 2')
    assert.equal((await add('s4', 'x'.repeat(32), 'h7'))?.name, 'x'.repeat(32))
    assert.equal((await add('s5', 'x'.repeat(32), 'h8'))?.name, `${'x'.repeat(30)} 2`)
  })

  check('of many who come at once for one subject all are one user', async (opened) => {
    const { accounts, clock } = opened
    const until = new Date(clock.date().getTime() + DAY)
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, n) => accounts.addForeign('s', 'Ann', `h${n}`, until)),
    )
    assert.equal(new Set(all.map((session) => session?.user.id)).size, 1)
    const others = await Promise.all(
      Array.from({ length: 8 }, (_, n) => accounts.addForeign(`s${n}`, 'Ann', `g${n}`, until)),
    )
    assert.equal(new Set(others.map((session) => session?.user.name)).size, 8)
  })

  check('who is banned is out for good, and nobody gets the name', async ({ accounts, clock }) => {
    const until = new Date(clock.date().getTime() + DAY)
    const guest = await accounts.addGuest('Troll', 'h1')
    await accounts.addDevice('h1', 'h2')
    const foreign = await accounts.addForeign('s', 'Imp', 'h3', until)
    const admin = await accounts.addAdmin('Root', 'h4')
    assert.deepEqual((await accounts.ban(guest!.user.id))?.sort(), ['h1', 'h2'])
    assert.deepEqual(await accounts.ban(foreign!.user.id), ['h3'])
    assert.deepEqual(await accounts.ban(admin!.user.id), ['h4'])
    for (const hash of ['h1', 'h2', 'h3', 'h4']) assert.equal(await accounts.session(hash), null)
    assert.equal(await accounts.addDevice('h1', 'h5'), null)
    assert.equal(await accounts.addForeign('s', 'Imp', 'h5', until), null)
    assert.equal(await accounts.addAdmin('Root', 'h5'), null)
    await clock.advance(31 * DAY)
    for (const name of ['Troll', 'Imp', 'Root']) {
      assert.equal(await accounts.addGuest(name, 'h5'), null)
    }
    assert.deepEqual(await accounts.ban(guest!.user.id), [])
    assert.equal(await accounts.ban(crypto.randomUUID()), null)
  })

  check('a ban leaves no device that was just being added', async ({ accounts }) => {
    for (let n = 0; n < 20; n += 1) {
      const first = await accounts.addGuest(`Imp ${n}`, `a${n}`)
      const [ended] = await Promise.all([
        accounts.ban(first!.user.id),
        accounts.addDevice(`a${n}`, `b${n}`),
      ])
      assert.ok(ended?.includes(`a${n}`))
      assert.equal(await accounts.session(`b${n}`), null)
    }
  })

  check('sign-out everywhere leaves no device that was just being added', async ({ accounts }) => {
    for (let n = 0; n < 20; n += 1) {
      const first = await accounts.addGuest(`Ann ${n}`, `a${n}`)
      const [ended] = await Promise.all([
        accounts.endSessions(first!, true),
        accounts.addDevice(`a${n}`, `b${n}`),
      ])
      assert.ok(ended.includes(`a${n}`))
      assert.equal(await accounts.session(`a${n}`), null)
      assert.equal(await accounts.session(`b${n}`), null)
    }
  })

  check('a user sees the sessions that hold, newest first, and where they are', async (opened) => {
    const { accounts, clock } = opened
    const made = clock.date()
    const ann = await accounts.addGuest('Ann', 'h1', TAB)
    const bob = await accounts.addGuest('Bob', 'h3')
    const [unknown] = await accounts.devices(bob!.user.id)
    assert.deepEqual([unknown?.address, unknown?.agent], [null, null])
    await clock.advance(5 * DAY)
    await addDevice(accounts, 'h1', 'h2')
    const tab = { hash: 'h1', madeAt: made, seenAt: made, ...TAB }
    const phone = { hash: 'h2', madeAt: clock.date(), seenAt: clock.date(), ...PHONE }
    assert.deepEqual(await accounts.devices(ann!.user.id), [phone, tab])
    await accounts.session('h1')
    assert.deepEqual((await accounts.devices(ann!.user.id))[1]?.seenAt, clock.date())
    await clock.advance(29 * DAY)
    await accounts.session('h1')
    await clock.advance(DAY)
    assert.deepEqual(
      (await accounts.devices(ann!.user.id)).map(({ hash }) => hash),
      ['h1'],
    )
  })

  check('a user ends one of the sessions by its id, or all but this one', async ({ accounts }) => {
    const hashes = Array.from({ length: 4 }, (_, n) => `${n}`.repeat(43))
    const [first, second, third, fourth] = hashes as [string, string, string, string]
    const ann = await accounts.addGuest('Ann', first)
    const bob = await accounts.addGuest('Bob', 'h')
    for (const hash of [second, third, fourth]) await addDevice(accounts, first, hash)
    assert.deepEqual(await accounts.endDevices(ann!, deviceId(third)), [third])
    assert.equal(await accounts.session(third), null)
    assert.deepEqual(await accounts.endDevices(ann!, deviceId(third)), [])
    for (const id of ['', '%', '_'.repeat(16), third, fourth, fourth.slice(0, 15), deviceId('h')]) {
      assert.deepEqual(await accounts.endDevices(ann!, id), [], id)
    }
    assert.deepEqual(await accounts.endDevices(bob!, deviceId(first)), [], 'not of another user')
    assert.deepEqual((await accounts.endDevices(ann!)).sort(), [second, fourth])
    assert.ok(await accounts.session(first))
    assert.ok(await accounts.session('h'))
    assert.equal(await accounts.addGuest('Ann', 'h4'), null)
    assert.deepEqual(await accounts.endDevices(ann!, deviceId(first)), [first])
    assert.ok(await accounts.addGuest('Ann', 'h4'), 'the last one frees the name')
  })

  check(
    'a user has so many sessions: a link adds no more, a sign-in ends the stalest',
    async (o) => {
      const { accounts, clock } = o
      const ann = await accounts.addGuest('Ann', 'a0')
      const most = DEFAULT_LIMITS.sessionsPerUser
      for (let n = 1; n < most; n += 1) await addDevice(accounts, 'a0', `a${n}`)
      assert.equal(await accounts.addDevice('a0', 'more'), 'too_many')
      assert.equal(await accounts.session('more'), null)
      await accounts.endDevices(ann!, 'a7')
      await addDevice(accounts, 'a0', 'more')

      const until = new Date(clock.date().getTime() + 60 * DAY)
      const add = (n: number) => accounts.addForeign('s', 'Eve', `e${n}`, until)
      for (let n = 0; n < most; n += 1) await add(n)
      await clock.advance(DAY)
      for (let n = 0; n < most; n += 1) if (n !== 3) await accounts.session(`e${n}`)
      const eve = await add(most)
      assert.equal((await accounts.devices(eve!.user.id)).length, most)
      assert.equal(await accounts.session('e3'), null, 'the one that was not used')
      assert.ok(await accounts.session(`e${most}`))
    },
  )

  check('what is over does not count, and makes way', async ({ accounts, clock }) => {
    await accounts.addGuest('Ann', 'a0')
    for (let n = 1; n < DEFAULT_LIMITS.sessionsPerUser; n += 1) {
      await addDevice(accounts, 'a0', `a${n}`)
    }
    await clock.advance(29 * DAY)
    await accounts.session('a0')
    await clock.advance(DAY)
    await addDevice(accounts, 'a0', 'more')
    assert.equal((await accounts.devices((await accounts.session('a0'))!.user.id)).length, 2)
  })

  check('what is kept in use does not idle out; what idled out stays over', async (opened) => {
    const { accounts, clock } = opened
    const until = new Date(clock.date().getTime() + 31 * DAY)
    await accounts.addGuest('Ann', 'h1')
    await accounts.addGuest('Bob', 'h2')
    await accounts.addForeign('s', 'Eve', 'h3', until)
    for (let day = 0; day < 30; day += 1) {
      await clock.advance(DAY)
      assert.deepEqual((await accounts.keep(['h1', 'h3', 'unknown'])).sort(), ['h1', 'h3'])
    }
    assert.deepEqual(await accounts.keep(['h1', 'h2', 'h3']).then((all) => all.sort()), [
      'h1',
      'h3',
    ])
    await clock.advance(DAY)
    assert.deepEqual(await accounts.keep(['h1', 'h2', 'h3']), ['h1'], 'nobody outlives the end')
    assert.equal(await accounts.addGuest('Ann', 'h4'), null)
    assert.ok(await accounts.addGuest('Bob', 'h5'))
    assert.deepEqual(await accounts.keep([]), [])
  })

  check('of many who want one name at once one gets it', async ({ accounts, clock }) => {
    const claims = async (round: string) => {
      const all = await Promise.all(
        Array.from({ length: 20 }, (_, n) => accounts.addGuest('Ann', `${round} ${n}`)),
      )
      const won = all.flatMap((session) => session ?? [])
      assert.equal(won.length, 1)
      assert.equal((await accounts.session(won[0]!.hash))?.user.id, won[0]!.user.id)
      return won[0]!
    }
    const first = await claims('first')
    await clock.advance(31 * DAY)
    const second = await claims('second')
    assert.notEqual(second.user.id, first.user.id)
    await accounts.endSessions(second, true)
    await claims('third')
  })

  for (const [title, body] of checks) {
    if (inside) await inside.test(title, body)
    else void test(title, body)
  }
}
