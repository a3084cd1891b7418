/** The work of each tool grows as the log does: the plans of all that it asks, and rows counted. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Draft } from '../../src/store/log.ts'
import type { Query, Sql, Statement, Work } from '../../src/store/sql.ts'
import { violations } from '../../tools/check.ts'
import { exportLines } from '../../tools/export.ts'
import { forgetUser } from '../../tools/forget.ts'
import { importLines } from '../../tools/import.ts'
import type { Line } from '../../tools/lines.ts'
import { retainRoom } from '../../tools/retain.ts'
import { useStore } from '../../tools/place.ts'
import { queryOf, snapshot, type Store } from '../../tools/store.ts'
import { startPostgres } from '../postgres.ts'
import { ann, bob, edit, erase, nthUser, react, say } from '../store/drafts.ts'
import { configOf, newFile, withLog, type Env } from './places.ts'

/** More than two pieces of any tool. */
const ENTRIES = 5_000
/** The same of those that take a rest between them. */
const FEW = 120
const cid = nthUser(3)
const LATER = new Date('2100-01-01')

/** A room in which a third of the entries is about others. */
function talk(entries: number): Draft[] {
  const drafts: Draft[] = []
  while (drafts.length < entries) {
    const first = FEW + drafts.length + 1
    drafts.push(say(ann, 'one'), say(bob, 'two'), say(ann, 'three', { replyTo: first }))
    drafts.push(say(ann), say(bob), say(ann), say(bob), say(ann), say(ann), say(ann))
    drafts.push(edit(ann, first), react(bob, first), erase(bob, first + 1), edit(ann, first))
    drafts.push(react(ann, first + 2), react(ann, first + 2, '👍', { on: false }))
  }
  return drafts
}

/** A file with it. */
async function newTalk(t: TestContext, entries = ENTRIES): Promise<Env> {
  const env = await newFile(t)
  const quietly = { room: 'garden' }
  const few = Array.from({ length: FEW }, () => [say(cid), say(bob, 'away', quietly)])
  const drafts = [...few.flat(), ...talk(entries)]
  await withLog(t, env, async ({ log }) => {
    for (let at = 0; at < drafts.length; at += 500) await log.append(drafts.slice(at, at + 500))
  })
  return env
}

interface Asked {
  text: string
  values: readonly unknown[]
  count: number
}

/** What `work` asks of a store, each text once. */
async function recorded(store: Store, work: (store: Store) => Promise<unknown>): Promise<Asked[]> {
  const asked = new Map<string, Asked>()
  const sql = listening(store.sql, ({ text, values }) => {
    asked.set(text, { text, values, count: (asked.get(text)?.count ?? 0) + 1 })
  })
  await work({ ...store, sql, query: queryOf(sql) })
  return [...asked.values()].filter(({ text }) => !/^(BEGIN|COMMIT|ROLLBACK|SET)/.test(text))
}

/** Hears what its works ask. */
function listening(sql: Sql, hear: (statement: Statement) => void): Sql {
  function* heard<T>(work: Work<T>): Work<T> {
    let step = work.next()
    for (; !step.done; step = work.next(yield step.value)) step.value.forEach(hear)
    return step.value
  }
  return {
    ...sql,
    run: (work) => sql.run(() => heard(work())),
    transaction: (work) => sql.transaction(() => heard(work())),
  }
}

const quiet = (env: Env) => ({ config: configOf(env), tell: () => {} })

async function drain(all: AsyncIterable<unknown>) {
  for await (const one of all) void one
}

/** All that tools ask of a log that is there, which is emptied by it, and of an empty one. */
async function askedBy(from: Env, empty: Env): Promise<Asked[]> {
  const asked: Asked[] = []
  await useStore(quiet(from), 'write', async (store) => {
    const note = async (work: (store: Store) => Promise<unknown>) =>
      void asked.push(...(await recorded(store, work)))
    const lines = await linesOf(store)
    await useStore(quiet(empty), 'alone', async (to) => {
      asked.push(...(await recorded(to, (seen) => importLines(seen, numbered(lines)))))
    })
    await note(({ query }) => drain(violations(query)))
    await note(linesOf)
    await note((seen) => drain(exportLines(seen, { rooms: ['lobby', 'garden'] })))
    await note((seen) => forgetUser(seen, cid.id))
    await note((seen) => retainRoom(seen, 'garden', LATER))
  })
  return asked
}

async function linesOf(store: Store) {
  const all: Line[] = []
  for await (const lines of exportLines(store, { hasSecrets: true })) all.push(...lines)
  return all
}

async function* numbered(lines: readonly Line[]) {
  for (const [index, line] of lines.entries()) yield { line, number: index + 1 }
}

async function copy(from: Env, to: Env, change = (store: Store) => store) {
  const lines = await useStore(quiet(from), 'read', linesOf)
  await useStore(quiet(to), 'alone', (store) => importLines(change(store), numbered(lines)))
}

/** One way into a table, as a plan has it. */
interface Step {
  /** Whether it is gone for each row of something else. */
  isRepeated: boolean
  isScan: boolean
  /** With the columns by which an index is entered. */
  detail: string
}

