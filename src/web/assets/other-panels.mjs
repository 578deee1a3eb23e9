// The panels for the JSON of the model, and for a link to share it.

import { h, labelled, show } from './dom.mjs'

/**
 * @typedef {import('./builder.mjs').Builder} Builder
 * @typedef {import('./builder.mjs').Panel} Panel
 */

/** @param {Builder} builder @returns {Panel} */
export const jsonPanel = builder => {
  const notice = h('p', { className: 'error', role: 'alert', hidden: true })
  const text = h('textarea', {
    value: builder.text(),
    rows: 24,
    spellcheck: false,
    readOnly: builder.isReadOnly,
    className: 'json',
    data: { key: 'json' },
    oninput: () => {
      const fault = builder.read(text.value, 'type json')
      notice.hidden = fault === null
      notice.textContent = fault ?? ''
    },
  })
  const element = h('section', {}, h('h2', {}, 'pricing.json'), labelled('The model as JSON', text, 'Comments stay until something is changed outside of this text.'), notice)
  return { element, base: () => [], title: 'pricing.json' }
}

/** @param {Builder} builder @returns {Panel} */
export const sharePanel = builder => {
  const content = h('div', {}, h('p', { className: 'note' }, 'Making a link…'))
  const element = h('section', {}, h('h2', {}, 'Share'), content)
  const make = async () => {
    try {
      const link = await builder.link()
      const field = h('input', { value: link, readOnly: true, data: { key: 'link' }, onfocus: (/** @type {any} */ { target }) => target.select() })
      const copied = h('span', { className: 'note', role: 'status' })
      const copy = async () => {
        await navigator.clipboard.writeText(link)
        copied.textContent = 'Copied.'
      }
      show(
        content,
        h('p', {}, 'The whole model is in this link. Whoever has it can see the model and make a copy; nothing is stored on the server.'),
        labelled('Link', field),
        h('p', {}, h('button', { type: 'button', data: { key: 'copy' }, onclick: copy }, 'Copy link'), ' ', copied),
        h('h3', {}, 'For developers'),
        h('pre', { tabIndex: 0 }, `tier push ${link}`),
      )
    } catch (error) {
      show(content, h('p', { className: 'error', role: 'alert' }, /** @type {Error} */ (error).message))
    }
  }
  make()
  return { element, base: () => ['share'], title: 'Share' }
}
