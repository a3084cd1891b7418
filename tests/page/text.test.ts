import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dayOf, initialOf, splitLinks, typingLine } from '../../static/text.js'

const hrefs = (text: string) => splitLinks(text).flatMap((part) => part.href ?? [])

test('links are found, and nothing of the text is lost', () => {
  const text = 'See https://a.example/b, then (http://b.example/c_(d)). Done!'
  assert.deepEqual(hrefs(text), ['https://a.example/b', 'http://b.example/c_(d)'])
  assert.equal(
    splitLinks(text)
      .map((part) => part.text)
      .join(''),
    text,
  )
})

test('what ends an address is not part of it', () => {
  assert.deepEqual(hrefs('**https://a.example/b_c**. (https://b.example/(c).).'), [
    'https://a.example/b_c',
    'https://b.example/(c)',
  ])
})

test('only http and https, and only what can be read as an address', () => {
  assert.deepEqual(hrefs('javascript:alert(1) data:text/html,x ftp://a.example www.a.example'), [])
  assert.deepEqual(hrefs('https:// http://[bad https://?'), [])
  assert.deepEqual(hrefs('https://a.example/"onclick="x <https://b.example>'), [
    'https://a.example/',
    'https://b.example',
  ])
  assert.deepEqual(splitLinks(''), [])
  // What turns the direction would show another address than the one that is opened.
  assert.deepEqual(hrefs('https://evil.example/\u202etxt.elpmaxe.doog'), ['https://evil.example/'])
})

test('days are named from where one stands', () => {
  const now = new Date(2026, 2, 1, 0, 30)
  assert.equal(dayOf(new Date(2026, 2, 1).toISOString(), now), 'Today')
  assert.equal(dayOf(new Date(2026, 1, 28, 23).toISOString(), now), 'Yesterday')
  assert.match(dayOf(new Date(2025, 1, 28).toISOString(), now), /2025/)
})

test('who is typing', () => {
  const [ada, grace, ken] = [{ name: 'Ada' }, { name: 'Grace' }, { name: 'Ken' }]
  assert.deepEqual(typingLine([]), [])
  assert.deepEqual(typingLine([ada]), [ada, ' is typing…'])
  assert.deepEqual(typingLine([ada, grace]), [ada, ' and ', grace, ' are typing…'])
  assert.deepEqual(typingLine([ada, grace, ken]), ['Several people are typing…'])
})

test('an initial is a whole letter', () => {
  assert.equal(initialOf('ada'), 'A')
  assert.equal(initialOf('👩‍🚀 Jo'), '👩‍🚀')
})
