// The panel of a plan.

import { checkoutLink } from './checkout-link.mjs'
import { h, labelled, show } from './dom.mjs'
import { choiceField, textField } from './fields.mjs'
import { featureNames, features, isSame, nameAndVersion, rename, set } from './model.mjs'
import { INTERVALS } from './words.mjs'

/**
 * @typedef {import('./builder.mjs').Builder} Builder
 * @typedef {import('./builder.mjs').Panel} Panel
 */

/**
 * @param {Builder} builder
 * @param {string} opened
 * @returns {Panel}
 */
export const planPanel = (builder, opened) => {
  let id = opened
  const base = () => ['plans', id]
  const isFixed = builder.isReadOnly || builder.isPushed(id)
  const subject = { builder, base, isFixed }
  const renamed = (/** @type {string} */ to) => {
    id = to
    builder.follow({ kind: 'plan', plan: to })
  }
  const currencies = Object.keys(builder.currencies)
  /** @type {Array<[string, string]>} */
  const choices = currencies.map(code => [code, code.toUpperCase()])
  const differences = h('div')
  const element = h(
    'section',
    {},
    h('h2', {}, 'Plan'),
    isFixed && !builder.isReadOnly && pushed(builder, id),
    name(subject, id, renamed),
    textField(subject, 'Title', ['title'], 'What customers read.'),
    choiceField(subject, 'Currency', ['currency'], choices),
    choiceField(subject, 'Interval', ['interval'], INTERVALS),
    h('h3', {}, 'Features in this plan'),
    list(builder, () => id, isFixed),
    h(
      'div',
      { className: 'buttons' },
      h('button', { type: 'button', className: 'quiet', disabled: builder.isReadOnly, data: { key: 'new version' }, onclick: () => builder.newVersion(id) }, 'New version'),
      h('button', { type: 'button', className: 'quiet', disabled: builder.isReadOnly, data: { key: 'remove' }, onclick: () => builder.removeAt(base()) }, 'Remove from model'),
    ),
    differences,
    builder.isPushed(id) && builder.mayWrite() && checkoutLink(builder, id),
  )
  const update = () => show(differences, changes(builder, id))
  update()
  return { element, base, title: 'Plan', update }
}

/** @param {Builder} builder @param {string} id */
const pushed = (builder, id) => {
  const inStripe = builder.stripe?.plans?.[id]
  const differs = !isSame(inStripe, builder.model.plans[id])
  return h(
    'div',
    { className: 'notice' },
    h('p', {}, 'This version is in Stripe, and does not change any more. To change the plan, make a new version.'),
    h('button', { type: 'button', data: { key: 'new version of pushed' }, onclick: () => builder.newVersion(id) }, 'Make a new version'),
    differs && [
      h('p', {}, 'In this model it is not as it is in Stripe, so a push will be refused.'),
      h('button', { type: 'button', className: 'quiet', onclick: () => builder.change(set(builder.model, ['plans', id], inStripe)) }, 'Take what is in Stripe'),
    ],
  )
}

/**
 * @param {import('./fields.mjs').Subject} subject
 * @param {string} id
 * @param {(to: string) => void} renamed
 */
const name = ({ builder, isFixed }, id, renamed) => {
  const parts = nameAndVersion(id)
  const notice = h('p', { className: 'error', hidden: true, role: 'alert' })
  const field = (/** @type {'name' | 'version'} */ part, /** @type {string} */ label) =>
    labelled(
      label,
      h('input', {
        value: parts[part],
        disabled: isFixed,
        autocomplete: 'off',
        spellcheck: false,
        data: { key: part },
        oninput: (/** @type {any} */ { target }) => {
          parts[part] = target.value.trim()
          const to = `plan:${parts.name}@${parts.version}`
          const isTaken = to !== id && builder.model.plans[to] !== undefined
          notice.hidden = !isTaken
          notice.textContent = isTaken ? `There is a plan ${to} already.` : ''
          if (isTaken || to === id) return
          builder.change(rename(builder.model, ['plans'], id, to), `rename ${builder.panelCount}`)
          id = to
          renamed(to)
        },
      }),
    )
  return h(
    'div',
    { className: 'field' },
    h('div', { className: 'pair' }, field('name', 'Name'), field('version', 'Version')),
    h('p', { className: 'note' }, 'plan:<name>@<version>, of letters, digits, colons and dashes'),
    notice,
  )
}

/**
 * @param {Builder} builder
 * @param {() => string} id
 * @param {boolean} isFixed
 */
const list = (builder, id, isFixed) => {
  const own = features(builder.model.plans[id()]).map(([feature]) => feature)
  const others = featureNames(builder.model, builder.rows).filter(feature => !own.includes(feature))
  const button = (/** @type {string} */ text, /** @type {string} */ key, /** @type {() => void} */ onclick) =>
    h('button', { type: 'button', className: 'quiet', data: { key }, onclick }, text)
  return h(
    'ul',
    { className: 'plain' },
    own.map(feature => h('li', {}, button(feature, `edit ${feature}`, () => builder.open({ kind: 'feature', plan: id(), feature })))),
    !isFixed && others.map(feature => h('li', {}, button(`+ ${feature}`, `add ${feature}`, () => builder.addToPlan(id(), feature)))),
    !isFixed && h('li', {}, button('+ Another feature', 'add another', () => builder.open({ kind: 'new feature', plan: id() }))),
  )
}

/**
 * The prices that differ from the previous version of the plan.
 *
 * @param {Builder} builder
 * @param {string} id
 */
const changes = (builder, id) => {
  const { name: own } = nameAndVersion(id)
  const versions = Object.keys(builder.model.plans).filter(other => nameAndVersion(other).name === own)
  const before = versions[versions.indexOf(id) - 1]
  const [now, then] = [builder.priced(id), before === undefined ? undefined : builder.priced(before)]
  if (!now || !then) return null
  const words = (/** @type {any} */ plan, /** @type {string} */ feature) =>
    plan.features.find((/** @type {any} */ priced) => priced.feature === feature)?.text ?? 'not in the plan'
  const names = [...new Set([...then.features, ...now.features].map(priced => priced.feature))]
  const rows = names
    .map(feature => ({ feature, from: words(then, feature), to: words(now, feature) }))
    .filter(({ from, to }) => from !== to)
  return [
    h('h3', {}, `Changes since ${before}`),
    rows.length === 0
      ? h('p', { className: 'note' }, 'No price differs.')
      : h('ul', { className: 'plain' }, rows.map(({ feature, from, to }) => h('li', {}, h('b', {}, feature), ` ${from} → ${to}`))),
  ]
}
