import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mentionsIn } from '../../static/mention.js'
import { queryAt, rank } from '../../static/names.js'

test('what stands between an @ and the caret is asked for', () => {
  const at = (text: string) => queryAt(text, text.length)
  assert.deepEqual(at('@'), { start: 0, query: '' })
  assert.deepEqual(at('hi (@Gr'), { start: 4, query: 'Gr' })
  assert.deepEqual(at('你好@田'), { start: 2, query: '田' })
  assert.deepEqual(at('@ada.l-o_x'), { start: 0, query: 'ada.l-o_x' })
  assert.deepEqual(queryAt('@Grace said', 3), { start: 0, query: 'Gr' })
  assert.deepEqual(at(`${'x'.repeat(200)} @Gr`), { start: 201, query: 'Gr' })
  for (const text of ['', 'a', 'mail@a', '@Grace ', '@\n', `@${'x'.repeat(65)}`]) {
    assert.equal(at(text), null, text)
  }
})

test('first whose name starts so, then of whom another word does', () => {
  const names = ['Bob Ágoston', 'Mary-Ag', 'Ágnes', 'agatha', 'Dagmar', 'שלום Ag', 'Łukasz']
  const people = names.map((name, i) => ({ id: `${i}`, name }))
  const found = (query: string, most?: number) => rank(people, query, most).map(({ name }) => name)
  assert.deepEqual(found('AG'), ['Ágnes', 'agatha', 'Bob Ágoston', 'Mary-Ag', 'שלום Ag'])
  assert.deepEqual(found('ág', 3), ['Ágnes', 'agatha', 'Bob Ágoston'])
  assert.deepEqual(found('mary-a'), ['Mary-Ag'])
  assert.deepEqual(found('x'), [])
  assert.equal(found('').length, 6)
})

test('whom a text names: each once, not in code, at most 50', () => {
  const people = [
    { id: '1', name: 'Ada' },
    { id: '2', name: 'Ada Lovelace' },
    { id: '3', name: 'Zoé' },
  ]
  assert.deepEqual(mentionsIn('**@ada** @Zoe\u0301 @ADA @Bob', people), ['1', '3'])
  assert.deepEqual(mentionsIn('@Ada Lovelace', people), ['2'])
  assert.deepEqual(mentionsIn('`@Ada`\n```\n@Ada\n```\nmail@ada @adam \\@Ada', people), [])
  const crowd = Array.from({ length: 60 }, (_, i) => ({ id: `${i}`, name: `P${i}` }))
  assert.equal(mentionsIn(crowd.map(({ name }) => `@${name}`).join(), crowd).length, 50)
})
