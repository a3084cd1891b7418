/** What the page says of devices, and asks before one signs out. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deviceLine, newDeviceLine, partingQuestion, programOf } from '../../static/devices.js'

const APPLE = 'AppleWebKit/605.1.15 (KHTML, like Gecko)'
const BLINK = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0'

test('a program is named in plain words, and one that is not known in none of its own', () => {
  const named: [string | null, string][] = [
    ['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox on Linux'],
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${BLINK} Safari/537.36`, 'Chrome on Windows'],
    [`Mozilla/5.0 (Windows NT 10.0) ${BLINK} Safari/537.36 Edg/140.0`, 'Edge on Windows'],
    [`Mozilla/5.0 (X11; Linux x86_64) ${BLINK} Safari/537.36 OPR/120.0`, 'Opera on Linux'],
    [`Mozilla/5.0 (Linux; Android 10; K) ${BLINK} Mobile Safari/537.36`, 'Chrome on Android'],
    [`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${BLINK} Safari/537.36`, 'Chrome on ChromeOS'],
    [
      `Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 SamsungBrowser/28.0 Chrome/130.0`,
      'Samsung Internet on Android',
    ],
    [
      `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${APPLE} Version/18.6 Safari/605.1.15`,
      'Safari on Mac',
    ],
    [
      `Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${APPLE} Version/18.6 Mobile Safari/1`,
      'Safari on iPhone',
    ],
    [
      `Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${APPLE} CriOS/140.0 Safari/1`,
      'Chrome on iPhone',
    ],
    ['curl/8.14.1', 'curl'],
    ['a bot (Linux)', 'Unknown program on Linux'],
    ['Your own phone, trust me', 'Unknown program'],
    ['', 'Unknown program'],
    [null, 'Unknown program'],
  ]
  for (const [agent, name] of named) assert.equal(programOf(agent), name, agent ?? 'null')
})

test('of a device it is said what is known', () => {
  const seenAt = new Date().toISOString()
  const nothing = { id: 'x'.repeat(16), madeAt: null, seenAt, address: null, agent: null }
  assert.match(deviceLine(nothing), /^Last used today, \d+/)
  assert.equal(deviceLine({ ...nothing, here: true }), 'In use now')
  const whole = { ...nothing, madeAt: '2024-02-29T12:00:00.000Z', address: '192.0.2.1' }
  assert.match(
    deviceLine(whole),
    /^Last used today, .* · signed in .*29.*2024.* from 192\.0\.2\.1$/,
  )
  assert.equal(
    newDeviceLine({ address: '2001:db8::', agent: 'evil' }),
    'A new device is signed in as you: Unknown program, from 2001:db8::. Not you?',
  )
})

test('before signing out there is asked what there is to ask, once', () => {
  const ask = (more: object) => {
    const none = { name: 'Ann', isGuest: true, unsent: 0, others: 0, owned: [] }
    const question = partingQuestion({ ...none, ...more })
    const text = question?.text.map((part) => (typeof part === 'string' ? part : `<${part.name}>`))
    return question && [text?.join('').trim(), question.yes, question.also]
  }
  assert.equal(ask({}), undefined)
  assert.equal(ask({ isGuest: false, owned: ['vault'] }), undefined, 'who comes back owns it still')
  const lost = '2 messages were not sent yet, and would be lost.'
  assert.deepEqual(ask({ unsent: 2 }), [lost, 'Sign out', undefined])
  const nobody = 'nobody can invite or remove people there'
  assert.deepEqual(ask({ owned: ['vault'] }), [
    `The name <Ann> is free for others then, and nobody owns vault: ${nobody}.`,
    ...['Sign out', undefined],
  ])
  assert.deepEqual(ask({ others: 1, isGuest: false, owned: ['vault'] }), [
    'You are signed in on 1 other device.',
    ...['Here only', 'Everywhere'],
  ])
  assert.deepEqual(ask({ unsent: 2, others: 3, owned: ['attic', 'den', 'vault'] }), [
    `${lost} You are signed in on 3 other devices. If you sign out everywhere, the name <Ann> is ` +
      `free for others then, and nobody owns attic, den and vault: ${nobody}.`,
    ...['Here only', 'Everywhere'],
  ])
})
