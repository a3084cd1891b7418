/** What has happened before the curtain rises: a server on an evening in November, and its people. */

import type { TestContext } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { newcomer, post, signIn, startServer, type Client } from '../helpers.ts'
import { freePort } from '../process.ts'
import { startProxy, type FaultProxy } from '../proxy.ts'
import { FRAMES, LIVELY } from './people.ts'

/** When the pictures are taken, in the pages as well. */
export const NOW = '2026-11-19T19:40:00Z'
const ADMIN = 'a-token-for-the-admin'
const CODE = `\`\`\`
const celsius = (raw) => ((raw - 32) * 5) / 9
console.log(celsius(sensor.read())) // -5.8
\`\`\``
const DAYS = [
  'Frost on the window, and the kettle sings.',
  'Ash cleared, oak stacked, chimney swept.',
  'Rain all day. Nobody wants to leave the fire.',
  'A robin came as far as the door.',
  'The first swallows are back over the barn.',
]

type Names = 'ada' | 'grace' | 'linus' | 'margaret'
export interface Story {
  /** Through a network that can fail. */
  url: string
  network: FaultProxy
  people: Record<Names, Client>
  /** Margaret asks somebody for tea. @param id  of whom she names */
  askFor(id: string): Promise<unknown>
  /** In a garden where one was before. */
  talkOfTulips(): Promise<unknown>
  /** Comes in by an invitation. */
  accept(client: Client, room: string, invite: string): Promise<unknown>
  ban(id: string): Promise<unknown>
  /** The address that signs in another device of theirs. */
  linkOf(client: Client): Promise<string>
}

export async function tellStory(t: TestContext): Promise<Story> {
  let shift = 0
  const at = (time: string) => void (shift = Date.parse(time) - Date.now())
  const clock = { ...systemClock, date: () => new Date(Date.now() + shift) }
  at('2026-11-18T17:58:00Z')
  const port = await freePort()
  const network = await startProxy(t, port)
  const address = `http://127.0.0.1:${network.port}`
  const env = { PORT: `${port}`, ALLOWED_ORIGINS: address, ADMIN_TOKEN: ADMIN }
  const { url } = await startServer(t, { clock, env: { ...LIVELY, ...FRAMES, ...env } })
  const [ada, grace, linus, margaret] = await Promise.all(
    ['Ada', 'Grace', 'Linus', 'Margaret'].map((name) => newcomer(t, url, name)),
  )
  if (!ada || !grace || !linus || !margaret) throw new Error('nobody came')
  for (const client of [ada, grace, linus, margaret]) await client.join('lobby')
  for (const room of ['garden', 'kitchen', 'almanac', 'bazaar']) await margaret.join(room)
  await ada.join('garden')

  const wrong = await linus.say('lobby', 'Wrong room, sorry.')
  await ada.say(
    'lobby',
    'The stove room is ours on **Thursday**. The list: https://example.org/list',
  )
  at('2026-11-18T18:05:00Z')
  const slip = await grace.say('lobby', 'I bring the wod.')
  await change(grace, { type: 'edit', target: slip.seq, body: 'I bring the wood.' })
  await change(linus, { type: 'delete', target: wrong.seq })
  at('2026-11-19T19:21:00Z')
  const riddle = await linus.say(
    'lobby',
    `Who reads code? The hearth is *not* at −5.8 °C:\n${CODE}`,
  )
  at('2026-11-19T19:24:00Z')
  const body = 'The sensor speaks Celsius already. Leave out `celsius()` and it is _warm_ again.'
  const answer = await change(grace, { type: 'say', body, replyTo: riddle.seq })
  for (const client of [ada, margaret]) await react(client, answer, '👍')
  await react(linus, answer, '🎉')
  at('2026-11-19T19:27:00Z')
  const thanks = await linus.say('lobby', 'That was it. 21.5 °C, thank you!')
  for (const client of [ada, grace, margaret]) await react(client, thanks, '🔥')

  await margaret.say('garden', 'Who waters the beds this week?')
  await ada.say('garden', 'I do.')
  await margaret.say('kitchen', 'Soup at seven.')
  await keepAlmanac(margaret)
  await crossTheBazaar(t, url)
  at(NOW)
  const root = await signIn(url, 'Root', { admin: ADMIN })
  await post(`${url}/api/rooms`, { room: 'vault' }, root.token)
  return {
    url: address,
    network,
    people: { ada, grace, linus, margaret },
    async askFor(id) {
      at('2026-11-19T19:38:00Z')
      const body =
        '@Rosa, do you bring the tea? Then I bring [the good cups](https://example.org/cups).'
      await margaret.say('lobby', body, { mentions: [id] })
      at(NOW)
    },
    async talkOfTulips() {
      await margaret.say('garden', 'Somebody dug up the tulips!')
      await ada.say('garden', 'The badger again. I saw it at four.')
      await ada.say('garden', 'We could plant garlic between them.')
    },
    async accept(client, room, invite) {
      await post(`${url}/api/rooms/${room}/members`, { invite }, client.account.token)
      await client.join(room)
    },
    async linkOf(client) {
      const response = await post(`${url}/api/session/link`, {}, client.account.token)
      const { link } = (await response.json()) as { link: string }
      return `${address}/#link=${link}`
    },
    ban(id) {
      const headers = { authorization: `Bearer ${root.token}` }
      return fetch(`${url}/api/users/${id}`, { method: 'DELETE', headers })
    },
  }
}

/** Something that is not just a message, in the lobby. @returns what the server makes of it */
function change(client: Client, frame: object) {
  const id = crypto.randomUUID()
  client.send({ room: 'lobby', id, ...frame })
  return client.next('message', (event) => event.id === id)
}

const react = (client: Client, { seq }: { seq: number }, emoji: string) =>
  change(client, { type: 'react', target: seq, emoji, on: true })

/** So long that one has to search in it. */
async function keepAlmanac(margaret: Client) {
  for (let day = 1; day <= 150; day++) {
    const body = `Day ${day}. ${DAYS[day % DAYS.length]}`
    margaret.send({ type: 'say', room: 'almanac', id: crypto.randomUUID(), body })
  }
  await margaret.say('almanac', 'Day 151. Winter is over.')
}

/** Where people write from the right. */
async function crossTheBazaar(t: TestContext, url: string) {
  const [noor, dana] = [await newcomer(t, url, 'نور'), await newcomer(t, url, 'דנה')]
  for (const client of [noor, dana]) await client.join('bazaar')
  await noor.say('bazaar', 'مساء الخير! هل الموقد مشتعل؟ **نلتقي الساعة السابعة** كما في كل مرة.')
  const { seq } = await dana.say('bazaar', 'כן, בואו להתחמם 🔥 הקוד לדלת: `4711`')
  const id = crypto.randomUUID()
  const body = 'ممتاز. أكتب أيضًا ما قاله Linus: the door sticks, pull hard.'
  noor.send({ type: 'say', room: 'bazaar', id, body, replyTo: seq })
  await noor.next('message', (event) => event.id === id)
  dana.send({
    type: 'react',
    room: 'bazaar',
    id: crypto.randomUUID(),
    target: seq,
    emoji: '🔥',
    on: true,
  })
  await dana.say('bazaar', 'Thank you both!')
}
