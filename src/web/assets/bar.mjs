// The bar at the top of the builder.

import { h, show } from './dom.mjs'
import { choose, download } from './files.mjs'

/** @typedef {import('./builder.mjs').Builder} Builder */

/** @param {Builder} builder @param {Element} header */
export const bar = (builder, header) => {
  const { history, isReadOnly } = builder
  const button = (/** @type {string} */ text, /** @type {string} */ key, /** @type {() => void} */ onclick, disabled = false) =>
    h('button', { type: 'button', className: 'quiet', disabled, data: { key }, onclick }, text)
  const live = builder.isLive()
  const name = live ? 'Stripe, live' : 'Stripe'
  show(
    header,
    h(
      'div',
      { className: live ? 'bar live' : 'bar' },
      h('h1', {}, 'Model Builder'),
      title(builder, header),
      button('Undo', 'undo', () => builder.undo(), isReadOnly || history.past.length === 0),
      button('Redo', 'redo', () => builder.redo(), isReadOnly || history.future.length === 0),
      button('Open', 'open', () => choose(builder), isReadOnly),
      button('Download', 'download', () => download(builder), false),
      button('{ } JSON', 'json', () => builder.open({ kind: 'json' })),
      button('Share', 'share', () => builder.open({ kind: 'share' }), builder.hasFaults()),
      button(name, 'stripe', () => builder.open({ kind: 'stripe' }), isReadOnly),
    ),
    isReadOnly && shared(builder),
    builder.elsewhere !== null && elsewhere(builder),
    builder.notice !== '' && h('p', { className: 'error', role: 'alert' }, builder.notice),
    builder.generalFaults().map(fault => h('p', { className: 'error', role: 'alert' }, fault.message)),
  )
}

/**
 * Keeps the field of the title in the page, so that typing is not interrupted.
 *
 * @param {Builder} builder
 * @param {Element} header
 */
const title = (builder, header) => {
  const old = header.querySelector('.title')
  const field =
    old ??
    h('input', {
      className: 'title',
      placeholder: '(no title)',
      'aria-label': 'Title of the model',
      maxLength: 200,
      data: { key: 'title' },
      oninput: (/** @type {any} */ { target }) => builder.setTitle(target.value),
    })
  const input = /** @type {HTMLInputElement} */ (field)
  if (input.value !== builder.state.title) input.value = builder.state.title
  input.disabled = builder.isReadOnly
  return input
}

/** @param {Builder} builder */
const shared = builder =>
  h(
    'div',
    { className: 'notice' },
    h('p', {}, 'This model is in the link that you opened', builder.from === '' ? '.' : [', and is from ', h('span', { className: 'id' }, builder.from), '.'], ' It does not change.'),
    h('button', { type: 'button', data: { key: 'clone' }, onclick: () => builder.clone() }, 'Clone'),
  )

/** @param {Builder} builder */
const elsewhere = builder =>
  h(
    'div',
    { className: 'notice', role: 'status' },
    h('p', {}, 'Another window has changed the model that this browser keeps. A change here takes its place.'),
    h('button', { type: 'button', data: { key: 'elsewhere' }, onclick: () => builder.takeFromElsewhere() }, 'Show it here'),
  )
