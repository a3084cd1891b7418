/** Few rules: what the type checker and prettier do not see. The arrows of docs/architecture.md. */

import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import ts from 'typescript-eslint'

const typed = [
  'src/**/*.ts',
  'static/**/*.js',
  'tests/**/*.{ts,js}',
  'bench/*.ts',
  'tools/**/*',
  'examples/**/*',
]
/** Excluded from tsconfig.json; `deno check` reads it. */
const onlyDeno = ['src/runtime/deno.ts']

/** @param {string} message @param {string[]} group forbidden imports */
const arrow = (message, ...group) => ({
  'no-restricted-imports': ['error', { patterns: [{ group, message }] }],
})

/** Folders of the kernel, each below the next. */
const KERNEL = ['auth', 'store', 'chat', 'http']
/** Folders that only a setting, or a request, opens. */
const ROOMS = ['cluster', 'search', 'watch', 'spec', 'login']
/** Where all is put together. */
const COMPOSITION = ['**/main.ts', '**/hearth.ts', '**/app.ts', '**/storage.ts']
const OPENS = 'Rooms are opened by `import()` where all is put together, and nowhere else.'
const inside = (/** @type {string} */ folder) => `**/${folder}/**`

export default defineConfig(
  globalIgnores(['data/', 'coverage/', 'bench/peers/']),
  js.configs.recommended,
  {
    files: typed,
    extends: [ts.configs.recommended],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // tsc and `deno check` know the globals of Node, Deno and the browser.
      'no-undef': 'off',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
    },
  },
  {
    files: typed,
    ignores: onlyDeno,
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['test', 'describe', 'it', 'suite'] },
          ],
        },
      ],
      '@typescript-eslint/await-thenable': 'error',
    },
  },
  { files: onlyDeno, languageOptions: { parserOptions: { projectService: false } } },
  {
    files: ['src/**', 'static/**', 'bench/**', 'tools/**'],
    ignores: ['src/runtime/**'],
    rules: {
      'no-restricted-globals': [
        'error',
        {
          globals: [{ name: 'Deno', message: 'Only src/runtime/ knows the runtime.' }],
          checkGlobalObject: true,
        },
      ],
    },
  },
  {
    files: ['static/**'],
    rules: {
      'no-restricted-globals': ['error', 'Deno', 'process', 'Buffer', 'require', 'global'],
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '^(?!\\.|valibot$)', message: 'The browser has no such module.' }] },
      ],
    },
  },
  ...KERNEL.map((layer, index) => ({
    files: [`src/${layer}/**`],
    rules: {
      ...arrow(
        `Arrows go down: main → hearth → app → ${[...KERNEL].reverse().join(' → ')}; no room is loaded from here.`,
        ...[...COMPOSITION, ...ROOMS.map(inside)],
        ...KERNEL.slice(index + 1).map(inside),
        ...(layer === 'http' ? [] : ['**/config.ts']),
      ),
      'no-restricted-syntax': ['error', { selector: 'ImportExpression', message: OPENS }],
    },
  })),
  {
    files: ['src/chat/**'],
    rules: arrow(
      'chat/ knows the interfaces of the store, and no database.',
      ...[...COMPOSITION, ...ROOMS.map(inside), '**/http/**', '**/config.ts'],
      ...['sqlite', 'file', 'lock', 'schema', 'sql', 'append', 'reads', 'doors', 'create-log'].map(
        (name) => `**/store/${name}.ts`,
      ),
    ),
  },
  {
    files: ['src/*.ts'],
    ignores: COMPOSITION.map((file) => file.replace('**', 'src')),
    rules: arrow(
      'What everybody uses knows nobody.',
      ...[...COMPOSITION, ...ROOMS.map(inside), ...KERNEL.map(inside)],
    ),
  },
  {
    files: COMPOSITION.map((file) => file.replace('**', 'src')),
    rules: arrow(OPENS, ...ROOMS.map(inside)),
  },
  ...ROOMS.map((room) => ({
    files: [`src/${room}/**`],
    rules: arrow(
      'A room knows the kernel, and no other room.',
      ...['**/main.ts', '**/hearth.ts', '**/app.ts'],
      ...ROOMS.filter((other) => other !== room).map(inside),
    ),
  })),
)
