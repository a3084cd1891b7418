/** The systemd unit in deploy/, as far as systemd tells without running. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { descriptorShortage } from '../src/descriptors.ts'
import { DEFAULT_LIMITS } from '../src/limits.ts'
import { tempFolder } from './helpers.ts'
import { ROOT } from './process.ts'
import { findProgram } from './programs.ts'

/** Tenths of what systemd calls exposure, from 0 to 100: below 3.0 is its "OK". */
const MOST_EXPOSED = '20'

const unit = readFileSync(join(ROOT, 'deploy/hearth.service'), 'utf8')
const setting = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1] ?? ''

test('systemd finds nothing wrong with the unit, and it well shut in', (t) => {
  const program = findProgram('systemd-analyze', '--version', 'systemd')
  if (!program) return t.skip('there is no systemd-analyze')
  const file = join(tempFolder(t), 'hearth.service')
  // Node may be elsewhere on this machine.
  writeFileSync(file, unit.replace('/usr/bin/node', '/bin/sh'))
  const run = (...argv: string[]) => {
    const { status, stdout, stderr } = spawnSync(program, argv, { encoding: 'utf8' })
    assert.equal(status, 0, `${stdout}${stderr}`)
    return stderr
  }
  assert.equal(run('verify', '--man=no', file), '')
  run('security', '--offline=true', `--threshold=${MOST_EXPOSED}`, file)
})

test('the unit leaves time to say goodbye, and descriptors for everybody', () => {
  assert.equal(setting('ExecStart'), '/usr/bin/node start.js')
  const { drainMs, closeMs, connections } = DEFAULT_LIMITS
  assert.ok(Number(setting('TimeoutStopSec')) * 1000 > drainMs + 2 * closeMs)
  assert.equal(descriptorShortage(connections, Number(setting('LimitNOFILE'))), null)
  // What the unit writes to is what it may write to.
  assert.match(unit, new RegExp(`DATA_FILE=/var/lib/${setting('StateDirectory')}/`))
  assert.equal(setting('MemoryDenyWriteExecute'), 'no')
})
