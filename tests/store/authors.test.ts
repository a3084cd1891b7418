/** What users are is asked once for each, as long as there is room to keep it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createReadAuthors } from '../../src/store/authors.ts'
import type { Work } from '../../src/store/sql.ts'
import { dialect } from '../../src/cluster/driver.ts'
import { nthUser } from './drafts.ts'

const KINDS = ['guest', 'admin', 'member', null]

const rowsOf = (...users: number[]) =>
  users.map((n) => ({ author_id: nthUser(n).id, author_name: `Once ${n}` }))

const told = (...users: number[]) =>
  users.map((n) => {
    const kind = [undefined, 'admin', 'foreign', undefined][n % 4]
    return { id: nthUser(n).id, name: `Once ${n}`, ...(kind && { kind }) }
  })

/** Begins a work. @returns for whom it asks, and what ends it with the answer */
function begin<T>(work: Work<T>) {
  const step = work.next()
  if (step.done) return { asked: [], end: () => step.value }
  const [id] = step.value[0]!.values
  const asked = (JSON.parse(String(id)) as { id: string }[]).map((user) => user.id)
  const end = () => {
    const answer = asked.map((user) => ({ id: user, kind: KINDS[Number(user.slice(-12)) % 4] }))
    const last = work.next([answer])
    assert.ok(last.done, 'it asks once')
    return last.value
  }
  return { asked, end }
}

test('authors have the names of their rows, and what they are is asked once', () => {
  const read = createReadAuthors({ dialect })
  const first = begin(read(rowsOf(4, 5, 6, 7, 5)))
  assert.deepEqual(
    first.asked,
    [4, 5, 6, 7].map((n) => nthUser(n).id),
  )
  assert.deepEqual(first.end(), told(4, 5, 6, 7, 5))
  const again = begin(read(rowsOf(7, 6, 5, 4)))
  assert.deepEqual([again.asked, again.end()], [[], told(7, 6, 5, 4)], 'also who is not there')
  const more = begin(read(rowsOf(5, 9)))
  assert.deepEqual([more.asked, more.end()], [[nthUser(9).id], told(5, 9)])
  assert.deepEqual(begin(read([])).end(), [])
})

test('what is kept has a bound, and who waits meanwhile loses nothing', () => {
  const read = createReadAuthors({ dialect }, 3)
  begin(read(rowsOf(1, 2))).end()
  const [one, two] = [begin(read(rowsOf(1, 5, 6))), begin(read(rowsOf(2, 9)))]
  assert.deepEqual(one.end(), told(1, 5, 6))
  assert.deepEqual(begin(read(rowsOf(1))).asked, [nthUser(1).id], 'it starts anew')
  assert.deepEqual(two.end(), told(2, 9))
})
