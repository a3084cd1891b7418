/** The newest entries of a room, encoded: what members get live and what most resumes are made of. */

import { Buffer } from 'node:buffer'
import type { Limits } from '../limits.ts'
import { encodeEntry, type Entry } from '../protocol.ts'

/** An entry as it goes out. */
interface Encoded {
  readonly seq: number
  json: string
  /** UTF-8 length of `json`. */
  size: number
}

interface TailEntry extends Encoded {
  readonly id: string
  /** The message that an edit is of. */
  readonly edits: number | undefined
}

type TailLimits = Pick<Limits, 'tailEntries' | 'tailBytes' | 'stepEntries' | 'stepBytes'>

/** One frame's worth of entries. */
export interface Step {
  /** JSON texts, ascending and without a hole. */
  readonly texts: string[]
  /** `seq` of the last one. */
  readonly last: number
}

export class Tail {
  #entries: TailEntry[] = []
  /** UTF-8 length of all texts together. */
  bytes = 0
  readonly #limits: TailLimits

  constructor(limits: TailLimits) {
    this.#limits = limits
  }

  /** Adds the entry after the last one, and does to those before it what it says. */
  push(entry: Entry) {
    const edits = entry.kind === 'edit' ? entry.target : undefined
    const encoded = encode(entry)
    this.#entries.push({ ...encoded, id: entry.id, edits })
    this.bytes += encoded.size
    if (entry.kind === 'delete') this.#erase(entry.target)
  }

  /** The texts of all entries after `seq`, which must be held. */
  since(seq: number): string[] {
    return this.#entries.slice(this.#indexOf(seq + 1)).map(({ json }) => json)
  }

  /**
   * The next step after `seq`, no further than `until`.
   * @returns null when the entry after `seq` is not held any more
   */
  step(seq: number, until: number): Step | null {
    const start = this.#indexOf(seq + 1)
    if (start < 0) return null
    const { stepEntries, stepBytes } = this.#limits
    return fitStep(this.#entries.slice(start, start + stepEntries), until, stepBytes)
  }

  /** The id at `seq`; undefined when that entry is not held. */
  idAt(seq: number): string | undefined {
    return this.#entries[this.#indexOf(seq)]?.id
  }

  /** Drops the oldest entries above the limits, or all; never one after `flushed`. */
  trim(flushed: number, most = this.#limits.tailEntries, bytes = this.#limits.tailBytes) {
    let count = 0
    for (const { seq, size } of this.#entries) {
      if (seq > flushed) break
      if (this.#entries.length - count <= most && this.bytes <= bytes) break
      this.bytes -= size
      count += 1
    }
    if (count > 0) this.#entries.splice(0, count)
  }

  /** Forgets everything. */
  clear() {
    this.#entries = []
    this.bytes = 0
  }

  /** Negative or past the end when that entry is not held. */
  #indexOf(seq: number) {
    return seq - (this.#entries[0]?.seq ?? seq)
  }

  /** The body of a deleted message leaves memory with it, and those of its edits. */
  #erase(target: number) {
    for (const entry of this.#entries) {
      if (entry.seq !== target && entry.edits !== target) continue
      const { body: _, ...rest } = JSON.parse(entry.json) as Record<string, unknown>
      this.bytes -= entry.size
      entry.json = JSON.stringify({ ...rest, deleted: true })
      entry.size = Buffer.byteLength(entry.json)
      this.bytes += entry.size
    }
  }
}

export function encode(entry: Entry): Encoded {
  const json = encodeEntry(entry)
  return { seq: entry.seq, json, size: Buffer.byteLength(json) }
}

/**
 * As many of the entries up to `until` as fit `bytes`, and at least one.
 * @returns null when there is none
 */
export function fitStep(entries: readonly Encoded[], until: number, bytes: number): Step | null {
  const texts: string[] = []
  let left = bytes
  let last = 0
  for (const { seq, json, size } of entries) {
    left -= size
    if (seq > until || (left < 0 && texts.length > 0)) break
    texts.push(json)
    last = seq
  }
  return texts.length > 0 ? { texts, last } : null
}
