/** `owner`: gives a private room to somebody, whose owner cannot be asked, while the server goes on. */

import { canCome, giveRoom, isPrivate } from '../src/store/owners.ts'
import { readArgs, ToolError, UsageError, type Command } from './command.ts'
import { findUser } from './forget.ts'
import { useStore } from './place.ts'
import type { Store } from './store.ts'

export const owner: Command = {
  usage: '<room> <user id | name>',
  about: 'gives a private room to a user, who is a member of it then',
  run: async (args, context) => {
    const [room, who, ...more] = readArgs(args, {}).positionals
    if (room === undefined || who === undefined || more.length > 0) {
      throw new UsageError('the room and the person: exactly one of each')
    }
    await useStore(context, 'write', async (store) => {
      const id = await findUser(store.query, who)
      await setOwner(store, room, id)
      await context.write(`${id} owns ${room} now, and is a member of it\n`)
    })
  },
}

/** Servers hear of it within ten seconds. @throws {ToolError} when it cannot be */
export async function setOwner({ sql }: Pick<Store, 'sql'>, room: string, user: string) {
  await sql.transaction(function* () {
    if (!(yield* isPrivate(room))) throw new ToolError(`there is no private room ${room}`)
    if (!(yield* canCome(sql, user))) throw new ToolError(`${user} cannot come back any more`)
    yield* giveRoom(sql, room, user)
  })
}
