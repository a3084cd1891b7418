/** What goes wrong in a way that the whole house knows. */

/** It cannot be asked now, and may be later: told in few words, and tried again. */
export class Unavailable extends Error {}
