/** Whether a peer takes what it is sent. */

export class Outflow {
  #sent = 0
  /** Bytes taken by the peer's system at the last progress, and when that was. */
  #taken = 0
  #takenAt: number

  constructor(now: number) {
    this.#takenAt = now
  }

  add(bytes: number) {
    this.#sent += bytes
  }

  /** Who was held up itself saw nobody take anything: the wait begins anew. */
  forgive(now: number) {
    this.#takenAt = now
  }

  /**
   * For how long bytes have waited of which the peer took none. ms
   * @param queued  asked only when something was sent since all was taken: rarely
   */
  stalledFor(now: number, queued: () => number): number {
    const waiting = this.#sent === this.#taken ? 0 : queued()
    const taken = this.#sent - waiting
    if (waiting === 0 || taken > this.#taken) {
      this.#taken = taken
      this.#takenAt = now
    }
    return now - this.#takenAt
  }
}