/** By what the entries of a piece are found, or what one is about: never by the room alone. */
const BY_KEY = /\b(seq|target|emoji|author_id|id)\)? ?(=|>)|ROW\(/

function assertByIndex({ text, count }: Asked, steps: readonly Step[]) {
  for (const { isRepeated, isScan, detail } of steps) {
    const isOfEntries = / (messages|goal|edit|reactions)\b/.test(detail)
    if ((count === 1 && !isRepeated) || !isOfEntries) continue
    assert.ok(!isScan && BY_KEY.test(detail), `${count} times: ${text.slice(0, 999)}\n${detail}`)
  }
}

/** How SQLite goes about it. */
async function sqlitePlan(query: Query, { text, values }: Asked): Promise<Step[]> {
  type Row = { id: number; parent: number; detail: string }
  const rows = await query<Row>(`EXPLAIN QUERY PLAN ${text}`, values)
  const byId = new Map(rows.map((row) => [row.id, row]))
  const isInside = ({ parent }: { parent: number }): boolean => {
    const above = byId.get(parent)
    return above !== undefined && (above.detail.startsWith('CORRELATED') || isInside(above))
  }
  return rows.map((row) => ({
    isRepeated: isInside(row),
    isScan: /^SCAN|AUTOMATIC/.test(row.detail),
    detail: row.detail,
  }))
}

test('SQLite finds by an index what is asked for each piece and each entry', async (t) => {
  const from = await newTalk(t)
  const asked = await askedBy(from, await newFile(t))
  assert.ok(asked.filter(({ count }) => count > 2).length >= 10)
  await useStore(quiet(from), 'read', async ({ query }) => {
    for (const one of asked) assertByIndex(one, await sqlitePlan(query, one))
  })
})

interface PostgresNode {
  'Node Type': string
  'Parent Relationship'?: string
  'Relation Name'?: string
  'Index Name'?: string
  'Index Cond'?: string
  Plans?: PostgresNode[]
}

function stepsOf(node: PostgresNode, isRepeated: boolean): Step[] {
  const type = node['Node Type']
  const inside = (node.Plans ?? []).flatMap((child, index) => {
    const isOfEach = child['Parent Relationship'] === 'SubPlan'
    return stepsOf(child, isRepeated || isOfEach || (type === 'Nested Loop' && index === 1))
  })
  // Whatever takes all rows first, as a hash or a sort does, shows in how they are found.
  const detail = `${type} ${node['Relation Name']} ${node['Index Cond']}`
  const own = { isRepeated, isScan: type.includes('Seq Scan'), detail }
  return type.includes('Scan') ? [own, ...inside] : inside
}

async function postgresPlan(query: Query, { text, values }: Asked): Promise<Step[]> {
  type Row = { 'QUERY PLAN': [{ Plan: PostgresNode }] }
  const [row] = await query<Row>(`EXPLAIN (FORMAT JSON) ${text}`, values)
  return stepsOf(row!['QUERY PLAN'][0].Plan, false)
}

test('Postgres does so, too, with statistics and without', async (t) => {
  const server = await startPostgres(t)
  const [from, to] = [await server.newDatabase(), await server.newDatabase()]
  await copy(await newTalk(t), { DATABASE_URL: from })
  const asked = await askedBy({ DATABASE_URL: from }, { DATABASE_URL: to })
  assert.ok(asked.filter(({ count }) => count > 2).length >= 10)
  // What was imported is what the other was.
  await useStore(quiet({ DATABASE_URL: to }), 'read', async ({ query }) => {
    for (const prepare of ['SELECT 1', 'ANALYZE']) {
      await query(prepare)
      for (const one of asked) {
        // What the log asks by its rules has settings of its own (tests/store/postgres-open.test.ts).
        if (one.text.includes('json_array_elements')) continue
        assertByIndex(one, await postgresPlan(query, one))
      }
    }
  })
})

/** Rows of tables that Postgres looks at, as its own counters have it. */
const LOOKED_AT = `SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::float AS count
  FROM pg_stat_xact_user_tables`

/** Also counts them, in each transaction. */
function counting(store: Store, counts: number[]): Store {
  const query: Query = async (text, values) => {
    const isOver = text === 'COMMIT' || text === 'ROLLBACK'
    if (isOver) counts.push((await store.query<{ count: number }>(LOOKED_AT))[0]!.count)
    return store.query(text, values)
  }
  return { ...store, query }
}

test('twice the entries are twice the work', async (t) => {
  const server = await startPostgres(t)
  const [few, many] = [[] as number[], [] as number[]]
  for (const [times, counts] of [few, many].entries()) {
    const to = { DATABASE_URL: await server.newDatabase() }
    await copy(await newTalk(t, ENTRIES * (times + 1)), to, (store) => counting(store, counts))
    await useStore(quiet(to), 'read', (store) =>
      drain(snapshot(counting(store, counts), violations)),
    )
  }
  assert.equal(few.length, 2)
  for (const [index, count] of few.entries()) {
    assert.ok(count > ENTRIES && many[index]! < 2.1 * count, `${few}, then ${many}`)
  }
})
