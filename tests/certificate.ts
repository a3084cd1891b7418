/** A certificate of our own for 127.0.0.1, made when a test asks for it; no key is kept. */

import { writeFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { generate } from 'selfsigned'
import { tempFolder } from './helpers.ts'

export interface Certificate {
  cert: string
  key: string
  /** The same as files, under the names of the settings. */
  env: { TLS_CERT: string; TLS_KEY: string }
}

export async function createCertificate(t: TestContext): Promise<Certificate> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    keyType: 'ec',
    extensions: [
      { name: 'basicConstraints', cA: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 7, ip: '127.0.0.1' },
          { type: 2, value: 'localhost' },
        ],
      },
    ],
  })
  const folder = tempFolder(t)
  const env = { TLS_CERT: `${folder}/cert.pem`, TLS_KEY: `${folder}/key.pem` }
  writeFileSync(env.TLS_CERT, cert)
  writeFileSync(env.TLS_KEY, key, { mode: 0o600 })
  return { cert, key, env }
}
