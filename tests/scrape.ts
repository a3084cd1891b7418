/** What a Prometheus server would read of a node. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

export const METRICS_TOKEN = 'correct-horse-metrics'

/** `name{label="value"}` as it stands, and its value; 0 for what is not there yet. */
export type Samples = (series: string) => number

export function ask(url: string, token?: string) {
  const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` }
  return fetch(`${url}/metrics`, headers && { headers })
}

export async function scrapeText(url: string): Promise<string> {
  const response = await ask(url, METRICS_TOKEN)
  const text = await response.text()
  assert.equal(response.status, 200, text)
  return text
}

export async function scrape(url: string): Promise<Samples> {
  const text = await scrapeText(url)
  const samples = new Map(
    [...text.matchAll(/^([a-z].*) (\S+)$/gm)].map(([, series, value]) => [series, Number(value)]),
  )
  return (series) => samples.get(series) ?? 0
}

/** Scrapes until it is so. */
export async function scrapeUntil(url: string, isSo: (samples: Samples) => boolean, what: string) {
  const end = performance.now() + 15_000
  for (;;) {
    const samples = await scrape(url)
    if (isSo(samples)) return samples
    assert.ok(performance.now() < end, `waited for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Runs promtool. @returns what it complains of; empty when it is content */
export function promtool(program: string, argv: string[], input?: string, cwd?: string): string {
  const { status, stdout, stderr } = spawnSync(program, argv, {
    ...{ encoding: 'utf8', input, cwd },
  })
  return status === 0 ? '' : `${stdout}${stderr}` || `status ${status}`
}
