/** Ways into rooms and out of them: by name, as one's own private room, by invitation. */

import * as v from 'valibot'
import { addressOf, LOBBY } from './address.js'
import { ask, share } from './dialogs.js'
import { find, setText } from './dom.js'
import { Room as RoomName } from './protocol.js'
import { failureLine, fullTimeOf, plural, shutLine } from './text.js'

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./room.js').Room} Room */
/**
 * @typedef {object} DoorsOptions
 * @property {import('./api.js').Api} api
 * @property {() => Client | undefined} client
 * @property {(room: string) => void} go
 * @property {(line: import('./text.js').Line) => void} tell
 * @property {() => void} redraw
 * @property {() => void} onRemoved  a member was put out
 */

/** The server waits 8 s before it calls somebody gone, who might only be reconnecting. */
const GONE_MS = 10_000
const founding = find('found', HTMLDialogElement)
const invite = find('invite', HTMLButtonElement)

/** @param {DoorsOptions} options */
export function createDoors({ api, client, go, tell, redraw, onRemoved }) {
  /** The last invitation that did not open its door. */
  const refused = { room: '', words: '' }
  /** Ids. */
  const removed = new Set()
  const current = () => client()?.rooms.get(client()?.current ?? '')

  takeName('enter', 'room-name', 'enter-error', async (name) => {
    go(name)
    return ''
  })

  takeName('found-form', 'found-name', 'found-error', async (name) => {
    const { value, failure } = await api.createRoom(name)
    if (failure?.code === 'conflict') return 'There is a room of this name already.'
    if (failure) return failureLine(failure)
    founding.close()
    go(name)
    client()?.rooms.get(name)?.summary(value)
    return ''
  })
  find('new-room', HTMLButtonElement).onclick = () => {
    setText(find('found-error', HTMLElement), '')
    founding.showModal()
  }
  find('found-cancel', HTMLButtonElement).onclick = () => founding.close()

  invite.onclick = async () => {
    const room = current()
    if (!room) return
    const { made, failure } = await makeInvitation(room.name, true)
    if (failure) return tell([failureLine(failure)])
    share({
      ...made,
      title: `Invite to ${room.name}`,
      label: 'Invitation',
      remake: async (once) => (await makeInvitation(room.name, once)).made,
      end: () => endInvitations(room.name),
    })
  }

  /** @param {string} room @param {boolean} once  for one person */
  async function makeInvitation(room, once) {
    const { value, failure } = await api.invite(room, once)
    if (failure) return { failure }
    const until = value.expiresAt ? `, until ${fullTimeOf(value.expiresAt)}` : ''
    const text = `${once ? 'The first person' : 'Anybody'} with this address can come in${until}.`
    const href = `${location.origin}${addressOf(room)}#invite=${value.invite}`
    return { made: { text, href } }
  }

  /** @param {string} room */
  async function endInvitations(room) {
    const { value, failure } = await api.revokeInvites(room)
    if (failure) return { isOver: false, words: failureLine(failure) }
    const over = 'All invitations are over. No address given out so far works.'
    return { isOver: true, words: `${over} ${room} has ${plural(value.members, 'member')}.` }
  }

  find('room-link', HTMLButtonElement).onclick = () => {
    const room = current()
    if (!room) return
    share({
      title: `Link to ${room.name}`,
      text: room.isPrivate ? 'It opens for members only.' : 'Anybody who can sign in may enter.',
      href: location.origin + addressOf(room.name),
      label: 'Address of this room',
    })
  }

  find('leave', HTMLButtonElement).onclick = async () => {
    const room = current()
    if (!room || (room.isPrivate && !(await askToLeave(room)))) return
    if (!client()?.leave(room.name)) return tell([failureLine({ status: 0, code: 'offline' })])
    const [next] = client()?.openRooms ?? []
    go(next?.name ?? LOBBY)
  }

  /** @param {string} room @param {import('./api.js').Failure} failure */
  function refuse(room, failure) {
    const isOver = failure.code === 'forbidden' || failure.code === 'invalid'
    const over = `This invitation to ${room} is no longer good. Ask for a new one.`
    refused.room = room
    refused.words = isOver ? over : `${failureLine(failure)} Open the link again then.`
  }

  return {
    /** @param {Room} room */
    render(room) {
      invite.hidden = !room.isOwn
    },

    /** Whether somebody was put out just now, and is not shown any more. @param {string} id */
    isRemoved: (id) => removed.has(id),

    /** Out of the room that is looked at. @param {import('./protocol.js').User} user */
    async remove(user) {
      const room = current()
      if (!room || !(await askToRemove(user, room.name))) return
      const { failure } = await api.removeMember(room.name, user.id)
      if (failure && failure.code !== 'not_found') return tell([failureLine(failure)])
      removed.add(user.id)
      onRemoved()
      setTimeout(() => removed.delete(user.id) && redraw(), GONE_MS)
      redraw()
      tell([user, ` is no longer in ${room.name}.`])
      find('people', HTMLElement).focus()
    },

    /**
     * An invitation was opened: whose room it is is said first, and nobody there sees who looks.
     * @param {string} room @param {string} invite
     * @returns {Promise<boolean>} whether to go there
     */
    async invited(room, invite) {
      const { value, failure } = await api.look(room, invite)
      if (failure) refuse(room, failure)
      if (failure || value.member) return true
      if (!(await askToEnter(value))) return false
      const { failure: fault } = await api.accept(room, invite)
      refused.room = ''
      if (fault) refuse(room, fault)
      return true
    },

    /** Why a door is closed. @param {string} room @param {import('./room.js').Shut} why */
    whyShut: (room, why) => (refused.room === room ? refused.words : shutLine(room, why)),
  }
}

/**
 * A form that takes the name of a room, as people write it.
 * @param {string} form @param {string} field @param {string} problem  ids
 * @param {(name: string) => Promise<string>} onName  answers what is wrong with it, or ''
 */
function takeName(form, field, problem, onName) {
  const input = find(field, HTMLInputElement)
  find(form, HTMLFormElement).onsubmit = async (event) => {
    event.preventDefault()
    const name = input.value.trim().toLowerCase().replace(/^#/, '').replace(/\s+/g, '-')
    if (name === '') return input.focus()
    const isName = v.is(RoomName, name)
    const fault = isName ? await onName(name) : 'Letters a to z, digits and -, at most 32.'
    setText(find(problem, HTMLElement), fault)
    input.ariaInvalid = fault ? 'true' : null
    if (fault) input.focus()
    else input.value = ''
  }
}

/** @param {import('./api.js').Invited} invited */
function askToEnter({ room, owner, members }) {
  const who = members > 1 ? `all ${members} people in it` : 'everybody in it'
  return ask({
    title: owner ? [owner, ` invites you to ${room}.`] : [`You are invited to ${room}.`],
    text: [`It is a private room: ${who} will see your name, and that you came in.`],
    yes: `Enter ${room}`,
    no: 'No, thanks',
    isWary: true,
  })
}

/** @param {Room} room */
function askToLeave({ name, isOwn }) {
  const text = isOwn
    ? 'The others stay. The room is yours, so you can come back at any time, by its name.'
    : 'To come back you need a new invitation.'
  return ask({ title: [`Leave ${name}?`], text: [text], yes: 'Leave', no: 'Stay' })
}

/** @param {import('./protocol.js').User} user @param {string} room */
function askToRemove(user, room) {
  const text = 'Coming back takes a new invitation. All invitations given out so far end, too.'
  return ask({ title: ['Remove ', user, ` from ${room}?`], text: [text], yes: 'Remove' })
}
