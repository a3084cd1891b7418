/** What a room holds in the end, whatever happened on the way: exactly what the log says. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Entry, Message } from '../../static/protocol.js'
import { Room } from '../../static/room.js'
import { react, type Item } from '../../static/timeline.js'
import { entryOf, FakeClock, me, messageOf, other } from './fakes.ts'

/** So much of a page is sent at once; a real one has 64 KiB. */
const MOST = 7
/** More missed than this, and a join starts afresh. */
const RESUME = 20
const EMOJI = ['🔥', '👍']

/** A message as the log has it at `head`; an entry that is none has no place in a page. */
function read(log: Entry[], seq: number, head: number): Message[] {
  const said = log[seq - 1]
  if (said?.kind !== 'message') return []
  const changes = log.slice(0, head).filter((one) => 'target' in one && one.target === seq)
  const isGone = changes.some(({ kind }) => kind === 'delete')
  const edit = changes.findLast((one) => one.kind === 'edit')
  const { id, author, at, body } = said
  if (isGone) return [messageOf(seq, { id, author, at, body: undefined!, deleted: true })]
  const reactions = changes.reduce<Item['reactions']>(
    (all, one) => (one.kind === 'reaction' ? react(all, one) : all),
    [],
  )
  return [messageOf(seq, { id, author, at, body: edit?.body ?? body!, reactions })]
}

/** What both sides must agree on. */
const gist = ({ seq, body, deleted, reactions }: Message) => ({
  seq,
  body,
  deleted,
  reactions: reactions.map(({ emoji, users }) => `${emoji} ${users.toSorted().join()}`).sort(),
})

