/** Which names are one name, which are none, and which are not for everybody. */

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { fittingName, isReserved, nameKeys, ruleOfNames } from '../../src/auth/names.ts'
import { spellingFault } from '../../src/auth/names.ts'

const CONFUSABLES = createRequire(import.meta.url)('unhomoglyph/data.json') as Record<
  string,
  string
>

/** Whether who has the one name keeps everybody from the other. */
function areOne(name: string, other: string) {
  const [first, second] = [nameKeys(name), nameKeys(other)]
  return first.key === second.key || first.look === second.look
}

/** Nobody passes for the first of a row by one of the others: it is the same name, or none. */
const IMITATED: Record<string, string[]> = {
  Ann: ['ANN', 'ann', ' Ann ', 'Ａｎｎ', '𝐀𝐧𝐧', 'A\u200bnn', 'A\u00adnn', 'Ann\u200d', 'A\u034fnn'],
  'Ann ': ['Ann\u{e0041}', 'Ann\u180e', 'A\u200e\u200fnn', 'Ann\u2800', 'Ann\u3164', 'Ann\u061c'],
  'ann ': ['Аnn', 'Αnn', 'Ꭺnn', 'ꓮnn', 'Aոո', 'ᴀnn', 'Anṇ', 'Ánn', 'Ann.', '_Ann_', "Ann'", 'A-nn'],
  ANN: ['ΑΝΝ', 'Aṉn', 'A\u0332nn', 'Ann\ue000', 'Ann\u{f0000}', 'Ann\u0378', 'Ⓐⓝⓝ', 'Ann🔥'],
  George: ['Georɡe', 'Georg℮', 'George̲', 'George\ue000', 'Ge0rge', 'GEORGE', 'Geοrge', 'Gеorge'],
  'George ': ['G e o r g e', 'Geørge', 'Ge〇rge', 'Geoгge', 'Ԍeorge', 'G\u0335eorge', 'Geor·ge'],
  Iris: [
    'lris',
    'ǀris',
    '1ris',
    '|ris',
    'IRIS',
    'iris',
    'lRlS',
    'Ιris',
    'Ӏris',
    'İris',
    'ırıs',
    'ꟾris',
  ],
  Coco: ['сосо', 'Сосо', 'СОСО', 'ϲοϲο', 'ꮯоꮯо', 'C0C0', 'ᴄᴏᴄᴏ', 'օօօօ\u0000'],
  Eva: ['Ενα', 'Εva', 'Еva', 'Ẹva', 'EVA', 'Eνa'],
  Nina: ['ΝΙΝΑ', 'Nіna', 'N1na', 'Nlna', 'Niṅa', 'NlNA'],
  Mary: ['rnary', 'RNARY', 'Mагy', 'ｍａｒｙ', 'Мary', 'Märy'],
  Otto: ['0tt0', 'ΟΤΤΟ', 'ОТТО', 'Οtto', '0TTO', 'Ott௦', 'Ott٥'],
  Weiss: ['Weiß', 'WEISS', 'WEIẞ', 'weiss'],
  José: ['Jose', 'JOSE\u0301', 'Josè', 'J0SÉ'],
  'O’Neil': ["O'Neil", "0'Neil", 'OʼNeil', 'O Neil', "O'Neìl"],
  Анна: ['АННА', 'анна', 'Ан\u0301на', 'Aнна'],
  Сара: ['Capa', 'CAPA', 'САРА', 'сара'],
  Σωκράτης: ['ΣΩΚΡΆΤΗΣ', 'σωκρατησ', 'Σωκρατης'],
  محمد: ['مُحَمَّد', 'محمـد', 'محمد\u200f'],
  שרה: ['שָׂרָה', 'שרה\u05bf'],
  user1: ['user①', 'user１', 'userl', 'USERI', 'user𝟏', 'user 1'],
  カ: ['力', 'ｶ'],
}

const DIFFERENT = [
  ...['Ann', 'Anna', 'Hanna', 'Ann 1', 'Ann 2', 'Ann 10', 'Ann 12', 'Dave', 'Dane', 'Eva', 'Ena'],
  ...['Ron', 'Roy', 'Ben', 'Bess', 'Vera', 'Hera', 'Nera', 'Max', 'Tom', 'Том', 'Анн', 'Анна'],
  ...[
    'アン',
    '安',
    'عمر',
    'سامي',
    'شامي',
    'はは',
    'ばば',
    'राम',
    'राज',
    'Ζωή',
    'Νίκος',
    '김민수',
    '김민주',
  ],
]

