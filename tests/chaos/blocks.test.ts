/** A stream is read as it is meant: by whole blocks, however it is cut into pieces. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createBlockReader, type Block } from './blocks.ts'

const TEXT = [
  ': hearth\nretry: 3000\n\n',
  'event: joined\ndata: {"head":1}\n\n',
  ': live\nid: 1\n\n',
  'id: 2\nevent: message\ndata: {"body":"a: b"}\n\n',
].join('')
const BLOCKS: Block[] = [
  { data: '' },
  { data: '{"head":1}' },
  { data: '', id: '1' },
  { data: '{"body":"a: b"}', id: '2' },
]

function read(...pieces: string[]) {
  const blocks: Block[] = []
  const reader = createBlockReader((block) => blocks.push(block))
  for (const piece of pieces) reader.add(piece)
  return { blocks, isInside: reader.isInside }
}

test('blocks come out whole wherever the text is cut', () => {
  fc.assert(
    fc.property(fc.nat(TEXT.length), fc.nat(TEXT.length), (one, other) => {
      const [from, to] = [Math.min(one, other), Math.max(one, other)]
      const pieces = [TEXT.slice(0, from), TEXT.slice(from, to), TEXT.slice(to)]
      assert.deepEqual(read(...pieces), { blocks: BLOCKS, isInside: false })
    }),
  )
})

test('a block that is cut off counts for nothing', () => {
  const cut = read(TEXT.slice(0, -1))
  assert.deepEqual(cut, { blocks: BLOCKS.slice(0, -1), isInside: true })
})
