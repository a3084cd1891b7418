/**
 * What `npm start` runs: a Node that reads TypeScript by itself is left to it, and keeps what it
 * has compiled for the next start; an older one gets tsx.
 */

import * as nodeModule from 'node:module'
import process from 'node:process'

// Not the default, a folder in /tmp that anybody may have made before us.
nodeModule.enableCompileCache?.(`${import.meta.dirname}/node_modules/.cache/hearth-node`)
if (!process.features.typescript) await import('tsx')
await import('./src/main.ts')
// Node itself would write it at the end, which does not come to everybody.
nodeModule.flushCompileCache?.()
