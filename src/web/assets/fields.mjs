// Fields of a panel that show a value of the model, and change it while the user types.

import { h, labelled } from './dom.mjs'
import { Num, asText } from './json.mjs'
import { get, set } from './model.mjs'
import { toCount, toMinorUnit, toMoney } from './money.mjs'

/**
 * @typedef {import('./builder.mjs').Builder} Builder
 * @typedef {import('./model.mjs').Path} Path
 *
 * The subject of a panel: `base` is its path in the model, which changes when the user renames a plan. Fields have
 * paths relative to it.
 * @typedef {{ builder: Builder, base: () => Path, isFixed: boolean }} Subject
 */

/** @param {Subject} subject @param {Path} rest */
const read = ({ builder, base }, rest) => get(builder.model, [...base(), ...rest])

/** @param {Subject} subject @param {Path} rest @param {any} value */
const write = ({ builder, base }, rest, value) => {
  const path = [...base(), ...rest]
  builder.change(set(builder.model, path, value), `type ${path.join(' ')}`)
}

/**
 * @param {Subject} subject
 * @param {Path} rest
 * @param {(value: any) => string} show
 * @param {(typed: string) => any} understand
 * @param {object} [properties]
 */
const input = (subject, rest, show, understand, properties = {}) =>
  h('input', {
    autocomplete: 'off',
    disabled: subject.isFixed,
    data: { field: rest.join(' '), key: rest.join(' ') },
    value: show(read(subject, rest)),
    oninput: (/** @type {any} */ { target }) =>
      write(subject, rest, target.value.trim() === '' ? undefined : understand(target.value)),
    onchange: (/** @type {any} */ { target }) => {
      subject.builder.history.pause()
      target.value = show(read(subject, rest))
    },
    ...properties,
  })

/**
 * A text.
 *
 * @param {Subject} subject
 * @param {string} label
 * @param {Path} rest
 * @param {string} [hint]
 */
export const textField = (subject, label, rest, hint) =>
  labelled(label, input(subject, rest, asText, typed => typed), hint)

/**
 * An input for money in the currency of the plan. Other text is kept as it was typed, and the server reports the fault.
 * wrong with it.
 *
 * @param {Subject} subject
 * @param {string} label
 * @param {Path} rest
 * @param {number} decimals
 */
export const moneyInput = (subject, label, rest, decimals) => {
  const show = (/** @type {any} */ value) =>
    value instanceof Num ? toMoney(value.text, decimals) : asText(value)
  const understand = (/** @type {string} */ typed) => {
    const amount = toMinorUnit(typed, decimals)
    return amount === null ? typed : new Num(amount)
  }
  const placeholder = toMoney('0', decimals)
  return input(subject, rest, show, understand, { inputMode: 'decimal', placeholder, 'aria-label': label })
}

/**
 * An input for a whole number.
 *
 * @param {Subject} subject
 * @param {string} label
 * @param {Path} rest
 * @param {string} [placeholder]
 */
export const countInput = (subject, label, rest, placeholder = '') => {
  const understand = (/** @type {string} */ typed) => {
    const count = toCount(typed)
    return count === null ? typed : new Num(count)
  }
  return input(subject, rest, asText, understand, { inputMode: 'numeric', placeholder, 'aria-label': label })
}

/**
 * A choice among the words of a setting. The first is the default, which is left out of the model.
 *
 * @param {Subject} subject
 * @param {string} label
 * @param {Path} rest
 * @param {Array<[string, string]>} choices
 * @param {() => void} [then]
 */
export const choiceField = (subject, label, rest, choices, then) => {
  const fallback = choices[0]?.[0] ?? ''
  const chosen = asText(read(subject, rest)) || fallback
  const known = choices.some(([word]) => word === chosen)
  /** @type {Array<[string, string]>} */
  const all = known ? choices : [...choices, [chosen, chosen]]
  const select = h(
    'select',
    {
      disabled: subject.isFixed,
      data: { field: rest.join(' '), key: rest.join(' ') },
      onchange: (/** @type {any} */ { target }) => {
        write(subject, rest, target.value === fallback ? undefined : target.value)
        subject.builder.history.pause()
        then?.()
      },
    },
    all.map(([word, text]) => h('option', { value: word, selected: word === chosen }, text)),
  )
  return labelled(label, select)
}
