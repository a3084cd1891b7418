/** Records the stories anew: `node --import tsx --test tests/vectors/record.ts`. */

import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { perform } from './perform.ts'
import { STORIES } from './stories.ts'

for (const [name, story] of STORIES) {
  test(name, async (t) => {
    const { lines, ...rest } = await perform(t, story)
    const written = lines.map((line) => `    ${JSON.stringify(line)}`).join(',\n')
    const head = JSON.stringify({ ...rest, lines: [] }, null, 2)
    const text = head.replace('"lines": []', () => `"lines": [\n${written}\n  ]`)
    writeFileSync(new URL(`${name}.json`, import.meta.url), `${text}\n`)
  })
}
