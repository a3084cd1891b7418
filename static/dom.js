/** Making and finding elements, without ever a string of HTML. */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Partial<HTMLElementTagNameMap[T]>} [props]
 * @param {(Node | string)[]} children
 */
export function el(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props)
  node.append(...children)
  return node
}

/**
 * @template {HTMLElement} T
 * @param {string} id @param {new () => T} type  @returns {T}
 * @throws {TypeError} when the page has no such element
 */
export function find(id, type) {
  const node = document.getElementById(id)
  if (!(node instanceof type)) throw new TypeError(`no #${id}`)
  return node
}

/** Leaves a text alone that says the same already. @param {HTMLElement} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/** A line with names in it, none of which turns the words around it. @param {HTMLElement} node
 * @param {import('./text.js').Line} line */
export function setLine(node, line) {
  const text = line.map((part) => (typeof part === 'string' ? part : part.name)).join('')
  if (node.textContent === text) return
  const parts = line.map((part) => (typeof part === 'string' ? part : el('bdi', {}, part.name)))
  node.replaceChildren(...parts)
}

/**
 * Makes a list hold these nodes, in this order; those that stay are not touched.
 * @param {Element} list @param {Element[]} nodes
 */
export function arrange(list, nodes) {
  const wanted = new Set(nodes)
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove()
  nodes.forEach((node, i) => {
    if (list.children[i] !== node) list.insertBefore(node, list.children[i] ?? null)
  })
}

/**
 * Gives an element other children; who has the focus in it keeps it: in what has
 * `data-stays`, on what has the same `data-key`, else on the whole.
 * @param {HTMLElement} node @param {(Node | string)[]} children
 */
export function refill(node, children) {
  const active = document.activeElement
  const hadFocus = active instanceof HTMLElement && active !== node && node.contains(active)
  // What stays is not moved either: that would take the focus, and swallow a click between its
  // press and its release.
  for (const child of [...node.children]) if (!child.hasAttribute('data-stays')) child.remove()
  node.prepend(...children)
  if (!hadFocus || document.activeElement === active) return
  const same = [...node.querySelectorAll('[data-key]')].find(
    (one) => one instanceof HTMLElement && one.dataset.key === active.dataset.key,
  )
  const next = same instanceof HTMLElement ? same : node
  next.focus({ preventScroll: true })
}
