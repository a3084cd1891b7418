import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse, plainText, type Piece } from '../../static/markdown.js'

const em = (...children: Piece[]) => ({ type: 'em' as const, children })
const strong = (...children: Piece[]) => ({ type: 'strong' as const, children })
const code = (text: string) => ({ type: 'code' as const, text })
const pre = (text: string) => ({ type: 'pre' as const, text })
const link = (href: string, text = href, host?: string) => ({
  ...{ type: 'link' as const, href, children: [text] },
  ...(host && { host }),
})
const PEOPLE = [
  { id: '1', name: 'Ada' },
  { id: '2', name: 'Ada Lovelace' },
  { id: '3', name: 'J. R. (*x*)' },
  { id: '4', name: '田中' },
]
const mention = (id: string, name: string) => ({ type: 'mention' as const, id, name })

/** Each text with its tree. */
function check(cases: Record<string, Piece[]>, people = PEOPLE) {
  for (const [text, tree] of Object.entries(cases))
    assert.deepEqual(parse(text, people), tree, text)
}
function checkVerbatim(...texts: string[]) {
  for (const text of texts) assert.deepEqual(parse(text, PEOPLE), [text])
}

test('bold, italic and code, also inside each other', () => {
  check({
    '**bold** and *it*, _it_': [strong('bold'), ' and ', em('it'), ', ', em('it')],
    '***both*** **a *b* c**': [strong(em('both')), ' ', strong('a ', em('b'), ' c')],
    '*a **b* c**': [em('a **b'), ' c**'],
    '("*a*" _b_). **word**s': ['("', em('a'), '" ', em('b'), '). ', strong('word'), 's'],
    '**a\nb**': [strong('a\nb')],
    '`*a* @Ada` ``b`c``': [code('*a* @Ada'), ' ', code('b`c')],
    '*`a`*': [em(code('a'))],
    '这是**重要**的': ['这是', strong('重要'), '的'],
  })
})

test('what only looks like a mark stays', () => {
  checkVerbatim(
    ...['2 * 3 * 4', '2*3*4', '2**3**4', '* item\n* item', 'snake_case_name', '__init__'],
    ...['*open', '**', '****', '` `` ```', '*a _b', 'price* and tax*', '\n\n\n', '*️⃣*️⃣'],
    ...['¯\\_(ツ)_/¯', '^_^ and ^_^', '>_< >_<', '*_* *_*', 'C:\\dir\\file', '# no heading'],
    ...['[a] (b)', '[](https://)', '[x](ftp://a.example)', '[ ](x)', '`a\nb`', '```\n```'],
  )
  check({ '\\*a\\* \\`b\\` \\[c](d) \\@Ada': ['*a* `b` [c](d) @Ada'] })
})

test('a fence holds code, also one that is never closed', () => {
  check({
    'so:\n```js\na *b*\n\n  c\n```\nthen': ['so:', pre('a *b*\n\n  c'), 'then'],
    'so\n\n```\na\n```\n\nthen': ['so', pre('a'), 'then'],
    '```\na': [pre('a')],
    'see ```ts\na': ['see ', pre('a')],
    '```a()\nb```': [pre('a()\nb')],
    '```c++ \nb': [pre('b')],
    '```a```': [code('a')],
    '```\na\n``` *b*\n```\nc\n```': [pre('a'), em('b'), pre('c')],
    'use ``` or *so*': ['use ``` or ', em('so')],
  })
})

test('links: bare ones, and labels that cannot pretend', () => {
  const [a, b] = ['https://a.example/x_y_z*b*c', 'https://b.example/c_(d)']
  check({
    [`${a} *${b}*`]: [link(a), ' ', em(link(b))],
    [`**${b}**, (${a}).`]: [strong(link(b)), ', (', link(a), ').'],
    [`[x](${b}) [*y*](http://c)`]: [
      ...[link(b, 'x', 'b.example'), ' '],
      { type: 'link', href: 'http://c', children: [em('y')], host: 'c' },
    ],
    [`[${a}](${a})`]: [link(a)],
    [`[b.example](${b})`]: [link(b, 'b.example')],
    [`[${a}](${b})`]: [link(b, a, 'b.example')],
    '[good.example](https://good.example@evil.example)': [
      link('https://good.example@evil.example', 'good.example', 'evil.example'),
    ],
    '[p\u0430ypal.com](https://p\u0430ypal.com)': [
      link('https://p\u0430ypal.com', 'p\u0430ypal.com', 'xn--pypal-4ve.com'),
    ],
    '[@Ada](http://c)': [link('http://c', '@Ada', 'c')],
    '[x](https://[bad) [x](HTTP://c)': ['[x](https://[bad) ', link('HTTP://c', 'x', 'c')],
    '[a\\[b\\]\\](http://c) [a\\d](http://c)': [
      ...['[a[b]](', link('http://c'), ') ', link('http://c', 'a\\d', 'c')],
    ],
    '[\\\u202ex](http://c)': ['[\\\u202ex](', link('http://c'), ')'],
    '[\u202ex](http://c)': ['[\u202ex](', link('http://c'), ')'],
  })
  checkVerbatim('[x](javascript:pwn())', '[x](data:text/html,x)', '[x](//c)', '[x]( http)')
})

test('names: the longest, as it is written, and not in a word, an address or code', () => {
  check({
    '@ada, @Ada LOVELACE!': [mention('1', 'ada'), ', ', mention('2', 'Ada LOVELACE'), '!'],
    '**@Ada** _@Ada_': [strong(mention('1', 'Ada')), ' ', em(mention('1', 'Ada'))],
    '@J. R. (*x*)': [mention('3', 'J. R. (*x*)')],
    '你好@田中さん': ['你好', mention('4', '田中'), 'さん'],
    'https://a.example/@ada': [link('https://a.example/@ada')],
  })
  checkVerbatim('mail@ada', '@adam', '@Grace', '@')
  assert.deepEqual(parse('@Ada'), ['@Ada'])
})

