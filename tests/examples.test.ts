/** The bots of examples/ answer, as processes of their own. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { test, type TestContext } from 'node:test'
import { newcomer, startServer, tempFolder, type Client } from './helpers.ts'
import { findDeno } from './deno.js'
import { ROOT } from './process.ts'
import { findProgram } from './programs.ts'

const isDeno = process.versions.deno !== undefined
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/

/** Starts a program; it and what it started end with the test. */
function startProgram(t: TestContext, command: string, args: string[], cwd = ROOT) {
  const stdio = ['ignore', 'pipe', 'pipe'] as const
  const env = { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' }
  const child = spawn(command, args, { cwd, env, stdio: [...stdio], detached: true })
  const output = { text: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output.text += text))
  }
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  t.after(async () => {
    try {
      // The whole group: a shell leaves its curl behind.
      process.kill(-Number(child.pid), 'SIGKILL')
    } catch {
      // It has ended.
    }
    await ended
  })
  const says = async (words: string) => {
    const end = performance.now() + 20_000
    while (!output.text.includes(words)) {
      assert.ok(performance.now() < end, `waited for ${words}: ${output.text}`)
      await new Promise((resolve) => child.stdout.once('data', resolve).once('close', resolve))
    }
  }
  return { says, ended, output, stop: () => process.kill(Number(child.pid), 'SIGTERM') }
}

/** Somebody asks; the answer quotes the question. */
async function assertAnswers(asker: Client, question: string, answer: RegExp, more = {}) {
  const { seq } = await asker.say('lobby', question, more)
  const heard = await asker.next('message', (entry) => entry.author.id !== asker.account.user.id)
  assert.ok(heard.kind === 'message' && heard.replyTo === seq)
  assert.match(heard.body ?? '', answer)
  return heard
}

test('bot.js answers when it is asked, and ends when it is told', async (t) => {
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  const runtime = isDeno ? ['run', '--allow-all', '--no-check'] : []
  const bot = startProgram(t, process.execPath, [...runtime, 'examples/bot.js', url])
  await bot.says('Bot listens in lobby')
  const { author } = await assertAnswers(ann, '!time', TIME)
  await assertAnswers(ann, '!roll', /^[1-6]$/)
  await assertAnswers(ann, 'Bot?', /!time/, { mentions: [author.id] })
  bot.stop()
  assert.equal(await bot.ended, 0, bot.output.text)
})

test('a program in Deno imports the client from the server itself, as docs/client.md says', async (t) => {
  const deno = findDeno()
  if (!deno) return t.skip('there is no Deno')
  const { url } = await startServer(t)
  const folder = tempFolder(t)
  const imports = { hearth: `${url}/hearth.js`, valibot: `${url}/vendor/valibot.js` }
  writeFileSync(`${folder}/deno.json`, JSON.stringify({ imports, lock: false }))
  const code = `import { connect } from 'hearth'
    const chat = await connect({ base: '${url}', name: 'Bot' })
    const { value } = await chat.say('lobby', 'from afar')
    console.log(value.seq, value.author.name)
    chat.close()`
  writeFileSync(`${folder}/bot.js`, code)
  mkdirSync(`${folder}/cache`)
  const net = `--allow-net=${url.slice(7)}`
  const env = ['-S', `DENO_DIR=${folder}/cache`, deno, 'run', '--allow-import', net, 'bot.js']
  const bot = startProgram(t, 'env', env, folder)
  assert.equal(await bot.ended, 0, bot.output.text)
  assert.match(bot.output.text, /^1 Bot$/m)
})

test('docs/client.md names every file that hearth.js needs', () => {
  const found = new Set(['hearth.js'])
  for (const name of found) {
    const code = readFileSync(`${ROOT}/static/${name}`, 'utf8')
    for (const [, next] of code.matchAll(/^import .* from '\.\/(.+)'$/gm)) found.add(next!)
  }
  const text = readFileSync(`${ROOT}/docs/client.md`, 'utf8')
  const sentence = /copy (.+?) from `static\/`/.exec(text)?.[1] ?? ''
  const named = [...sentence.matchAll(/`(.+?)`/g)].map(([, name]) => name)
  assert.deepEqual(named.sort(), [...found].sort())
})

test('bot.sh answers with curl alone', async (t) => {
  const curl = findProgram('curl')
  if (!curl) return t.skip('there is no curl')
  const { url } = await startServer(t)
  const ann = await newcomer(t, url, 'Ann')
  await ann.join('lobby')
  startProgram(t, 'sh', ['examples/bot.sh', url])
  // It says nothing of itself; a question from before it listened is not answered.
  const asking = setInterval(() => void ann.say('lobby', '!roll').catch(() => {}), 600)
  const isBots = ({ author }: { author: { name: string } }) => author.name === 'Shell'
  const first = await ann.next('message', isBots).finally(() => clearInterval(asking))
  assert.ok(first.kind === 'message' && first.replyTo)
  assert.match(first.body ?? '', /^[1-6]$/)
})
