/** A copy of the source of the server and its tools: to be spoiled, or so that an edit does not disturb a long run. */

import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT, type Scope } from '../process.ts'

/** @returns its folder, gone with the scope */
export function copyCheckout(scope: Scope, root = ROOT): string {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-copy-'))
  scope.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const part of ['src', 'static', 'tools', 'package.json', 'deno.json']) {
    cpSync(join(root, part), join(folder, part), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}
