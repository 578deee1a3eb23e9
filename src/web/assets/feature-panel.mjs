// The panels of a feature in one plan, of a feature in all plans, and of a new feature.

import { h, labelled } from './dom.mjs'
import { choiceField, countInput, moneyInput, textField } from './fields.mjs'
import { get, kind, ofKind, plans, renameFeature, set } from './model.mjs'
import { tierTable } from './tiers.mjs'
import { AGGREGATES, INTERVALS, MODES, ROUNDINGS } from './words.mjs'

/**
 * @typedef {import('./builder.mjs').Builder} Builder
 * @typedef {import('./builder.mjs').Panel} Panel
 */

/** @type {Array<[import('./model.mjs').Kind, string]>} */
const KINDS = [
  ['fixed', 'Fixed price: usage is not counted'],
  ['usage', 'By usage: counted, limited and billed by tiers'],
  ['none', 'Not included: the limit is zero'],
]

/**
 * @param {Builder} builder
 * @param {string} plan
 * @param {string} feature
 * @returns {Panel}
 */
export const featurePanel = (builder, plan, feature) => {
  const base = () => ['plans', plan, 'features', feature]
  const isFixed = builder.isReadOnly || builder.isPushed(plan)
  const subject = { builder, base, isFixed }
  const value = get(builder.model, base())
  const currency = builder.currency(plan)
  const own = kind(value)
  const element = h(
    'section',
    {},
    h('h2', {}, 'Feature of a plan'),
    h('p', {}, h('span', { className: 'id' }, feature), ' in ', h('button', { type: 'button', className: 'quiet', data: { key: 'plan' }, onclick: () => builder.open({ kind: 'plan', plan }) }, plan)),
    isFixed && !builder.isReadOnly && h('div', { className: 'notice' }, h('p', {}, `${plan} is in Stripe, and does not change any more.`), h('button', { type: 'button', data: { key: 'new version' }, onclick: () => builder.newVersion(plan, feature) }, 'Make a new version')),
    textField(subject, 'Title', ['title'], 'What customers read in this plan.'),
    kindField(subject, own),
    own === 'fixed' && fixedPrice(subject, plan, currency),
    own === 'usage' && usage(subject, value, currency),
    h('div', { className: 'buttons' }, h('button', { type: 'button', className: 'quiet', disabled: isFixed, data: { key: 'remove' }, onclick: () => builder.removeAt(base()) }, 'Remove from plan')),
  )
  return { element, base, title: 'Feature of a plan' }
}

/** @param {import('./fields.mjs').Subject} subject @param {import('./model.mjs').Kind} own */
const kindField = ({ builder, base, isFixed }, own) => {
  const select = h(
    'select',
    {
      disabled: isFixed,
      data: { key: 'kind', field: 'tiers' },
      onchange: (/** @type {any} */ { target }) => {
        builder.change(set(builder.model, base(), ofKind(get(builder.model, base()), target.value)))
        builder.reopen()
      },
    },
    KINDS.map(([word, text]) => h('option', { value: word, selected: word === own }, text)),
  )
  return labelled('Kind', select)
}

/**
 * @param {import('./fields.mjs').Subject} subject
 * @param {string} plan
 * @param {import('./builder.mjs').Currency} currency
 */
const fixedPrice = (subject, plan, currency) => {
  const interval = get(subject.builder.model, ['plans', plan, 'interval']) || '@monthly'
  const often = INTERVALS.find(([word]) => word === interval)?.[1] ?? ''
  const price = moneyInput(subject, 'Price', ['base'], currency.decimals)
  return [labelled(`Price, ${currency.sign.trim()} ${often.toLowerCase()}`, price), packages(subject)]
}

/**
 * @param {import('./fields.mjs').Subject} subject
 * @param {any} value
 * @param {import('./builder.mjs').Currency} currency
 */
const usage = (subject, value, currency) => {
  const { tiers } = value
  const isTiered = tiers.length > 1 || tiers[0]?.base !== undefined
  return [
    choiceField(subject, 'What is billed of the reports of a period', ['aggregate'], AGGREGATES),
    tierTable(subject, tiers, currency),
    isTiered && choiceField(subject, 'How tiers are priced', ['mode'], MODES),
    (!isTiered || value.divide !== undefined) && packages(subject),
  ]
}

