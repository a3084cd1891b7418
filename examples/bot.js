/** A bot: answers `!time`, `!roll` and whoever mentions it. `node examples/bot.js https://…` */

import process from 'node:process'
import { connect } from '../static/hearth.js'

const [base = 'http://127.0.0.1:3000', name = 'Bot', room = 'lobby'] = process.argv.slice(2)
// A guest's name is taken for as long as its session: keep `chat.token` for the next start.
const who = process.env.TOKEN ? { token: process.env.TOKEN } : { name }
// Node 20 brings no WebSocket of its own.
const WebSocket = globalThis.WebSocket ?? (await import('ws')).WebSocket
const chat = await connect({ base, WebSocket, ...who })

/** @param {import('../static/client.js').Said} message */
function answerTo({ author, body, mentions }) {
  if (author.id === chat.user.id) return undefined
  if (body === '!time') return new Date().toISOString()
  if (body === '!roll') return String(1 + Math.floor(Math.random() * 6))
  return mentions?.includes(chat.user.id) ? 'I know `!time` and `!roll`.' : undefined
}

chat.on('message', async ({ room, entry }) => {
  const answer = answerTo(entry)
  if (answer === undefined) return
  // With the id of its question an answer is said once, however often the question is heard.
  const { failure } = await chat.say(room, answer, { replyTo: entry.seq, id: entry.id })
  if (failure) console.error('not said:', failure.code)
})
const { failure } = await chat.join(room)
console.log(failure ? `not in ${room}: ${failure.code}` : `${chat.user.name} listens in ${room}`)
process.once('SIGTERM', () => chat.close())
