// JSON as in pricing.json: with comments and trailing commas. Numbers keep their text, because prices may have more
// digits than a JavaScript number holds.

/** A number, as it is written. */
export class Num {
  /** @param {string} text */
  constructor(text) {
    this.text = text
  }
}

/**
 * @typedef {null | boolean | string | Num | Array<any> | { [key: string]: any }} Json
 */

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const SPACE = /(?:[\ufeff \t\r\n]+|\/\/[^\n]*|\/\*[^]*?\*\/)*/y
const WORD = /true|false|null/y

/** @param {string} text */
export const isNumber = text => {
  NUMBER.lastIndex = 0
  return NUMBER.exec(text)?.[0] === text
}

class Parser {
  /** @param {string} text */
  constructor(text) {
    this.text = text
    this.at = 0
  }

  /** @param {RegExp} token */
  take(token) {
    token.lastIndex = this.at
    const found = token.exec(this.text)
    if (found === null) return undefined
    this.at = token.lastIndex
    return found[0]
  }

  /** @param {string} character */
  skip(character) {
    this.take(SPACE)
    if (this.text[this.at] !== character) return false
    this.at += 1
    return true
  }

  fail() {
    const line = this.text.slice(0, this.at).split('\n').length
    return new SyntaxError(`this is not JSON, from line ${line} on`)
  }

  /** @returns {Json} */
  value() {
    this.take(SPACE)
    if (this.skip('{')) return this.object()
    if (this.skip('[')) return this.array()
    const string = this.take(STRING)
    if (string !== undefined) return JSON.parse(string)
    const number = this.take(NUMBER)
    if (number !== undefined) return new Num(number)
    const word = this.take(WORD)
    if (word !== undefined) return JSON.parse(word)
    throw this.fail()
  }

  object() {
    const object = Object.create(null)
    while (!this.skip('}')) {
      this.take(SPACE)
      const key = this.take(STRING)
      if (key === undefined || !this.skip(':')) throw this.fail()
      object[JSON.parse(key)] = this.value()
      if (this.skip(',')) continue
      if (this.skip('}')) break
      throw this.fail()
    }
    return object
  }

  array() {
    const array = []
    while (!this.skip(']')) {
      array.push(this.value())
      if (this.skip(',')) continue
      if (this.skip(']')) break
      throw this.fail()
    }
    return array
  }
}

/**
 * Reads a text.
 *
 * @param {string} text
 * @returns {Json}
 */
export const parse = text => {
  const parser = new Parser(text)
  const value = parser.value()
  parser.take(SPACE)
  if (parser.at < text.length) throw parser.fail()
  return value
}

/**
 * A value as text, for a field: a string itself, and any other value as JSON.
 *
 * @param {Json | undefined} value
 */
export const asText = value => {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : print(value)
}

/**
 * Writes a value, indented by two spaces.
 *
 * @param {Json} value
 * @param {string} [indent]
 * @returns {string}
 */
export const print = (value, indent = '') => {
  if (value instanceof Num) return value.text
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const deeper = `${indent}  `
  const isArray = Array.isArray(value)
  const items = isArray
    ? value.map(item => print(item, deeper))
    : Object.keys(value).map(key => `${JSON.stringify(key)}: ${print(value[key], deeper)}`)
  const [open, close] = isArray ? ['[', ']'] : ['{', '}']
  if (items.length === 0) return open + close
  return `${open}\n${deeper}${items.join(`,\n${deeper}`)}\n${indent}${close}`
}

const TOKEN_OR_SPACE = /"(?:[^"\\]|\\.)*"|[ \t\r\n\ufeff]+|\/\/[^\n]*|\/\*[^]*?\*\//g

/**
 * Removes spaces and comments from JSON. Everything else stays, even duplicate keys.
 *
 * @param {string} text what `parse` reads
 */
export const compact = text => text.replace(TOKEN_OR_SPACE, found => (found.startsWith('"') ? found : ''))
