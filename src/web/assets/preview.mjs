// The pricing table as customers will see it, and the bills for a usage that the user enters. The server computes both.

import { h, labelled, show } from './dom.mjs'
import { featureNames, kind, plans } from './model.mjs'

/** @typedef {import('./builder.mjs').Builder} Builder */

export class Preview {
  table = h('tier-pricing')
  note = h('p', { className: 'note', role: 'status' })
  usage = h('div', { className: 'usage' })
  bills = h('ul', { className: 'plain bills', 'aria-live': 'polite' })
  element = h('section', { className: 'preview' },
    h('h2', {}, 'As customers see it'), this.note, this.table, h('h2', {}, 'What it costs'), this.usage, this.bills)
  shown = ''

  /** @param {Builder} builder */
  update(builder) {
    this.table.data = builder.preview ?? { plans: [] }
    this.note.textContent = note(builder)
    show(this.bills, (builder.preview?.plans ?? []).map(bill))
    const names = counted(builder)
    // The fields stay in the page, so that typing is not interrupted.
    if (names.join(' ') === this.shown) return
    this.shown = names.join(' ')
    show(this.usage, names.map(name => field(builder, name)))
  }
}

/** Why the prices shown are not those of the current model. @param {Builder} builder */
const note = builder => {
  if (builder.hasFaults()) return 'As it was before the faults.'
  return builder.notShown && `The prices cannot be shown: ${builder.notShown}.`
}

/** The features whose usage is counted in some plan. @param {Builder} builder */
const counted = builder =>
  featureNames(builder.model).filter(name =>
    plans(builder.model).some(([, plan]) => kind(plan?.features?.[name]) === 'usage'))

/** @param {Builder} builder @param {string} name */
const field = (builder, name) =>
  labelled(
    `Used of ${name}`,
    h('input', {
      inputMode: 'numeric',
      value: builder.usage.get(name) ?? '0',
      data: { key: `usage ${name}` },
      oninput: (/** @type {any} */ { target }) => {
        const count = target.value.replaceAll(',', '').trim()
        const isCount = /^[0-9]*$/.test(count)
        target.removeAttribute('aria-invalid')
        if (isCount) builder.use(name, count)
        else target.setAttribute('aria-invalid', 'true')
      },
    }),
  )

/** @param {import('./builder.mjs').PricedPlan} plan */
const bill = plan =>
  h(
    'li',
    {},
    h('b', {}, plan.title),
    ` ${plan.bill.text} `,
    h('span', { className: 'note' }, plan.bill.lines.map(line => `${line.feature} ${line.text}`).join(' + ')),
  )
