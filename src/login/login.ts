/**
 * Users whom another issuer vouches for: its signed tokens (JWT, RFC 7519), its keys (JWKS). A room
 * that `JWKS_URL` opens; it costs `jose`, and a request to the issuer now and then.
 */

import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload } from 'jose'
import * as v from 'valibot'
import { Name, NAME_LENGTH } from '../../static/protocol.js'
import type { Clock } from '../clock.ts'
import { fittingName, NOBODY } from '../auth/names.ts'
import type { Config } from '../config.ts'
import type { ForeignUser, ForeignUsers } from '../http/services.ts'

/** Signatures that anybody can check and nobody else can make; never `none`, never a shared secret. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']
/** An unknown key asks the issuer again at most this often. ms */
const COOLDOWN_MS = 10_000
const KEYS_TIMEOUT_MS = 4_000
/** Clocks of two machines differ. s */
const TOLERANCE_S = 5
const SUBJECT_LENGTH = 512

export function createForeignUsers(
  { jwksUrl, issuer, audience }: NonNullable<Config['jwt']>,
  clock: Pick<Clock, 'date'>,
  cooldownDuration = COOLDOWN_MS,
): ForeignUsers {
  const keys = createRemoteJWKSet(new URL(jwksUrl), {
    cooldownDuration,
    timeoutDuration: KEYS_TIMEOUT_MS,
  })
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: TOLERANCE_S,
        currentDate: clock.date(),
      })
      const user = toUser(payload)
      // Within the tolerance the token still counts as good, but no session could start.
      return user && user.expiresAt > clock.date() ? user : null
    } catch (error) {
      if (isTokensFault(error)) return null
      throw error
    }
  }
}

function toUser(claims: JWTPayload): ForeignUser | null {
  const { iss, sub = '', exp = 0 } = claims
  if (sub === '' || sub.length > SUBJECT_LENGTH) return null
  const expiresAt = new Date(exp * 1000)
  return { subject: JSON.stringify([iss, sub]), name: nameOf(claims), expiresAt }
}

/** The first name of which something fits, cut to our length. */
function nameOf({ preferred_username: preferred, name, sub }: JWTPayload): string {
  for (const claim of [preferred, name, sub]) {
    if (typeof claim !== 'string') continue
    const fitting = fittingName(claim.normalize('NFC'))
    const parsed = v.safeParse(Name, [...(fitting ?? '')].slice(0, NAME_LENGTH).join(''))
    if (parsed.success) return parsed.output
  }
  return NOBODY
}

/** Whether the token is to blame, and not the way to the keys. */
function isTokensFault(error: unknown) {
  const { JWTExpired, JWTClaimValidationFailed, JWTInvalid, JWSInvalid, JOSENotSupported } = errors
  const { JWSSignatureVerificationFailed, JOSEAlgNotAllowed } = errors
  const { JWKSNoMatchingKey, JWKSMultipleMatchingKeys } = errors
  return [
    ...[JWTExpired, JWTClaimValidationFailed, JWTInvalid, JWSInvalid, JOSENotSupported],
    ...[JWSSignatureVerificationFailed, JOSEAlgNotAllowed],
    ...[JWKSNoMatchingKey, JWKSMultipleMatchingKeys],
  ].some((kind) => error instanceof kind)
}
