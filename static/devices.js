/** The devices that one is signed in on: seen, ended, spoken of when one is added, or when one goes. */

import { el, find, setText } from './dom.js'
import { dayOf, failureLine, plural, timeOf } from './text.js'

/** @typedef {import('valibot').InferOutput<typeof import('./protocol.js').Device>} Device */
/** @typedef {{ id: string, at: string, address: string | null, agent: string | null }} Added */

/** The first that fits counts: many programs say that they are others, too. */
const PROGRAMS = {
  Edge: /\bEdg(e|A|iOS)?\//,
  Opera: /\bOP[RT]\//,
  'Samsung Internet': /\bSamsungBrowser\//,
  Firefox: /\b(Firefox|FxiOS)\//,
  Chrome: /\b(Chrom(e|ium)|CriOS)\//,
  Safari: /\bVersion\/.* Safari\//,
  curl: /^curl\//,
}
const SYSTEMS = {
  iPhone: /\biPhone\b/,
  iPad: /\biPad\b/,
  Android: /\bAndroid\b/,
  Windows: /\bWindows\b/,
  ChromeOS: /\bCrOS\b/,
  Mac: /\bMacintosh\b/,
  Linux: /\bLinux\b/,
}

/**
 * What a `User-Agent` says, in plain words; never its own, which may be anybody's.
 * @param {string | null} agent
 */
export function programOf(agent) {
  const nameIn = (/** @type {Record<string, RegExp>} */ signs) =>
    Object.keys(signs).find((name) => signs[name]?.test(agent ?? ''))
  const system = nameIn(SYSTEMS)
  return (nameIn(PROGRAMS) ?? 'Unknown program') + (system ? ` on ${system}` : '')
}

/** @param {string} at */
const momentOf = (at) =>
  `${dayOf(at).replace(/^(Today|Yesterday)$/, (day) => day.toLowerCase())}, ${timeOf(at)}`

/** @param {Device} device */
export function deviceLine({ madeAt, seenAt, address, here, current }) {
  const seen = here || current ? 'In use now' : `Last used ${momentOf(seenAt)}`
  // The address is that of then: a stolen session may be used from another one.
  const origin = [madeAt && momentOf(madeAt), address && `from ${address}`].filter(Boolean)
  return origin.length > 0 ? `${seen} · signed in ${origin.join(' ')}` : seen
}

/** @param {Omit<Added, 'id' | 'at'>} device */
export function newDeviceLine({ address, agent }) {
  const from = address === null ? '' : `, from ${address}`
  return `A new device is signed in as you: ${programOf(agent)}${from}. Not you?`
}

/**
 * What there is to ask before one signs out; undefined: nothing. A guest's name is free, and the
 * rooms without an owner, once no device is left.
 * @param {{ name: string, isGuest: boolean, unsent: number, others: number, owned: string[] }} user
 * @returns {import('./dialogs.js').Question | undefined}
 */
export function partingQuestion({ name, isGuest, unsent, others, owned }) {
  const isLoss = isGuest && (others > 0 || owned.length > 0)
  if (unsent === 0 && others === 0 && !isLoss) return undefined
  /** @type {import('./text.js').Line} */
  const text = []
  const were = plural(unsent, 'message was', 'messages were')
  if (unsent > 0) text.push(`${were} not sent yet, and would be lost. `)
  if (others > 0) text.push(`You are signed in on ${plural(others, 'other device')}. `)
  if (isLoss) {
    text.push(others > 0 ? 'If you sign out everywhere, the name ' : 'The name ', { name })
    text.push(` is free for others then${ownerless(owned)}.`)
  }
  const buttons = others > 0 ? { yes: 'Here only', also: 'Everywhere' } : { yes: 'Sign out' }
  return { title: ['Sign out?'], text, ...buttons, no: 'Stay' }
}

/** @param {string[]} rooms */
function ownerless(rooms) {
  if (rooms.length === 0) return ''
  const named = [rooms.slice(0, -1).join(', '), rooms.at(-1)].filter(Boolean).join(' and ')
  return `, and nobody owns ${named}: nobody can invite or remove people there`
}

