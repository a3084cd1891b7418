/** The alerts in deploy/: they are well formed, fire when they should, and ask for what there is. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startServer } from './helpers.ts'
import { ROOT } from './process.ts'
import { findProgram } from './programs.ts'
import { METRICS_TOKEN, promtool, scrapeText } from './scrape.ts'

const rules = readFileSync(join(ROOT, 'deploy/alerts.yml'), 'utf8').replace(/^#.*$/gm, '')

test('promtool takes the alerts, and each case has the outcome it should', (t) => {
  const program = findProgram('promtool', '--version', 'prometheus')
  if (!program) return t.skip('there is no promtool')
  assert.equal(promtool(program, ['check', 'rules', join(ROOT, 'deploy/alerts.yml')]), '')
  assert.equal(promtool(program, ['test', 'rules', join(ROOT, 'tests/alerts.yml')]), '')
})

test('every series that an alert asks for is one that a node has', async (t) => {
  const { url } = await startServer(t, { env: { METRICS_TOKEN } })
  const text = await scrapeText(url)
  const known = new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name!))
  const asked = new Set(rules.match(/\b(?:hearth|process)_\w+/g))
  assert.ok(asked.size > 10)
  for (const name of asked) {
    // Where the system does not show them they are left out.
    const isMissing = name.endsWith('_fds') && !known.has('process_max_fds')
    assert.ok(isMissing || known.has(name.replace(/_bucket$/, '')), name)
  }
  // Labels that an alert picks by.
  assert.match(text, /^hearth_connections_closed_total\{code="4008"\} 0$/m)
})

test('every alert says how bad it is, and leads to what to do', () => {
  const alerts = rules.split('- alert: ').slice(1)
  const places = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8')
    .match(/^#+ .*$/gm)!
    .map((title) => title.replace(/^#+ /, '').toLowerCase().replace(/,/g, '').replaceAll(' ', '-'))
  assert.ok(alerts.length > 10)
  for (const alert of alerts) {
    assert.match(alert, /severity: (page|ticket) /)
    const [, place = ''] = /runbook: docs\/operations\.md#([a-z-]+)\n/.exec(alert) ?? []
    assert.ok(places.includes(place), place)
    assert.match(alert, /summary: '.*\$labels\.instance.*'\n/)
  }
})
