/** Who may read the private room that is looked at, here or not; and a word when somebody came in. */

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

/** @param {MembersOptions} options */
export function createMembers({ api, settings, me, tell, redraw }) {
  const more = find('more-members', HTMLButtonElement)
  /** @type {{ room?: Room | undefined, visits?: number, list: Member[], newcomers: User[] }} */
  let shown = { list: [], newcomers: [] }
  let isSoon = false
  more.onclick = () => void load(shown.list.at(-1)?.user.id)

  /** @param {string} [after]  id */
  async function load(after) {
    const { room } = shown
    if (!room) return
    const { value } = await api.members(room.name, { after })
    if (!value || shown.room !== room) return
    shown.list = after ? [...shown.list, ...value.members] : value.members
    more.hidden = !value.more
    redraw()
    if (!after) await tellOfNewcomers(room, value)
  }

  /**
   * Of those since the last time; who comes for the first time is told of nobody.
   * @param {Room} room @param {{ members: Member[], more: boolean }} page
   */
  async function tellOfNewcomers({ name }, page) {
    const met = settings()?.get('met', name)
    const since = met || NEVER
    const rest = page.more ? (await api.members(name, { since })).value?.members : page.members
    const late = (rest ?? []).filter((member) => (member.since ?? '') > since)
    const last = late.reduce((most, { since }) => (since && since > most ? since : most), since)
    if (shown.room?.name === name) settings()?.set('met', last, name)
    const others = late.filter(({ user }) => user.id !== me())
    if (!met || others.length === 0) return
    shown.newcomers.push(...others.map(({ user }) => user))
    const isInvited = others.every(({ owner }) => !owner)
    tell([...namesIn(shown.newcomers), isInvited ? ' came in by invitation.' : ' came in.'])
  }

  function clear() {
    shown = { list: [], newcomers: [] }
    more.hidden = true
  }

  return {
    load,
    clear,

    /** At each draw. @param {Room} room */
    show(room) {
      const { name, live, isPrivate, visits } = room
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
    of: (room) => (shown.room === room ? shown.list : []),

    /** @param {import('./client.js').News} news */
    hear(news) {
      if (!('room' in news) || news.room !== shown.room?.name) return
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
    const { room, list } = shown
    const user = list.find((member) => member.user.id === id)?.user
    if (room && user) tell([...(id === me() ? ['You own'] : [user, ' owns']), ` ${room.name} now.`])
  }
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