/** The server's side of one room, and the wire between, on which everything takes its time. */
class Model {
  log: Entry[] = []
  clock = new FakeClock()
  asked = 0
  #sent = 0
  #isLive = false
  #isOpen = true
  /** Frames of the client that wait for their turn. */
  #waiting: { type: string; before?: number; limit?: number; after?: number; epoch?: string }[] = []
  /** A page that was read, and is not sent yet. */
  #page: object | undefined
  #wire: object[] = []
  room = new Room('lobby', {
    me: me.id,
    clock: this.clock,
    send: (frame) => {
      if (!this.#isOpen) return false
      this.asked += 1
      this.#waiting.push(frame as never)
      return true
    },
    onChange: () => {},
  })

  append(kind: Entry['kind'], target: number, isOwn: boolean) {
    const seq = this.log.length + 1
    const author = isOwn ? me : other
    const said = this.log[target % seq]
    const [hit] = said ? read(this.log, said.seq, seq) : []
    if (kind === 'message' || !hit || hit.deleted) {
      this.log.push(entryOf(seq, 'message', { body: `message ${seq}`, author }))
    } else if (kind === 'edit') {
      this.log.push(entryOf(seq, 'edit', { target: hit.seq, body: `edited ${seq}`, author }))
    } else if (kind === 'delete') {
      this.log.push(entryOf(seq, 'delete', { target: hit.seq, author }))
    } else {
      const [emoji, on] = [EMOJI[seq % 2]!, seq % 3 > 0]
      this.log.push(entryOf(seq, 'reaction', { target: hit.seq, emoji, on, author }))
    }
  }

  flush() {
    if (this.#isLive) this.#wire.push(...this.log.slice(this.#sent))
    this.#sent = this.log.length
  }

  /** Takes the next frame, or sends the page that the last one asked for. */
  serve() {
    if (this.#page) return this.#sendPage()
    const frame = this.#waiting.shift()
    if (frame?.type === 'history') {
      this.#page = this.#read(frame.limit, frame.before)
    } else if (frame?.type === 'join') this.#join(frame)
  }

  /** As when the log behind the server was found to be another one, or a seat too slow. */
  startAfresh() {
    if (this.#isLive) this.#greet(true)
  }

  deliver() {
    const event = this.#wire.shift() as { type: string } | undefined
    if (event?.type === 'joined') this.room.joined(event as never)
    if (event?.type === 'history') this.room.page(event as never)
    if (event?.type === 'message') this.room.entry(event as never)
    this.room.seek()
    return event !== undefined
  }

  cut() {
    this.#isOpen = this.#isLive = false
    this.#waiting = []
    this.#wire = []
    this.#page = undefined
    this.room.disconnected()
  }

  open() {
    if (this.#isOpen) return
    this.#isOpen = true
    this.room.join()
  }

  /** Until nothing is on its way any more. */
  settle() {
    this.open()
    const before = this.asked
    while (this.#waiting.length > 0 || this.#page || this.#wire.length > 0) {
      this.serve()
      this.flush()
      this.deliver()
      assert.ok(this.asked - before < 300, 'it asks and asks')
    }
    this.room.checkHead(this.log.length)
  }

  #join({ after, epoch }: { after?: number; epoch?: string }) {
    this.flush()
    const isTooFar = after !== undefined && this.log.length - after > RESUME
    if (after === undefined || epoch !== 'e' || isTooFar) return this.#greet(isTooFar)
    const joined = { type: 'joined', room: 'lobby', epoch: 'e', count: 1, private: false }
    this.#wire.push({ ...joined, head: this.log.length, from: after + 1, reset: false })
    this.#wire.push(...this.log.slice(after))
    this.#isLive = true
  }

  #greet(reset: boolean) {
    this.flush()
    const head = this.log.length
    const joined = { type: 'joined', room: 'lobby', epoch: 'e', count: 1, private: false }
    const { before: _before, ...page } = this.#read(MOST)
    this.#wire.push({ ...joined, head, from: head + 1, reset }, page)
    this.#isLive = true
  }

  #sendPage() {
    this.#wire.push(this.#page!)
    this.#page = undefined
  }

  #read(limit = MOST, before = Infinity) {
    const head = this.log.length
    const all = this.log.flatMap(({ seq }) => (seq < before ? read(this.log, seq, head) : []))
    const messages = all.slice(-Math.min(limit, MOST))
    const more = messages.length < all.length
    return { type: 'history', room: 'lobby', head, messages, more, before }
  }
}

type Step = (model: Model) => void
const spot = fc.nat(60)
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(
        fc.constantFrom<Entry['kind'][]>('message', 'edit', 'edit', 'delete', 'reaction'),
        spot,
        fc.boolean(),
        fc.constantFrom(1, 4, 8, 25),
      )
      .map(([kind, target, isOwn, times]): Step => (model) => {
        for (let n = 0; n < times; n++) model.append(kind, target + n, isOwn)
      }),
  },
  ...[1, 2, 3, 4].map(() => fc.constant<Step>((model) => model.serve())),
  ...[1, 2, 3].map(() => fc.constant<Step>((model) => model.flush())),
  ...[1, 2, 3, 4, 5].map(() => fc.constant<Step>((model) => void model.deliver())),
  fc.constant<Step>((model) => model.cut()),
  ...[1, 2].map(() => fc.constant<Step>((model) => model.open())),
  ...[1, 2].map(() => fc.constant<Step>((model) => model.startAfresh())),
  fc.constant<Step>((model) => model.settle()),
  ...[1, 2].map(() =>
    spot.map(
      (seq): Step =>
        (model) =>
          model.room.look(seq),
    ),
  ),
  spot.map(
    (seq): Step =>
      (model) =>
        model.room.peek(seq),
  ),
  fc.constant<Step>((model) => model.room.older()),
  fc.constant<Step>((model) => model.room.newer()),
  fc.nat(9).map((keep): Step => (model) => {
    model.room.look()
    model.room.timeline.trim(keep)
  }),
)

test('a room ends with what the log says, without a hole inside a stretch, and never twice', () => {
  const check = (size: number, many: Step[]) => {
    const model = new Model()
    for (let n = 0; n < size; n++) model.append('message', 0, false)
    model.room.join()
    model.settle()
    for (const step of many) step(model)
    model.settle()
    model.settle()
    const { log, room } = model
    const { stretches, position } = room.timeline
    assert.equal(position, log.length)
    assert.equal(stretches.at(-1)?.end, Infinity)
    for (const [i, { items, start, end }] of stretches.entries()) {
      assert.ok(start < end && (stretches[i - 1]?.end ?? -1) < start, 'apart')
      const wanted = log.filter(({ seq }) => start <= seq && seq < end)
      const held = wanted.flatMap(({ seq }) => read(log, seq, log.length))
      assert.deepEqual(items.map(gist), held.map(gist))
    }
    if (room.place !== undefined) assert.ok(room.timeline.stretchAt(room.place))
  }
  fc.assert(
    fc.property(fc.nat(60), fc.array(steps, { minLength: 10, maxLength: 60, size: 'max' }), check),
    { numRuns: 300 },
  )
})
