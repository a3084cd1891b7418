// What a careful server looks at before it passes a message on.

/** @returns null for what is no message */
export function parse(data) {
  try {
    const { user, text } = JSON.parse(data)
    return typeof user === 'string' && typeof text === 'string' ? { user, text } : null
  } catch {
    return null
  }
}
