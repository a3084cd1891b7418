/** Programs that tests need and npm does not bring. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import process from 'node:process'

/**
 * Where a program is; else says loudly that its tests are skipped, and throws where nothing may be.
 * @param version  what makes it print its version and end
 * @param debian  the package, when it has another name
 */
export function findProgram(name: string, version = '--version', debian = name): string | null {
  // Debian keeps servers where only root looks.
  const path = [`/usr/sbin/${name}`, `/usr/bin/${name}`].find((path) => existsSync(path)) ?? name
  if (spawnSync(path, [version]).status === 0) return path
  const message = `SKIPPED: ${name} is not installed (Debian: apt-get install ${debian})`
  assert.notEqual(process.env.HEARTH_REQUIRE_ALL, '1', message)
  console.log(message)
  return null
}