/** @param {import('./fields.mjs').Subject} subject */
const packages = subject => {
  const { builder, base, isFixed } = subject
  const divide = get(builder.model, [...base(), 'divide'])
  const toggle = (/** @type {any} */ { target }) => {
    const value = target.checked ? Object.create(null) : undefined
    builder.change(set(builder.model, [...base(), 'divide'], value))
    builder.reopen()
  }
  const box = h('input', { type: 'checkbox', checked: divide !== undefined, disabled: isFixed, data: { key: 'packages', field: 'divide' }, onchange: toggle })
  return h(
    'div',
    { className: 'field' },
    h('label', {}, box, ' The price is for a package of units'),
    divide !== undefined && [
      labelled('Units in a package', countInput(subject, 'Units in a package', ['divide', 'by'], '100')),
      choiceField(subject, 'Rounding', ['divide', 'rounding'], ROUNDINGS),
    ],
  )
}

/**
 * The panel of a feature in all plans.
 *
 * @param {Builder} builder
 * @param {string} opened
 * @returns {Panel}
 */
export const rowPanel = (builder, opened) => {
  let feature = opened
  const columns = plans(builder.model)
  const isIn = (/** @type {string} */ id) => builder.model.plans[id]?.features?.[feature] !== undefined
  const isPushed = columns.some(([id]) => isIn(id) && builder.isPushed(id))
  const rename = (/** @type {any} */ { target }) => {
    const to = `feature:${target.value.trim()}`
    if (to === feature || builder.featureNames().includes(to)) return
    builder.renameRow(feature, to, renameFeature(builder.model, feature, to, () => true), `rename ${builder.panelCount}`)
    feature = to
    builder.follow({ kind: 'row', feature })
  }
  const element = h(
    'section',
    {},
    h('h2', {}, 'Feature'),
    labelled('Name', h('input', { value: feature.replace(/^feature:/, ''), disabled: isPushed || builder.isReadOnly, spellcheck: false, autocomplete: 'off', data: { key: 'name' }, oninput: rename }),
      isPushed ? 'A plan that has it is in Stripe, so its name stays.' : 'feature:<name>, of letters, digits, colons and dashes'),
    h('h3', {}, 'Plans'),
    h(
      'ul',
      { className: 'plain' },
      columns.map(([id]) =>
        h('li', {}, isIn(id)
          ? h('button', { type: 'button', className: 'quiet', data: { key: `edit ${id}` }, onclick: () => builder.open({ kind: 'feature', plan: id, feature }) }, id)
          : h('button', { type: 'button', className: 'quiet', disabled: builder.isReadOnly || builder.isPushed(id), data: { key: `add ${id}` }, onclick: () => builder.addToPlan(id, feature) }, `+ ${id}`))),
    ),
    h('div', { className: 'buttons' }, h('button', { type: 'button', className: 'quiet', disabled: isPushed || builder.isReadOnly, data: { key: 'remove' }, onclick: () => builder.removeRow(feature) }, 'Remove from all plans')),
  )
  return { element, base: () => ['rows', feature], title: 'Feature' }
}

/**
 * The panel that asks for the name of a new feature.
 *
 * @param {Builder} builder
 * @param {string | undefined} plan
 * @returns {Panel}
 */
export const newFeaturePanel = (builder, plan) => {
  const name = h('input', { required: true, pattern: '[a-zA-Z0-9:\\-]+', spellcheck: false, autocomplete: 'off', data: { key: 'new feature name' } })
  const add = (/** @type {Event} */ event) => {
    event.preventDefault()
    builder.addRow(`feature:${name.value.trim()}`, plan)
  }
  const element = h(
    'section',
    {},
    h('h2', {}, 'New feature'),
    h('form', { onsubmit: add }, labelled('Name', name, 'feature:<name>, of letters, digits, colons and dashes. Apps report usage and check limits by it.'), h('button', {}, 'Add feature')),
  )
  return { element, base: () => ['new feature'], title: 'New feature' }
}
