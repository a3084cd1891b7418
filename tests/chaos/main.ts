/** `npm run chaos -- --help`: long runs, their table, the planted bugs. */

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { findDeno } from '../deno.js'
import { BUGS, hunt } from './bugs.ts'
import { describe } from './checker.ts'
import { copyCheckout } from './checkout.ts'
import { writeFacts } from './record.ts'
import { run } from './run.ts'
import { createScope } from './scope.ts'
import { outcomeOf, shortcomings, summarise, tableOf, total, type Outcome } from './summary.ts'

const HELP = `npm run chaos -- [options]
  --on sqlite/node,postgres/mixed,nats/deno   services and runtimes (default: nats/mixed)
  --seconds 180        of faults, for each of them; all of them alone need two minutes
  --seed 1             of the faults and of what is said; timing is never the same
  --faults kill,bus    only those with this in their name
  --senders 12         how many talk
  --pace 60            mean pause of each between two messages, in ms
  --fsync              the database waits for the disk
  --root folder        the checkout to run, if it is not this one
  --bugs               runs servers with faults planted in them instead: each has to be caught
  --only words         of the planted bugs those with this in their name`

/** A run of all the faults that has less of these has shown nothing. */
const LEAST = {
  ...{ acks: 1_000, landed: 1, absent: 1, refused: 1, repeats: 50, resumes: 50 },
  ...{ posted: 100, streams: 50, inside: 5, dropped: 100, forgotten: 1 },
}

const { values } = parseArgs({
  options: {
    on: { type: 'string', default: 'nats/mixed' },
    seconds: { type: 'string', default: '180' },
    seed: { type: 'string', default: `${Date.now() % 1e6}` },
    faults: { type: 'string' },
    senders: { type: 'string', default: '12' },
    pace: { type: 'string', default: '60' },
    fsync: { type: 'boolean', default: false },
    root: { type: 'string' },
    bugs: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(HELP)
else if (values.bugs) await huntBugs()
else await main()

async function main() {
  const outcomes: Outcome[] = []
  for (const configuration of values.on.split(',')) outcomes.push(await runOne(configuration))
  const all = outcomes.length > 1 ? [total('all', outcomes)] : []
  console.log(`\n${tableOf('configuration', [...outcomes, ...all])}`)
}

/** One configuration, such as `nats/mixed`. */
async function runOne(configuration: string): Promise<Outcome> {
  const [services = '', kind = 'node'] = configuration.split('/')
  if (services !== 'sqlite' && services !== 'postgres' && services !== 'nats') throw new Error(HELP)
  const scope = createScope()
  console.log(`\n## ${configuration}\n`)
  try {
    const { facts, faults, violations } = await run(scope, {
      services,
      runtimes: runtimesOf(kind, services === 'sqlite' ? 1 : 3),
      seconds: Number(values.seconds),
      seed: Number(values.seed),
      fsync: values.fsync,
      crowd: { senders: Number(values.senders), paceMs: Number(values.pace) },
      ...(values.faults !== undefined && { faults: values.faults.split(',') }),
      root: copyCheckout(scope, values.root),
      onProgress: (line) => console.log(`${new Date().toISOString().slice(11, 19)} ${line}`),
    })
    console.log(`\n${tableOf('fault', summarise(facts))}\n`)
    for (const violation of violations) console.log(describe(violation, facts))
    const least = values.faults === undefined ? LEAST : {}
    for (const reason of shortcomings(facts, faults, least)) fail(`VOID: ${reason}`)
    if (violations.length > 0) {
      const file = join(mkdtempSync(join(tmpdir(), 'hearth-record-')), 'facts.jsonl')
      await writeFacts(facts, file)
      fail(`${violations.length} violations; the record is in ${file}`)
    }
    return outcomeOf(configuration, facts, violations.length)
  } finally {
    await scope.end()
  }
}

function fail(why: string) {
  console.log(why)
  process.exitCode = 1
}

/** Each planted bug has to be caught, as what it is. */
async function huntBugs() {
  const lines = ['| planted bug | caught after | as |', '| --- | ---: | --- |']
  for (const bug of BUGS.filter(({ name }) => name.includes(values.only))) {
    const { seconds, violations } = await hunt(bug)
    console.log(`${bug.name}: ${violations[0] ? describe(violations[0], []) : 'NOT CAUGHT'}`)
    const caught = [...new Set(violations.map(({ invariant }) => invariant))].join(', ')
    lines.push(`| ${bug.name} | ${seconds.toFixed(0)} s | ${caught || 'NOT CAUGHT'} |`)
    if (!caught) process.exitCode = 1
  }
  console.log(`\n${lines.join('\n')}`)
}

function runtimesOf(kind: string, count: number): (string | null)[] {
  const deno = kind === 'node' ? null : findDeno()
  if (kind !== 'node' && deno === null) throw new Error('there is no Deno')
  return Array.from({ length: count }, (_, n) => (kind === 'mixed' && n < count - 1 ? null : deno))
}