const REAL =
  `Ann-Marie|O'Neil|O’Neil|José|Nguyễn Thị Minh Khai|Łukasz|Ζωή|Дмитрий|山田太郎|김민수|محمد|שרה
|สมชาย|อำนวย|प्रिया|தமிழ்|Anna 2|J. R. Smith|Zoë|Đặng|Adébáyọ̀|Ọlámídé|Ñandú|Þórdís|Ævar|İbrahim|Işıl|Søren
|Ğülşen|Őry|Gal·la|Kahōkū|ʻIolani|Müller-Lüdenscheidt|d’Arc|ann_lee|x86|007|Έλληνας|Щукина|Їжак|Ўзбек|Ђорђе
|Դավիթ|ქეთევან|ሰላም|علی‌رضا|فاطمہ|أحمد|מיכ׳אל|ラーメン|たなかさん|Tanakaさん|小A|林さん2|ㄅㄆㄇ|陳大文|Kim민수|සිරි|ශ්‍රී
|মোহাম্মদ|ਗੁਰਪ੍ਰੀਤ|ગીતા|ଓଡ଼ିଆ|తెలుగు|ಕನ್ನಡ|മലയാളം|ສົມຊາຍ|བསོད་ནམས|မြို့|កម្ពុជា|އަހުމަދު|राम १|محمد ٣`
    .replace(/\n/g, '')
    .split('|')

const NO_NAME: Record<string, string[]> = {
  'a name has a letter or a digit': ['', ' ', '\u200b', '\u2060\u200d', '\u{e0041}', '...', '🔥'],
  "letters, digits, blanks and - ' . _ only: no emoji, no other signs": [
    ...[
      'Ann 🔥',
      'Georg℮',
      'Ann\ue000',
      'Ann\u{10ffff}',
      'Ann\u0378',
      'Ann ✓',
      'Ann (admin)',
      'a@b',
    ],
    ...['<b>', 'A\u200bnn', 'Ann\u200d', 'A\u200cnn', '\u115f\u1160a', 'Ann\u2800', 'Ann\u3164'],
    ...[
      'Dora · other',
      '·Ann',
      'ᴀnn',
      'ǀris',
      'ƽam',
      'Ann\u20dd',
      'محـمد',
      'ˈAnn',
      'A\u180enn',
      'Ⅷ♠',
    ],
  ],
  'letters of one script; Latin may stand beside Chinese, Japanese or Korean': [
    ...['Аnn', 'Annа', 'pаypal', 'Αnn', 'Аλ', 'ѕcope', 'Ann Анна', 'Ꭺnn', 'ꓮnn', 'Aոո', 'Ann٣'],
    ...['ᐯera', 'ꮯоꮯо', '𐌀nn', 'ⲁnn', 'あ가', 'ㄅあ', 'สม山', 'ann १'],
  ],
  'at most two accents on a letter': [
    'a\u0323\u0302\u0308\u0303\u031b',
    '\u0301ann',
    'a \u0301',
    'G\u0332\u0332',
  ],
  'digits of one kind': ['١۲', 'राम १2', '1०'],
}

test('nobody passes for another by how a name is written', () => {
  for (const [name, imitations] of Object.entries(IMITATED)) {
    assert.equal(spellingFault(name.trim()), null, name)
    const free = imitations.filter((other) => !spellingFault(other) && !areOne(name, other))
    assert.deepEqual(free, [], name)
  }
})

test('names that do not look alike are not one', () => {
  const keys = DIFFERENT.map(nameKeys)
  assert.equal(new Set(keys.map(({ key }) => key)).size, DIFFERENT.length)
  assert.equal(new Set(keys.map(({ look }) => look)).size, DIFFERENT.length)
})

test('real names of many languages are let in', () => {
  for (const name of REAL) assert.equal(spellingFault(name), null, name)
})

