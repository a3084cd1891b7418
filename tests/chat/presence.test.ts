/** Who is here: what the members hear, and when. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Presence, type PresenceChange } from '../../src/chat/presence.ts'
import type { User } from '../../src/protocol.ts'
import { ann, bob, nthUser } from '../store/drafts.ts'

const LIMITS = { membersNamed: 3, presenceMs: 1_000, countMs: 5_000, absenceMs: 8_000 }

test('who comes is told, who goes after the absence was not short', () => {
  const presence = new Presence(LIMITS)
  assert.equal(presence.change(0), null)
  presence.enter(ann)
  presence.enter(bob)
  assert.deepEqual(presence.change(0), { count: 2, joined: [ann, bob] })
  presence.exit(bob, 0)
  assert.equal(presence.change(7_999), null)
  assert.deepEqual(presence.members, [ann, bob])
  assert.deepEqual(presence.change(8_000), { count: 1, left: [bob] })
  assert.deepEqual(presence.members, [ann])
  assert.equal(presence.change(99_000), null)
})

test('a short absence is not shown, however often', () => {
  const presence = new Presence(LIMITS)
  presence.enter(ann)
  presence.change(0)
  for (let now = 1_000; now < 60_000; now += 9_000) {
    presence.exit(ann, now)
    assert.equal(presence.change(now + 7_000), null)
    presence.enter(ann)
    assert.equal(presence.change(now + 8_500), null)
  }
  assert.equal(presence.count, 1)
})

test('who comes back under another name is told, and counted once', () => {
  const told: User[] = []
  const presence = new Presence(LIMITS, (user, isHere) => void (isHere && told.push(user)))
  const anna = { ...ann, name: 'Anna' }
  presence.enter(ann)
  presence.change(0)
  presence.exit(ann, 1_000)
  presence.enter(anna)
  assert.deepEqual(presence.change(2_000), { count: 1, joined: [anna] })
  assert.deepEqual(presence.members, [anna])
  assert.deepEqual(told, [ann, anna])
  presence.setRemote([{ ...bob, name: 'Bobby' }])
  assert.deepEqual(presence.change(4_000), { count: 2, joined: [{ ...bob, name: 'Bobby' }] })
  presence.setRemote([bob])
  assert.deepEqual(presence.change(6_000), { count: 2, joined: [bob] })
})

test('users are counted, not connections', () => {
  const presence = new Presence(LIMITS)
  for (let n = 0; n < 3; n += 1) presence.enter(ann)
  assert.deepEqual(presence.change(0), { count: 1, joined: [ann] })
  presence.exit(ann, 0)
  presence.exit(ann, 0)
  assert.equal(presence.change(20_000), null)
  presence.exit(ann, 20_000)
  assert.deepEqual(presence.change(28_000), { count: 0, left: [ann] })
})

test('at most one change a second; those in between are one', () => {
  const presence = new Presence(LIMITS)
  presence.enter(ann)
  assert.ok(presence.change(0))
  presence.enter(bob)
  assert.equal(presence.change(999), null)
  presence.enter(nthUser(3))
  assert.deepEqual(presence.change(1_000), { count: 3, joined: [bob, nthUser(3)] })
})

test('who came and went between two changes is not mentioned', () => {
  const presence = new Presence({ ...LIMITS, absenceMs: 10 })
  presence.enter(ann)
  presence.change(0)
  presence.enter(bob)
  presence.exit(bob, 100)
  assert.equal(presence.change(2_000), null)
})

test('above the limit only a count, every five seconds; below it the names again', () => {
  const presence = new Presence(LIMITS)
  const users = [1, 2, 3, 4, 5].map(nthUser)
  for (const user of users) presence.enter(user)
  assert.deepEqual(presence.change(0), { count: 5 })
  assert.deepEqual([presence.isNamed, presence.members], [false, undefined])
  presence.enter(nthUser(6))
  assert.equal(presence.change(4_999), null)
  assert.deepEqual(presence.change(5_000), { count: 6 })
  for (const user of [3, 4, 5, 6].map(nthUser)) presence.exit(user, 5_000)
  assert.deepEqual(presence.change(13_000), { count: 2, joined: [nthUser(1), nthUser(2)] })
})

test('exit of a stranger does nothing', () => {
  const presence = new Presence(LIMITS)
  presence.exit(ann, 0)
  assert.equal(presence.change(100_000), null)
})

test('any coming and going: what is told adds up to who is here', () => {
  const steps = fc.array(
    fc.record({ user: fc.integer({ min: 1, max: 4 }), ms: fc.constantFrom(0, 500, 3_000, 9_000) }),
    { maxLength: 60, size: 'max' },
  )
  const check = (all: { user: number; ms: number }[]) => {
    const presence = new Presence({ ...LIMITS, membersNamed: 4 })
    const seated = new Set<number>()
    const told = new Map<string, User>()
    const hear = (change: PresenceChange | null) => {
      for (const user of change?.left ?? []) assert.ok(told.delete(user.id))
      for (const user of change?.joined ?? []) {
        assert.ok(!told.has(user.id))
        told.set(user.id, user)
      }
      if (change) assert.equal(change.count, told.size)
    }
    let now = 0
    for (const { user, ms } of all) {
      now += ms
      if (seated.delete(user)) presence.exit(nthUser(user), now)
      else presence.enter(nthUser((seated.add(user), user)))
      hear(presence.change(now))
    }
    hear(presence.change(now + 10_000))
    assert.deepEqual([...told.keys()].sort(), [...seated].map((n) => nthUser(n).id).sort())
    assert.equal(presence.count, seated.size)
  }
  fc.assert(fc.property(steps, check), { numRuns: 300 })
})
