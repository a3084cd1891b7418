/** The servers that are measured, each started fresh. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { findDeno } from '../tests/deno.js'
import type { DIALECTS } from './dialects.ts'
import { start, type Server } from './machine.ts'

export interface Kind {
  name: string
  dialect: keyof typeof DIALECTS
  /** @param flags  for Node itself */
  start(env?: Record<string, string>, flags?: readonly string[]): Promise<Server>
  /** A rate that it surely manages. messages/s to 500 members */
  modest: number
}

const node = process.execPath
const deno = findDeno() ?? 'deno'

/** No limit of a person: all members of a bench sit on one machine. */
const OPEN_DOORS = {
  LOG_LEVEL: 'error',
  PORT: '0',
  ...Object.fromEntries(
    ['MESSAGE', 'FRAME', 'READ'].flatMap((of) => [
      [`${of}_RATE`, '1000000'],
      [`${of}_BURST`, '1000000'],
    ]),
  ),
  SESSION_RATE: '1000000',
  ROOM_RATE: '1000000',
  MAX_CONNECTIONS: '100000',
  MAX_CONNECTIONS_PER_IP: '100000',
  MAX_CONNECTIONS_PER_USER: '10000',
}

function hearth(name: string, [program, ...args]: [string, ...string[]], modest: number): Kind {
  return {
    name,
    dialect: 'hearth',
    modest,
    start: async (env = {}, flags = []) => {
      const folder = mkdtempSync(join(tmpdir(), 'hearth-bench-'))
      const server = await start([program, ...(program === node ? flags : []), ...args], {
        ...OPEN_DOORS,
        DATA_FILE: join(folder, 'hearth.db'),
        ...env,
      })
      const stop = async () => {
        await server.stop()
        rmSync(folder, { recursive: true })
      }
      return { ...server, stop }
    },
  }
}

function peer(name: string, dialect: Kind['dialect'], command: string[], modest: number): Kind {
  return { name, dialect, modest, start: (env) => start(command, env) }
}

const DENO_FLAGS = ['--allow-net', '--allow-env', '--allow-read', '--allow-write']

export const KINDS = {
  hearth: hearth('Hearth on Node', [node, 'start.js'], 2000),
  'hearth-deno': hearth('Hearth on Deno', [deno, 'run', ...DENO_FLAGS, 'src/main.ts'], 2000),
  uws: peer('uWebSockets.js', 'lesson', [node, 'bench/peers/uws.mjs'], 500),
  lesson: peer("the lesson's server (ws)", 'lesson', [node, 'bench/peers/lesson.mjs'], 50),
  socketio: peer('Socket.IO', 'socketio', [node, 'bench/peers/socketio.mjs'], 50),
  deno: peer(
    'Deno.upgradeWebSocket',
    'lesson',
    [deno, 'run', '--allow-net', 'bench/peers/deno.js'],
    50,
  ),
  control: peer('raw TCP, ready-made frames', 'lesson', [node, 'bench/peers/control.mjs'], 2000),
  bare: peer('ws alone', 'lesson', [node, 'bench/peers/bare.mjs'], 0),
} satisfies Record<string, Kind>
