// The grid: a row for each feature, a column for each plan.

import { h } from './dom.mjs'
import { below } from './faults.mjs'
import { asText } from './json.mjs'
import { featureNames, kind, plans } from './model.mjs'
import { INTERVALS } from './words.mjs'

/** @typedef {import('./builder.mjs').Builder} Builder */

const KINDS = { fixed: 'Fixed price', usage: 'By usage', none: 'Not included' }

/** @param {Builder} builder */
export const grid = builder => {
  const names = featureNames(builder.model, builder.rows)
  const columns = plans(builder.model)
  return h(
    'div',
    { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Features by plans' },
    h(
      'table',
      { className: 'grid', onkeydown: moveFocus },
      h('caption', { className: 'hidden-text' }, 'Features by plans. Arrow keys move between the cells.'),
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Features'), columns.map(column(builder)), addPlan(builder, columns.length))),
      h('tbody', {}, names.map(name => row(builder, name, columns)), addFeature(builder, names.length, columns.length)),
    ),
  )
}

/** @param {Builder} builder */
const column = builder => (/** @type {[string, any]} */ [id, plan]) => {
  const own = below(builder.faults, ['plans', id]).filter(fault => fault.path[2] !== 'features' || fault.path.length < 4)
  const currency = (asText(plan?.currency) || 'usd').toUpperCase()
  const word = asText(plan?.interval) || '@monthly'
  const interval = INTERVALS.find(([known]) => known === word)?.[1] ?? word
  return h(
    'th',
    { scope: 'col' },
    h(
      'button',
      {
        className: 'cell',
        type: 'button',
        data: { key: `plan ${id}` },
        'aria-invalid': own.length > 0 ? 'true' : null,
        onclick: () => builder.open({ kind: 'plan', plan: id }),
      },
      h('b', {}, asText(plan?.title) || '(no title)'),
      h('span', { className: 'id' }, id),
      h('span', { className: 'note' }, `${currency} • ${interval}`),
      builder.isPushed(id) && h('span', { className: 'badge' }, 'in Stripe'),
      faultText(own),
    ),
  )
}

/** @param {Array<import('./faults.mjs').Fault>} faults */
const faultText = faults => faults.map(fault => h('span', { className: 'error' }, fault.message))

/**
 * @param {Builder} builder
 * @param {string} name
 * @param {Array<[string, any]>} columns
 */
const row = (builder, name, columns) => {
  const titled = columns.map(([, plan]) => plan?.features?.[name]?.title).find(title => title)
  return h(
    'tr',
    {},
    h(
      'th',
      { scope: 'row' },
      h(
        'button',
        { className: 'cell', type: 'button', data: { key: `row ${name}` }, onclick: () => builder.open({ kind: 'row', feature: name }) },
        h('b', {}, asText(titled) || name.replace(/^feature:/, '')),
        h('span', { className: 'id' }, name),
      ),
    ),
    columns.map(([id, plan]) => h('td', {}, cell(builder, id, plan, name))),
    h('td'),
  )
}

/**
 * @param {Builder} builder
 * @param {string} id
 * @param {any} plan
 * @param {string} name
 */
const cell = (builder, id, plan, name) => {
  const feature = plan?.features?.[name]
  const key = `cell ${id} ${name}`
  if (feature === undefined) {
    const isFixed = builder.isReadOnly || builder.isPushed(id)
    return h(
      'button',
      { className: 'cell empty', type: 'button', disabled: isFixed, data: { key }, onclick: () => builder.addToPlan(id, name) },
      isFixed ? '–' : '+ Add to plan',
      h('span', { className: 'hidden-text' }, ` ${name}, ${id}`),
    )
  }
  const own = below(builder.faults, ['plans', id, 'features', name])
  const shown = builder.priced(id)?.features.find(priced => priced.feature === name)
  return h(
    'button',
    {
      className: 'cell',
      type: 'button',
      data: { key },
      'aria-invalid': own.length > 0 ? 'true' : null,
      onclick: () => builder.open({ kind: 'feature', plan: id, feature: name }),
    },
    h('span', {}, asText(feature?.title) || shown?.title || name.replace(/^feature:/, '')),
    h('span', { className: 'note' }, KINDS[kind(feature)]),
    shown && h('span', { className: 'chip' }, shown.text),
    faultText(own),
  )
}

/** @param {Builder} builder @param {number} count */
const addPlan = (builder, count) =>
  h(
    'th',
    { scope: 'col' },
    count === 0 && h('p', { className: 'note' }, 'No plans yet'),
    h(
      'button',
      { className: 'quiet', type: 'button', disabled: builder.isReadOnly, data: { key: 'add plan' }, onclick: () => builder.addPlan() },
      count === 0 ? 'Add your first plan' : '+ Add plan',
    ),
  )

/** @param {Builder} builder @param {number} count @param {number} columns */
const addFeature = (builder, count, columns) =>
  h(
    'tr',
    {},
    h(
      'td',
      { colspan: columns + 2 },
      count === 0 && h('p', { className: 'note' }, 'No features yet'),
      h(
        'button',
        { className: 'quiet', type: 'button', disabled: builder.isReadOnly, data: { key: 'add feature' }, onclick: () => builder.open({ kind: 'new feature' }) },
        count === 0 ? 'Add your first feature' : '+ Add feature',
      ),
    ),
  )

/** The key of the button that opens a panel. @param {import('./editor.mjs').Opened} opened */
export const keyOf = opened => {
  switch (opened.kind) {
    case 'plan':
      return `plan ${opened.plan}`
    case 'feature':
      return `cell ${opened.plan} ${opened.feature}`
    case 'row':
      return `row ${opened.feature}`
    case 'new feature':
      return 'add feature'
    default:
      return opened.kind
  }
}

const MOVES = /** @type {{ [key: string]: [number, number] }} */ ({
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
})

/** @param {KeyboardEvent} event */
const moveFocus = event => {
  const move = MOVES[event.key]
  const from = event.target instanceof Element ? event.target.closest('td, th') : null
  if (move === undefined || !(from instanceof HTMLTableCellElement)) return
  const table = /** @type {HTMLTableElement} */ (from.closest('table'))
  const at = /** @type {HTMLTableRowElement} */ (from.parentElement).rowIndex
  // Skips cells without an enabled button.
  let [row, column] = [at, from.cellIndex]
  for (;;) {
    row += move[0]
    column += move[1]
    const to = table.rows[row]?.cells[column]
    if (to === undefined) return
    const button = to.querySelector('button:enabled')
    if (!(button instanceof HTMLElement)) continue
    event.preventDefault()
    return button.focus()
  }
}
