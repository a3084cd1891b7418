/** What the page's address says: a room, a message in it, a secret that a link brings along. */

import * as v from 'valibot'
import { Room } from './protocol.js'

export const LOBBY = 'lobby'
/** @typedef {{ name: string, seq?: number | undefined }} Place */

/** @param {string} name  of a room @param {number} [seq]  of a message in it */
export const addressOf = (name, seq) => (seq === undefined ? `/r/${name}` : `/r/${name}/${seq}`)

/**
 * @param {string} path @param {string} [last]  the room that one was in last, for the bare address
 * @returns {Place}
 */
export function readAddress(path, last) {
  const [, inPath, seq] = /^\/r\/([^/]+)(?:\/(\d{1,15}))?$/.exec(path) ?? []
  const name = path === '/' ? last : inPath
  return v.is(Room, name) ? { name, seq: seq ? Number(seq) : undefined } : { name: LOBBY }
}

/** What a link brings along, however it is written: both are only asked about. @param {string} hash */
export function secretsIn(hash) {
  const params = new URLSearchParams(hash.slice(1))
  return { link: params.get('link') || null, invite: params.get('invite') || null }
}

/** It goes out of the address at once, and into no history. */
export function takeSecrets() {
  const secrets = secretsIn(location.hash)
  if (secrets.link || secrets.invite) history.replaceState(history.state, '', location.pathname)
  return secrets
}
