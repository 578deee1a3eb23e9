// The panel that pushes the model to Stripe, and pulls the model from there.

import { h, labelled, show } from './dom.mjs'

/**
 * @typedef {import('./builder.mjs').Builder} Builder
 * @typedef {import('./builder.mjs').Panel} Panel
 */

/** @param {Builder} builder @returns {Panel} */
export const stripePanel = builder => {
  const content = h('div', {})
  const element = h('section', {}, h('h2', {}, 'Stripe'), content)
  let hadFaults = false
  const refresh = async () => {
    hadFaults = builder.hasFaults()
    show(content, h('p', { className: 'note' }, 'Asking Stripe…'))
    try {
      await builder.connect()
      show(content, ...(await account(builder, refresh)))
    } catch (error) {
      show(content, ...failed(builder, /** @type {any} */ (error), refresh))
    }
  }
  refresh()
  // The server may still be looking for faults when the panel is opened.
  const update = () => {
    if (builder.hasFaults() !== hadFaults) refresh()
  }
  return { element, base: () => ['stripe'], title: 'Stripe', update }
}

/**
 * @param {Builder} builder
 * @param {import('./server.mjs').Refusal} error
 * @param {() => void} again
 */
const failed = (builder, error, again) => {
  const isRefused = error.status === 401 || error.status === 403
  if (!isRefused) return [h('p', { className: 'error', role: 'alert' }, error.message), h('button', { type: 'button', data: { key: 'again' }, onclick: again }, 'Try again')]
  const key = h('input', { type: 'password', autocomplete: 'off', required: true, data: { key: 'key' } })
  const connect = (/** @type {Event} */ event) => {
    event.preventDefault()
    builder.server.key = key.value.trim()
    again()
  }
  // Without a key, a 401 only means that a key is needed. A 403 has another reason, such as the page's origin.
  return [
    (builder.server.key !== '' || error.status === 403) && h('p', { className: 'error', role: 'alert' }, error.message),
    h('form', { onsubmit: connect }, labelled('API key of this server', key, 'It is kept until this page is closed, and nowhere else.'), h('button', {}, 'Connect')),
  ]
}

/**
 * @param {Builder} builder
 * @param {() => void} again
 */
const account = async (builder, again) => {
  const { id, url } = builder.account
  const isLive = builder.isLive()
  const log = h('ul', { className: 'log', 'aria-live': 'polite', 'aria-label': 'What was done' })
  const diff = builder.hasFaults() ? null : await builder.server.json('/v1/diff', builder.body())
  return [
    isLive && h('p', { className: 'live', role: 'alert' }, 'This is your live account. Customers pay what is in it.'),
    h('p', {}, 'Account ', url ? h('a', { href: url, target: '_blank', rel: 'noreferrer' }, id) : h('span', { className: 'id' }, id)),
    h('h3', {}, 'What a push would do'),
    diff === null
      ? h('p', { className: 'error' }, 'The model has faults. Mend them first.')
      : comparison(diff),
    await toPush(builder, diff, log, again),
    h('button', { type: 'button', className: 'quiet', disabled: builder.isReadOnly, data: { key: 'pull' }, onclick: () => pull(builder, log) }, 'Pull model'),
    log,
  ]
}

/** @param {any} diff */
const comparison = diff => {
  const words = { create: 'create', same: 'same', differs: 'differs' }
  const value = (/** @type {any} */ json) => JSON.stringify(json)
  return [
    h('p', {}, `${diff.create} to create, ${diff.same} the same, ${diff.differ} different`),
    h(
      'ul',
      { className: 'log' },
      diff.features.map((/** @type {any} */ row) =>
        h(
          'li',
          { className: row.status },
          h('b', {}, words[/** @type {keyof typeof words} */ (row.status)]),
          ` ${row.feature}`,
          row.reason && ` (${row.reason})`,
          (row.fields ?? []).map((/** @type {any} */ field) => h('div', { className: 'note' }, `${field.field}: ${value(field.stripe)} in Stripe, ${value(field.model)} here`)),
        )),
    ),
    diff.differ > 0 && h('p', { className: 'error' }, 'Plans in Stripe never change: make a new version of those that differ.'),
  ]
}

/**
 * How to push the model: with a button if the key may push to a test account, else with a command.
 *
 * @param {Builder} builder
 * @param {any} diff
 * @param {HTMLElement} log
 * @param {() => void} again
 */
const toPush = (builder, diff, log, again) => {
  if (builder.isLive()) return command(builder, diff)
  return builder.mayWrite() ? pushButton(builder, diff, log, again) : forOthers(builder, diff)
}

/**
 * @param {Builder} builder
 * @param {any} diff
 * @param {HTMLElement} log
 * @param {() => void} again
 */
const pushButton = (builder, diff, log, again) => {
  const count = diff?.create ?? 0
  const text = count === 0 ? 'Nothing to push' : `Push ${count} ${count === 1 ? 'feature' : 'features'}`
  const push = async (/** @type {any} */ { target }) => {
    target.disabled = true
    show(log, h('li', {}, 'pushing…'))
    try {
      const { results = [] } = await builder.server.json('/v1/push', builder.body())
      show(log, results.map(pushed), h('li', {}, 'push complete'), h('li', {}, h('button', { type: 'button', className: 'quiet', data: { key: 'compare' }, onclick: again }, 'Compare again')))
      await builder.readStripe()
    } catch (error) {
      show(log, h('li', { className: 'differs' }, /** @type {Error} */ (error).message))
      target.disabled = false
    }
  }
  return h('button', { type: 'button', disabled: count === 0 || diff.differ > 0, data: { key: 'push' }, onclick: push }, text)
}

/**
 * Replaces the button for a key that may not push.
 *
 * @param {Builder} builder
 * @param {any} diff
 */
const forOthers = async (builder, diff) => [
  h('p', {}, `This key has the role ${builder.account.role}, which does not push.`),
  diff !== null && [h('p', {}, 'To push this model, somebody with an admin key runs:'), h('pre', { tabIndex: 0 }, `tier push ${await builder.link()}`)],
]

/** @param {any} result */
const pushed = result => {
  const { feature, status, reason, link } = result
  const name = link ? h('a', { href: link, target: '_blank', rel: 'noreferrer' }, feature) : feature
  return h('li', { className: status === 'ok' ? 'create' : 'differs' }, h('b', {}, status), `: ${reason}: `, name)
}

/** @param {Builder} builder @param {HTMLElement} log */
const pull = async (builder, log) => {
  show(log, h('li', {}, 'pulling…'))
  try {
    await builder.pull()
    show(log, h('li', {}, 'pull complete; undo brings back what was here'))
  } catch (error) {
    show(log, h('li', { className: 'differs' }, /** @type {Error} */ (error).message))
  }
}

/**
 * Pushing to a live account takes a command, so that nobody does it by accident.
 *
 * @param {Builder} builder
 * @param {any} diff
 */
const command = async (builder, diff) => {
  if (diff === null) return null
  const link = await builder.link()
  return [h('p', {}, 'To push it to the live account, run:'), h('pre', { tabIndex: 0 }, `tier push --live ${link}`)]
}