test('as one line, without markers', () => {
  const text = '**a**\n```\nb\n```\n[c](https://d.example) `e` @Ada\n'
  assert.equal(plainText(text), 'a b c e @Ada')
})

/** @returns all that is read, and what is under it */
function walk(pieces: Piece[], depth = 0): { text: string; hrefs: string[]; depth: number } {
  const parts = pieces.map((piece) => {
    if (typeof piece === 'string') return { text: piece, hrefs: [], depth }
    if (piece.type === 'mention') return { text: `@${piece.name}`, hrefs: [], depth }
    if ('text' in piece) return { text: piece.text, hrefs: [], depth }
    const inner = walk(piece.children, depth + 1)
    return { ...inner, hrefs: 'href' in piece ? [piece.href, ...inner.hrefs] : inner.hrefs }
  })
  return {
    text: parts.map(({ text }) => text).join(''),
    hrefs: parts.flatMap(({ hrefs }) => hrefs),
    depth: Math.max(depth, ...parts.map((part) => part.depth)),
  }
}

function isWithin(text: string, body: string) {
  const rest = body[Symbol.iterator]()
  return [...text].every((char) => {
    for (let next = rest.next(); !next.done; next = rest.next())
      if (next.value === char) return true
    return false
  })
}

const MARKS = ['*', '**', '***', '_', '`', '\\', ' ', 'a', 'é', '.', '@Ada', '(', '😀', '漢']
const MORE = ['\n', '```', '\n```js\n', '[', ']', '](', ')', 'https://', 'javascript:', '\u202e']
const textOf = (...parts: string[]) =>
  fc.array(fc.constantFrom(...parts), { maxLength: 60 }).map((found) => found.join(''))

test('nothing is lost but markers, and no link is anything but http', () => {
  fc.assert(
    fc.property(fc.oneof(textOf(...MARKS, ...MORE), fc.string()), (body) => {
      const { text, hrefs, depth } = walk(parse(body, PEOPLE))
      assert.ok(isWithin(text, body))
      for (const href of hrefs) assert.match(href, /^https?:/i)
      assert.ok(depth <= 40)
    }),
  )
  const bare = (text: string) => text.replace(/[*_`\\]/g, '')
  fc.assert(
    fc.property(textOf(...MARKS), (body) => {
      assert.equal(bare(walk(parse(body, PEOPLE)).text), bare(body))
    }),
  )
})

test('hostile texts take no longer than others', () => {
  const fill = (unit: string) => unit.repeat(4000 / unit.length)
  const crowd = Array.from({ length: 50 }, (_, i) => ({
    id: `${i}`,
    name: `${'@'.repeat(30)}${i}`,
  }))
  const runs = Array.from({ length: 88 }, (_, i) => '`'.repeat(i + 1)).join(' ')
  const texts = ['**', ' *x', '_*', '[', '`', '`a ', '@', '[a](http://', '[a](http://b) ', '\\*']
    .concat(['https://', '\n```', '(a', '^_', '\n', '@Ada ', '*a _b **c ', '[\\', ' y_ *z'])
    .map(fill)
    .concat(runs, `https://a${fill(').')}`, `https://a${fill('.')}a`, `\`\`\`\n${fill('`')}x`)
    .concat(`${fill(' *x').slice(2000)}${fill(' y_').slice(2000)}`, `[x](http://a${fill('()')}`)
  const time = (text: string) => {
    const start = performance.now()
    parse(text, crowd)
    return performance.now() - start
  }
  // Some 5 ms on a quiet machine; what looks at each character for each takes seconds.
  const isQuick = (text: string) => Array.from({ length: 10 }).some(() => time(text) < 60)
  assert.deepEqual(
    texts.filter((text) => !isQuick(text)).map((text) => text.slice(0, 40)),
    [],
  )
  assert.ok(walk(parse(`${fill('*a ').slice(0, 600)}${fill('b* ')}`)).depth <= 16)
})

test('an address of our own that would sign in or invite is text', () => {
  const origin = 'https://chat.example:8443'
  const texts = [
    '/#link=abc',
    '/r/lobby#invite=abc',
    '/r/lobby?a=b#a=1&link=abc',
    '/#%6cink=abc',
    '/#l%69nk=a%62c',
    '/#invite=+',
    '#link=abc',
  ].map((path) => origin + path)
  const spellings = [
    'HTTPS://Chat.Example:8443/#link=abc',
    'https://me:word@chat.example:8443/#link=abc',
    'https://chat.example:08443/x/../#link=abc',
    'https://ch%61t.example:8443/#link=abc',
  ]
  for (const text of [...texts, ...spellings]) {
    assert.deepEqual(parse(text, [], origin), [text])
    const labelled = `[my **photos**](${text})`
    const pieces = parse(`${labelled} **b**`, [], origin)
    assert.ok(!JSON.stringify(pieces).includes('"link"'), labelled)
    assert.deepEqual(pieces.at(-1), strong('b'), 'and what follows is read on')
    assert.ok(JSON.stringify(parse(text, [], 'https://other.example')).includes('"link"'))
  }
  for (const path of ['/r/lobby/7', '/#links=abc', '/#LINK=abc', '/#link=', '/?link=abc', '/#x']) {
    assert.deepEqual(parse(origin + path, [], origin), [link(origin + path)], path)
  }
  assert.deepEqual(parse(`${texts[0]}, then`, [], origin), [`${texts[0]}, then`])
})
