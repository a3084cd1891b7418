/** Programs that tests need and npm does not bring. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
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
  return miss(name, debian)
}

/** The folder of a whole PostgreSQL, with `pg_dump`, which npm's lacks; as `findProgram`. */
export function findPostgres(): string | null {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [process.env.HEARTH_POSTGRES, ...versions.map((name) => `${root}/${name}/bin`)]
  const names = ['initdb', 'postgres', 'pg_dump', 'pg_restore']
  const isWhole = (folder = '') => names.every((name) => existsSync(`${folder}/${name}`))
  return folders.find(isWhole) ?? miss('pg_dump', 'postgresql')
}

function miss(name: string, debian: string) {
  const message = `SKIPPED: ${name} is not installed (Debian: apt-get install ${debian})`
  assert.notEqual(process.env.HEARTH_REQUIRE_ALL, '1', message)
  console.log(message)
  return null
}
