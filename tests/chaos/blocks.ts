/** Server-sent events out of pieces of text (HTML Living Standard, 9.2.6), as Hearth writes them. */

/** What stands between two empty lines. */
export interface Block {
  /** Where its reader is from now on. */
  id?: string
  data: string
}

export interface BlockReader {
  /** Whether it ends in the middle of a block, which counts for nothing. */
  readonly isInside: boolean
  add(text: string): void
}

/** @param take  is given each block once it is whole */
export function createBlockReader(take: (block: Block) => void): BlockReader {
  let rest = ''
  return {
    get isInside() {
      return rest !== ''
    },
    add: (text) => {
      const blocks = (rest + text).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) take(parse(block))
    },
  }
}

function parse(text: string): Block {
  const lines = text.split('\n')
  const valueOf = (name: string) =>
    lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
  const id = valueOf('id')
  return { data: valueOf('data') ?? '', ...(id !== undefined && { id }) }
}
