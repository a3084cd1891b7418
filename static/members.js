/** Who may read the private room that is looked at, or could; and a word when somebody came in. */

import { ask } from './dialogs.js'
import { find } from './dom.js'
import { failureLine } from './text.js'

/** @typedef {import('./room.js').Room} Room */
/** @typedef {import('./protocol.js').User} User */
/** @typedef {import('./api.js').Member} Member */
/**
 * @typedef {object} MembersOptions
 * @property {import('./api.js').Api} api
 * @property {() => import('./settings.js').Settings | undefined} settings
 * @property {() => string | undefined} me  id
 * @property {(line: import('./text.js').Line) => void} tell
 * @property {() => void} redraw
 */

/** After somebody came or went; once. */
const AGAIN_MS = 5_000
const NAMED = 3
const NEVER = new Date(0).toISOString()

/** As many as were asked for. @typedef {{ list: Member[], more: boolean }} List */
/** @type {List} */
const NONE = { list: [], more: false }

/** @param {MembersOptions} options */
export function createMembers({ api, settings, me, tell, redraw }) {
  const more = find('more-members', HTMLButtonElement)
  /** @type {{ room?: Room | undefined, visits?: number, now: List, past: List, newcomers: Map<string, Member> }} */
  let shown = { now: NONE, past: NONE, newcomers: new Map() }
  /** Who came into rooms that were not looked at, by room and id. @type {Map<string, Map<string, User>>} */
  const elsewhere = new Map()
  let isSoon = false
  more.onclick = () => void load(true)

  async function load(goesOn = false) {
    const { room, now: before, past: pastBefore } = shown
    if (!room) return
    const [now, past] = await Promise.all([
      read(room.name, goesOn ? before : undefined),
      read(room.name, goesOn ? pastBefore : undefined, true),
    ])
    if (!now || !past || shown.room !== room) return
    shown = { ...shown, now, past }
    more.hidden = !now.more && !past.more
    redraw()
    if (!goesOn) await tellOfNewcomers(room)
  }

  /**
   * @param {string} name @param {List} [held]  to go on with; default: from the beginning
   * @param {boolean} [past]
   * @returns {Promise<List | undefined>} undefined when it could not be had
   */
  async function read(name, held, past = false) {
    if (held && !held.more) return held
    const { list } = held ?? NONE
    const { value } = await api.members(name, { after: list.at(-1)?.user.id, past })
    return value && { list: [...list, ...value.members], more: value.more }
  }

  /**
   * Of those since the last time; who comes for the first time is told of nobody.
   * @param {Room} room
   */
  async function tellOfNewcomers({ name }) {
    const met = settings()?.get('met', name)
    const since = met || NEVER
    const found = [shown.now, shown.past].map(async ({ list, more }, i) => {
      return more
        ? ((await api.members(name, { since, past: i === 1 })).value?.members ?? [])
        : list
    })
    const rest = (await Promise.all(found)).flat()
    const late = rest.filter((member) => (member.since ?? '') > since)
    const last = late.reduce((most, { since }) => (since && since > most ? since : most), since)
    if (shown.room?.name === name) settings()?.set('met', last, name)
    const others = late.filter(({ user }) => user.id !== me())
    if (!met || others.length === 0) return
    for (const member of others) shown.newcomers.set(member.user.id, member)
    tell(newcomersLine([...shown.newcomers.values()]))
  }

  /** @param {{ room: string, user: User }} news */
  function tellOfElsewhere({ room, user }) {
    elsewhere.set(room, new Map(elsewhere.get(room)).set(user.id, user))
    tell(
      [...elsewhere].flatMap(([name, users], i) => {
        return [...(i > 0 ? [' '] : []), ...namesIn([...users.values()]), ` came into ${name}.`]
      }),
    )
  }

  function clear() {
    shown = { now: NONE, past: NONE, newcomers: new Map() }
    more.hidden = true
  }

  return {
    load,

    /** Nobody is here any more. */
    clear() {
      clear()
      elsewhere.clear()
    },

    /** At each draw. @param {Room} room */
    show(room) {
      const { name, live, isPrivate, visits } = room
      elsewhere.delete(name)
      if (!live || !isPrivate) {
        if (shown.room?.name !== name) clear()
        return
      }
      if (shown.room === room && shown.visits === visits) return
      if (shown.room !== room) clear()
      shown = { ...shown, room, visits }
      void load()
    },

    /** @param {Room} room */
    of: (room) => (shown.room === room ? shown.now.list : []),

    /** Who is a member no more. @param {Room} room */
    past: (room) => (shown.room === room ? shown.past.list : []),

    /** @param {import('./client.js').News} news */
    hear(news) {
      if (!('room' in news)) return
      if (news.room !== shown.room?.name) {
        if (news.type === 'admitted') tellOfElsewhere(news)
        return
      }
      if (news.type === 'admitted') return void load()
      if (news.type === 'owner') return void load().then(() => tellOwner(news.owner))
      if (news.type !== 'presence' || isSoon) return
      isSoon = true
      setTimeout(() => {
        isSoon = false
        void load()
      }, AGAIN_MS)
    },

    /** @param {User} user */
    async handOver(user) {
      const { room } = shown
      if (!room) return
      const text = ['Inviting and removing are up to the owner alone. You stay a member.']
      const title = ['Make ', user, ` the owner of ${room.name}?`]
      if (!(await ask({ title, text, yes: 'Make owner' }))) return
      const { failure } = await api.handOver(room.name, user.id)
      if (failure) tell([failureLine(failure)])
    },
  }

  /** @param {string} id */
  function tellOwner(id) {
    const { room, now } = shown
    const user = now.list.find((member) => member.user.id === id)?.user
    if (room && user) tell([...(id === me() ? ['You own'] : [user, ' owns']), ` ${room.name} now.`])
  }
}

/** @param {Member[]} members  @returns {import('./text.js').Line} */
function newcomersLine(members) {
  const here = members.filter(({ until }) => !until)
  const gone = members.filter(({ until }) => until)
  const how = members.every(({ owner }) => !owner) ? 'came in by invitation' : 'came in'
  /** @type {import('./text.js').Line[]} */
  const lines = [
    ...(here.length > 0 ? [[...namesIn(here.map(({ user }) => user)), ` ${how}.`]] : []),
    ...(gone.length > 0
      ? [[...namesIn(gone.map(({ user }) => user)), ` ${how}, and left again.`]]
      : []),
  ]
  return lines.flatMap((line, i) => (i > 0 ? [' ', ...line] : line))
}

/** @param {User[]} users  @returns {import('./text.js').Line} */
function namesIn(users) {
  const named = users.length > NAMED ? users.slice(0, NAMED - 1) : users
  const left = users.length - named.length
  /** @type {import('./text.js').Line} */
  const names = [...named, ...(left > 0 ? [`${left} others`] : [])]
  return names.flatMap((name, i) => {
    if (i === 0) return [name]
    return [i === names.length - 1 ? ' and ' : ', ', name]
  })
}
