/** The devices that one is signed in on: seen, ended, spoken of when one is added, or when one goes. */

import { el, find, setText } from './dom.js'
import { dayOf, failureLine, plural, timeOf } from './text.js'

/** @typedef {import('valibot').InferOutput<typeof import('./protocol.js').Device>} Device */
/** @typedef {{ at: string, address: string | null, agent: string | null }} Added */

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
  const parts = [seen, madeAt && `signed in ${momentOf(madeAt)}`, address && `from ${address}`]
  return parts.filter(Boolean).join(' · ')
}

/** @param {Omit<Added, 'at'>} device */
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
    know(value[0]?.madeAt)
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
    word.replaceChildren()
    const known = settings()?.get('devices') ?? ''
    if (at && at > known) settings()?.set('devices', at)
  }

  /** @param {Added} added */
  function speak(added, more = 0) {
    const onclick = () => know(added.at)
    const others = more > 0 ? ` And ${more} more.` : ''
    word.replaceChildren(
      el('span', {}, newDeviceLine(added) + others),
      el('button', { type: 'button', onclick: open }, 'See devices'),
      el('button', { type: 'button', onclick }, 'It was me'),
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
      const [newest, ...more] = value.filter(isNew)
      if (newest?.madeAt) speak({ ...newest, at: newest.madeAt }, more.length)
      else know(value[0]?.madeAt)
    },
    /** @param {Added} added  just now */
    heard(added) {
      if (added.at > (settings()?.get('devices') ?? '')) speak(added)
    },
    /** Nobody is here any more. */
    clear() {
      word.replaceChildren()
      list.replaceChildren()
      dialog.close()
    },
  }
}
