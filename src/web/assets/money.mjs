// Converts money between the form that users type and that of pricing.json, the minor unit of the currency (cents). It
// moves the decimal point in the text, so that no digit is lost.

import { isNumber } from './json.mjs'

/** The largest exponent that is written out. Amounts have no more digits. */
const MAX_PLACES = 60

/**
 * The number without an exponent, or null if it has more digits than an amount.
 *
 * @param {string} text
 */
const plain = text => {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e')
  return Math.abs(Number(exponent)) > MAX_PLACES ? null : shift(mantissa, Number(exponent))
}

/**
 * Moves the point of a plain number to the right, or to the left if `places` is negative.
 *
 * @param {string} text
 * @param {number} places
 */
const shift = (text, places) => {
  const sign = text.startsWith('-') ? '-' : ''
  const [whole = '', fraction = ''] = text.replace('-', '').split('.')
  let digits = whole + fraction
  let point = whole.length + places
  if (point < 0) {
    digits = '0'.repeat(-point) + digits
    point = 0
  }
  digits = digits.padEnd(point, '0')
  const left = digits.slice(0, point).replace(/^0+(?=.)/, '') || '0'
  const right = digits.slice(point).replace(/0+$/, '')
  return sign + left + (right && `.${right}`)
}

/**
 * Formats an amount of the minor unit as money: with two decimals, 1000 is 10.00. Other text stays as it is.
 *
 * @param {string} amount
 * @param {number} decimals
 */
export const toMoney = (amount, decimals) => {
  const number = plain(amount)
  if (number === null) return amount
  const money = shift(number, -decimals)
  if (decimals === 0) return money
  const [whole = '0', fraction = ''] = money.split('.')
  return `${whole}.${fraction.padEnd(decimals, '0')}`
}

const TYPED = /^(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]*)?$/

/**
 * Parses typed money into an amount of the minor unit; null if it is not money.
 *
 * @param {string} typed
 * @param {number} decimals
 */
export const toMinorUnit = (typed, decimals) => {
  const money = typed.trim()
  if (!TYPED.test(money) || !/[0-9]/.test(money)) return null
  return shift(money.replaceAll(',', ''), decimals)
}

/**
 * Parses a typed count; null if it is not a number.
 *
 * @param {string} typed
 */
export const toCount = typed => {
  const count = typed.trim().replaceAll(',', '')
  return isNumber(count) ? count : null
}