test('what shows nothing, is no letter or mixes scripts is no name, and the reason says so', () => {
  for (const [fault, names] of Object.entries(NO_NAME)) {
    for (const name of names) assert.equal(spellingFault(name), fault, JSON.stringify(name))
  }
})

/**
 * All characters of the table and those for which they can be taken (UTS #39 asks for them in NFD);
 * but no letter that looks like a
 * sign, such as the Hebrew yod: without the sign a name is another than with the letter.
 */
const GROUPS = new Map<string, string[]>()
for (const [character, prototype] of Object.entries(CONFUSABLES)) {
  if (character.normalize('NFD') !== character) continue
  if (!/[\p{L}\p{N}]/u.test(prototype) && /[\p{L}\p{N}]/u.test(character)) continue
  GROUPS.set(prototype, [...(GROUPS.get(prototype) ?? [prototype]), character])
}
const groupOf = (piece: string) => GROUPS.get(CONFUSABLES[piece] ?? piece) ?? [piece]
const pieces = fc.constantFrom(
  ...[...GROUPS.values()].flat().filter((piece) => spellingFault(piece) === null),
  ...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
)
/** A name, and one that the table calls confusable with it. */
const pairs = fc
  .array(fc.tuple(pieces, fc.nat()), { minLength: 1, maxLength: 5 })
  .map((chosen) => [
    chosen.map(([piece]) => piece).join(''),
    chosen.map(([piece, nth]) => groupOf(piece)[nth % groupOf(piece).length]).join(''),
  ])
const RUNS = { numRuns: 20_000 }

test('a name in which a character is swapped for a confusable one is no other name', () => {
  let both = 0
  const check = ([name = '', other = '']: string[]) => {
    if (spellingFault(name) || spellingFault(other)) return
    both += 1
    assert.ok(areOne(name, other), `${name} ${other}`)
  }
  fc.assert(fc.property(pairs, check), RUNS)
  // Each character of the table alone, also against all of its group.
  for (const group of GROUPS.values()) {
    for (const one of group) for (const other of group) check([one, other])
  }
  assert.ok(both > 1_000, `${both}`)
})

test('case, width, accents, signs and blanks make no other name', () => {
  const check = ([name = '']: string[]) => {
    if (spellingFault(name)) return
    const { key } = nameKeys(name)
    const variants = [name.toUpperCase(), name.toLowerCase(), name.normalize('NFD'), ` ${name}.`]
    const wide = name.replace(/[!-~]/g, (c) => String.fromCodePoint(c.codePointAt(0)! + 0xfee0))
    const accented = name.replace(/\p{sc=Latin}/gu, '$&\u0323')
    for (const variant of [...variants, wide, accented]) {
      assert.equal(nameKeys(variant).key, key, `${name} ${variant}`)
    }
  }
  fc.assert(fc.property(pairs, check), RUNS)
})

test('names that speak for the chat are not for guests', () => {
  const reserved = `Admin|admin 2|ADMINS|Adm1n|Adrnin|Admin_1|Admin l|A d m i n|Ádmin|The Admin|Moderator
    |Hearth|Hearth Support|hearth-admin|SYSTEM|Support Team|root|R00T|0wner|Staff 007|Administrator
    |Ann Admin|Chief admin|Ann Owner 2|Owner Ann|Head Аdmin|Superadmin|Hearth Login|HearthBot`
  for (const name of reserved.split(/\s*\|/)) assert.ok(isReserved(name), name)
  const free = [
    'Amanda Root',
    'Adam',
    'Theo',
    'Modesty',
    'Stafford',
    'Ann',
    'Team',
    'Rootes',
    'Adminah Heart',
    '2',
  ]
  for (const name of free) assert.ok(!isReserved(name), name)
})

test('of a foreign name what fits is kept, and a name for admins is none', () => {
  assert.equal(fittingName('Ann 🔥 Lee (she)'), 'Ann Lee she')
  assert.equal(fittingName('a\u202eb'), 'ab')
  assert.equal(fittingName('Аnn'), null)
  assert.equal(fittingName('\u200b🔥'), null)
  assert.equal(fittingName('Admin'), null)
})

test('the rule names itself and its table', () => {
  assert.match(ruleOfNames(), /^\d+, unhomoglyph \d+\.\d+\.\d+$/)
})
