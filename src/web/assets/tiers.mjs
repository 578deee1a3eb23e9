// The tiers of a feature: a table whose rows can be added, removed and moved, with the keyboard and the mouse.

import { h } from './dom.mjs'
import { countInput, moneyInput } from './fields.mjs'
import { Num } from './json.mjs'
import { get, set } from './model.mjs'

/** The size of a tier that gets its upper bound because another tier is added after it. */
const STEP = 1000n

/**
 * @param {import('./fields.mjs').Subject} subject
 * @param {Array<any>} tiers
 * @param {import('./builder.mjs').Currency} currency
 */
export const tierTable = (subject, tiers, currency) => {
  const { builder, base, isFixed } = subject
  const sign = currency.sign.trim()
  const change = (/** @type {Array<any>} */ to) => {
    builder.change(set(builder.model, [...base(), 'tiers'], to))
    builder.reopen()
  }
  const read = () => /** @type {Array<any>} */ (get(builder.model, [...base(), 'tiers']))
  return h(
    'div',
    { className: 'field' },
    h(
      'table',
      { className: 'tiers' },
      h('caption', {}, 'Tiers'),
      h('thead', {}, h('tr', {}, ['Up to', `Each (${sign})`, `Flat (${sign})`].map(text => h('th', { scope: 'col' }, text)), h('th', {}, h('span', { className: 'hidden-text' }, 'Move and remove')))),
      h('tbody', {}, tiers.map((_, i) => row(subject, i, tiers.length, currency.decimals, read, change))),
    ),
    h('button', { type: 'button', className: 'quiet', disabled: isFixed, data: { key: 'add tier' }, onclick: () => change(withAnother(read())) }, '+ Add tier'),
  )
}

/**
 * Adds a tier at the end. The one before it gets an upper bound.
 *
 * @param {Array<any>} tiers
 */
export const withAnother = tiers => {
  const last = tiers.at(-1)
  const added = Object.create(null)
  if (last === undefined || last?.upto !== undefined) return [...tiers, added]
  const before = tiers.at(-2)?.upto
  const from = before instanceof Num && /^[0-9]+$/.test(before.text) ? BigInt(before.text) : 0n
  return [...tiers.slice(0, -1), set(last, ['upto'], new Num(String(from + STEP))), added]
}

/**
 * Moves a tier from one position to another.
 *
 * @template T
 * @param {Array<T>} tiers
 * @param {number} from
 * @param {number} to
 */
export const moved = (tiers, from, to) => {
  const others = tiers.filter((_, i) => i !== from)
  return [...others.slice(0, to), ...tiers.slice(from, from + 1), ...others.slice(to)]
}

/**
 * @param {import('./fields.mjs').Subject} subject
 * @param {number} i
 * @param {number} count
 * @param {number} decimals
 * @param {() => Array<any>} read
 * @param {(to: Array<any>) => void} change
 */
const row = (subject, i, count, decimals, read, change) => {
  const { isFixed } = subject
  const nth = `tier ${i + 1}`
  const button = (/** @type {string} */ text, /** @type {string} */ does, /** @type {boolean} */ can, /** @type {() => void} */ onclick) =>
    h('button', { type: 'button', className: 'quiet small', disabled: isFixed || !can, 'aria-label': `${does} ${nth}`, data: { key: `${does} ${i}` }, onclick }, text)
  return h(
    'tr',
    {
      data: { field: `tiers ${i}` },
      ondragover: (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('text/x-tier') && event.preventDefault(),
      ondrop: (/** @type {DragEvent} */ event) => {
        const from = event.dataTransfer?.getData('text/x-tier') ?? ''
        if (from === '') return
        event.preventDefault()
        event.stopPropagation()
        change(moved(read(), Number(from), i))
      },
    },
    h('td', {}, countInput(subject, `Up to, ${nth}`, ['tiers', i, 'upto'], 'no limit')),
    h('td', {}, moneyInput(subject, `Price of each, ${nth}`, ['tiers', i, 'price'], decimals)),
    h('td', {}, moneyInput(subject, `Flat price, ${nth}`, ['tiers', i, 'base'], decimals)),
    h(
      'td',
      { className: 'actions' },
      !isFixed && h('span', { className: 'handle', draggable: true, 'aria-hidden': 'true', title: 'Drag to another place', ondragstart: (/** @type {DragEvent} */ event) => event.dataTransfer?.setData('text/x-tier', String(i)) }, '⠿'),
      button('↑', 'Move up', i > 0, () => change(moved(read(), i, i - 1))),
      button('↓', 'Move down', i + 1 < count, () => change(moved(read(), i, i + 1))),
      button('×', 'Remove', count > 1, () => change(read().filter((_, at) => at !== i))),
    ),
  )
}