/**
 * From when on a device is new. All may be from before it was kept when one was made: then from when
 * one of them was seen.
 * @param {Device[]} devices  newest first
 */
const timeOfNewest = ([newest]) => newest?.madeAt ?? newest?.seenAt

/**
 * @param {object} options
 * @param {import('./api.js').Api} options.api
 * @param {() => import('./settings.js').Settings | undefined} options.settings  of who is signed in
 */
export function createDevices({ api, settings }) {
  const dialog = find('devices', HTMLDialogElement)
  const title = find('devices-title', HTMLElement)
  const list = find('device-list', HTMLElement)
  const note = find('devices-note', HTMLElement)
  const endOthers = find('end-others', HTMLButtonElement)
  const word = find('device-news', HTMLElement)

  /** Those that were added and not seen to yet, by id; the newest last. @type {Map<string, Added>} */
  const unseen = new Map()

  find('show-devices', HTMLButtonElement).onclick = open
  endOthers.onclick = () => end(undefined, 'All others were signed out.')

  function open() {
    list.replaceChildren()
    endOthers.hidden = true
    setText(note, '')
    if (!dialog.open) dialog.showModal()
    void show('')
  }

  /** @param {string} words  what was done */
  async function show(words) {
    const { value, failure } = await api.sessions()
    setText(note, failure ? failureLine(failure) : words)
    if (!value || !settings()) return
    know(timeOfNewest(value))
    endOthers.hidden = value.length < 2
    list.replaceChildren(...value.map(renderDevice))
    if (!dialog.contains(document.activeElement)) title.focus()
  }

  /** @param {Device} device */
  function renderDevice(device) {
    const { id, agent, current } = device
    const program = programOf(agent)
    const line = deviceLine(device)
    const about = el('p', {}, el('b', {}, program), el('span', { className: 'hint' }, line))
    if (current) return el('li', {}, about, el('span', { className: 'hint' }, 'this device'))
    const onclick = () => end(id, `${program} was signed out.`)
    const button = el('button', { type: 'button', onclick }, 'Sign out')
    button.ariaLabel = `Sign out ${program}: ${line}`
    return el('li', {}, about, button)
  }

  /** @param {string | undefined} id  default: all others @param {string} words */
  async function end(id, words) {
    title.focus()
    const { failure } = await api.endSessions(id)
    await show(failure && failure.status !== 404 ? failureLine(failure) : words)
  }

  /** Nothing older is spoken of again. @param {string | null | undefined} at */
  function know(at) {
    unseen.clear()
    word.replaceChildren()
    const known = settings()?.get('devices') ?? ''
    if (at && at > known) settings()?.set('devices', at)
  }

  /** @param {Added[]} added  newest last */
  function speak(added) {
    for (const device of added) unseen.set(device.id, device)
    const newest = [...unseen.values()].at(-1)
    if (!newest) return
    const more = unseen.size - 1
    const onclick = () => know(newest.at)
    word.replaceChildren(
      el('span', {}, newDeviceLine(newest) + (more > 0 ? ` And ${more} more.` : '')),
      el('button', { type: 'button', onclick: open }, 'See devices'),
      el('button', { type: 'button', onclick }, more > 0 ? 'All were me' : 'It was me'),
    )
  }

  return {
    /** Speaks of what was added while nobody was here; in a browser that is new, of nothing. */
    async check() {
      const { value } = await api.sessions()
      const known = settings()?.get('devices')
      if (!value || known === undefined) return
      const isNew = (/** @type {Device} */ { madeAt, current }) =>
        known !== '' && !current && madeAt !== null && madeAt > known
      const added = value.filter(isNew).map((device) => ({ ...device, at: device.madeAt ?? '' }))
      if (added.length > 0) speak(added.reverse())
      else if (unseen.size === 0) know(timeOfNewest(value))
    },
    /** @param {Added} added  just now */
    heard(added) {
      if (added.at > (settings()?.get('devices') ?? '')) speak([added])
    },
    /** Nobody is here any more. */
    clear() {
      unseen.clear()
      word.replaceChildren()
      list.replaceChildren()
      dialog.close()
    },
  }
}
