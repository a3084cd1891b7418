/**
 * `npm run bench [-- scenario …] [--runs 3] [--only hearth,uws] [--profile <folder>]
 * [--charts <folder>]`: tables, as Markdown.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { toChart } from './chart.ts'
import { machine, ROOT } from './machine.ts'
import { SCENARIOS, type Table } from './scenarios.ts'
import { KINDS } from './servers.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    only: { type: 'string' },
    profile: { type: 'string' },
    charts: { type: 'string' },
  },
})

const unknown = positionals.filter((name) => !Object.hasOwn(SCENARIOS, name))
if (unknown.length > 0) {
  console.error(`There is no ${unknown.join(', ')}. There is:`)
  for (const [name, { about }] of Object.entries(SCENARIOS)) console.error(`  ${name}: ${about}`)
  process.exit(2)
}

installPeers()
console.log(`${machine()}\n`)
const only = values.only?.split(',').map((name) => KINDS[name as keyof typeof KINDS])
for (const name of positionals.length > 0 ? positionals : Object.keys(SCENARIOS)) {
  const { about, kinds, measure } = SCENARIOS[name]!
  console.error(`\n${name}: ${about}`)
  const tables = await measure({
    kinds: only ? kinds.filter((kind) => only.includes(kind)) : kinds,
    runs: Number(values.runs),
    say: (line) => console.error(`  ${line}`),
    flags: values.profile ? ['--cpu-prof', `--cpu-prof-dir=${values.profile}`] : [],
  })
  for (const table of tables) console.log(`${toMarkdown(table)}\n`)
  if (values.charts) writeFileSync(join(values.charts, `${name}.svg`), chartOf(tables[0]!))
}

/** Each cell: min / median / max of the runs. */
function toMarkdown({ title, columns, rows }: Table): string {
  const lines = [...rows].map(([name, figures]) => {
    const cells = columns.map((column) => summary(figures.get(column) ?? []))
    return `| ${[name, ...cells].join(' | ')} |`
  })
  const head = [title, ...columns].join(' | ')
  return [`| ${head} |`, `| ${'--- | '.repeat(columns.length + 1)}`.trim(), ...lines].join('\n')
}

/** Of the first column. */
function chartOf({ title, columns, rows }: Table): string {
  const bars = [...rows].map(([name, figures]) => ({ name, ...spread(figures.get(columns[0]!)!) }))
  return toChart(`${title}: ${columns[0]}`, bars)
}

function spread(values: readonly number[]) {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length / 2
  const middle = (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2
  return { least: sorted[0]!, middle, most: sorted.at(-1)! }
}

function summary(values: readonly number[]): string {
  const { least, middle, most } = spread(values)
  const all = least === most ? [least] : [least, middle, most]
  return all.map(readable).join(' / ')
}

function readable(value: number) {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}

/**
 * What Hearth is compared with is no dependency of Hearth. Without a lockfile, as that of
 * uWebSockets.js lacks the packages of other systems on some registries.
 */
function installPeers() {
  const folder = join(ROOT, 'bench', 'peers')
  if (existsSync(join(folder, 'node_modules'))) return
  const flags = ['--no-package-lock', '--ignore-scripts', '--prefix', folder]
  execFileSync('npm', ['install', ...flags], { stdio: 'inherit' })
}
