/**
 * The part of Deno's built-in `node:sqlite` that deno.ts uses. `deno check` takes the types of
 * `node:` modules from @types/node, and ours are those of Node 20, which has no such module.
 */
declare module 'node:sqlite' {
  type Value = null | number | bigint | string | Uint8Array

  export class StatementSync {
    run(...values: Value[]): { changes: number | bigint }
    get(...values: Value[]): Record<string, Value> | undefined
    all(...values: Value[]): Record<string, Value>[]
  }

  export class DatabaseSync {
    constructor(file: string)
    exec(sql: string): void
    prepare(sql: string): StatementSync
    close(): void
  }
}
