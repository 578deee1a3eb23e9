// Shows the faults that the server has found in a model, next to the fields that have them.

import { h, newId } from './dom.mjs'

/**
 * @typedef {import('./model.mjs').Path} Path
 * @typedef {{ path: Path, place: string, message: string, line: number | null, column: number | null }} Fault
 */

/**
 * The faults at a path and below.
 *
 * @param {Array<Fault>} faults
 * @param {Path} path
 */
export const below = (faults, path) =>
  faults.filter(fault => path.every((step, i) => fault.path[i] === step))

/**
 * Marks the fields of a panel that have faults. `data-field` is the path of a field, relative to the panel's `base`.
 * Faults of no field are shown at the top.
 *
 * @param {HTMLElement} panel
 * @param {Array<Fault>} faults
 * @param {Path} base
 */
export const mark = (panel, faults, base) => {
  for (const old of panel.querySelectorAll('.fault')) old.remove()
  for (const field of panel.querySelectorAll('[aria-invalid]')) {
    field.removeAttribute('aria-invalid')
    field.removeAttribute('aria-errormessage')
  }
  const fields = new Map()
  for (const field of /** @type {NodeListOf<HTMLElement>} */ (panel.querySelectorAll('[data-field]')))
    fields.set(field.dataset['field'], field)
  for (const { path, message } of below(faults, base)) {
    const rest = path.slice(base.length)
    const field = longest(fields, rest)
    const notice = h('p', { className: 'error fault', id: newId(), role: 'alert' }, message)
    if (field === undefined) {
      panel.querySelector('h2')?.after(notice)
      continue
    }
    field.setAttribute('aria-invalid', 'true')
    field.setAttribute('aria-errormessage', notice.id)
    const parent = field.closest('tr, .field') ?? field
    if (parent.matches('tr')) parent.after(h('tr', { className: 'fault' }, h('td', { colspan: 9 }, notice)))
    else parent.append(notice)
  }
}

/**
 * The field with this path, or with the longest path that contains it.
 *
 * @param {Map<string, HTMLElement>} fields
 * @param {Path} path
 */
const longest = (fields, path) => {
  for (let length = path.length; length > 0; length--) {
    const field = fields.get(path.slice(0, length).join(' '))
    if (field !== undefined) return field
  }
  return undefined
}
