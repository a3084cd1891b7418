/** Persons of one name are told apart; on the page: kinds.test.ts. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Namesakes } from '../../static/namesakes.js'
import { idOf } from './fakes.ts'

const person = (n: number, name: string) => ({ id: idOf(n), name })
const [dora, second, third] = [person(1, 'Dora'), person(2, 'Dora'), person(3, 'Dora')]

test('the first who wrote has the name alone; older messages may bring one before', () => {
  const namesakes = new Namesakes()
  namesakes.meet(third, 30)
  assert.equal(namesakes.orderOf(third), 1)
  namesakes.meet(second, 20)
  namesakes.meet(second, 25)
  namesakes.meet(third, 31)
  assert.deepEqual(
    [second, third].map((one) => namesakes.orderOf(one)),
    [1, 2],
  )
  assert.equal(namesakes.orderOf(dora), 3, 'who has written nothing comes after all')
  namesakes.meet(dora, 10)
  assert.deepEqual(
    [dora, second, third].map((one) => namesakes.orderOf(one)),
    [1, 2, 3],
  )
})

test('names that read alike are one; a user who has two has them apart', () => {
  const order = (first: string, later: string) => {
    const namesakes = new Namesakes()
    namesakes.meet(person(1, first), 1)
    namesakes.meet(person(2, later), 2)
    return namesakes.orderOf(person(2, later))
  }
  for (const name of ['dora', 'Ｄｏｒａ', 'Do ra', 'D.o_ra', 'Dóra'])
    assert.equal(order('Dora', name), 2, name)
  for (const name of ['Doris', 'Дора', '🔥']) assert.equal(order('Dora', name), 1, name)
  assert.equal(order('🔥', '🎉'), 1)
  const namesakes = new Namesakes()
  namesakes.meet(person(1, 'Dora'), 1)
  namesakes.meet(person(1, 'Ann'), 2)
  namesakes.meet(person(1, 'dora'), 3)
  assert.equal(namesakes.orderOf(person(1, 'dora')), 1)
  assert.equal(namesakes.orderOf(person(2, 'Ann')), 2)
})
