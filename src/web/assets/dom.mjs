// Makes elements. Text is always text, never HTML.

/**
 * @typedef {Node | string | null | undefined | false} One
 * @typedef {One | ReadonlyArray<any>} Child
 */

/**
 * An element with properties, attributes (with a dash, or `role`) and listeners (`onclick`).
 *
 * @param {string} tag
 * @param {{ [name: string]: any }} [properties]
 * @param {...Child} children
 * @returns {any}
 */
export const h = (tag, properties = {}, ...children) => {
  const element = /** @type {any} */ (document.createElement(tag))
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name === 'data') Object.assign(element.dataset, value)
    else if (name.includes('-') || name === 'role' || name === 'for' || name === 'colspan') element.setAttribute(name, String(value))
    else element[name] = value
  }
  append(element, children)
  return element
}

/**
 * @param {Element} element
 * @param {Array<Child>} children
 */
const append = (element, children) => {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child)
    else if (child !== null && child !== undefined && child !== false) element.append(/** @type {Node | string} */ (child))
  }
}

/**
 * Replaces the children of `element`. The focus moves to the new element with the same `data-key`, or to the first
 * button.
 *
 * @param {Element} element
 * @param {...Child} children
 */
export const show = (element, ...children) => {
  const key = element.contains(document.activeElement)
    ? /** @type {HTMLElement} */ (document.activeElement).dataset?.['key']
    : undefined
  element.replaceChildren()
  append(element, children)
  if (key === undefined) return
  const same = element.querySelector(`[data-key="${CSS.escape(key)}"]:enabled`) ?? element.querySelector('button:enabled')
  if (same instanceof HTMLElement) same.focus()
}

let ids = 0

/** An id that no other element has. */
export const newId = () => `id-${++ids}`

/**
 * A label with its field and a hint below it. Faults are added there.
 *
 * @param {string} text
 * @param {any} field
 * @param {string} [hint]
 */
export const labelled = (text, field, hint) => {
  field.id ||= newId()
  const below = hint === undefined ? null : h('span', { className: 'note', id: newId() }, hint)
  if (below) field.setAttribute('aria-describedby', below.id)
  return h('div', { className: 'field' }, h('label', { for: field.id }, text), field, below)
}
