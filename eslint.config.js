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
  {
    files: ['src/chat/**'],
    rules: arrow(
      'chat/ knows the interfaces of the store, nothing above it and no implementation.',
      ...['**/http/**', '**/app.ts', '**/main.ts', '**/config.ts', '**/store/*sqlite*'],
      ...['**/store/*postgres*', '**/cluster/**'],
    ),
  },
  {
    files: ['src/store/**', 'src/cluster/**'],
    rules: arrow(
      'The store knows nothing of what uses it.',
      ...['**/http/**', '**/app.ts', '**/main.ts', '**/config.ts'],
    ),
  },
  {
    files: ['src/auth/**', 'src/http/**'],
    rules: arrow('Arrows go down: main → app → http.', '**/app.ts', '**/main.ts'),
  },
)
