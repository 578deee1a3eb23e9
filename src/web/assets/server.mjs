// Calls the server that this page is from. The API key is only kept in memory.

import { parse } from './json.mjs'

/** A request that has failed. `status` is the HTTP status; 0 if there was no answer. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

export class Server {
  key = ''
  /** Headers of every request. @type {Record<string, string>} */
  headers = {}

  /**
   * @param {string} path
   * @param {string} [body]
   * @param {Record<string, string>} [more] headers
   * @returns {Promise<string>}
   */
  async text(path, body, more = {}) {
    const headers = this.#headers(more)
    if (body !== undefined) headers.set('content-type', 'application/json')
    const method = body === undefined ? 'GET' : 'POST'
    let answer
    try {
      answer = await fetch(path, { method, headers, body: body ?? null, credentials: 'omit' })
    } catch {
      throw new Refusal(0, 'The server cannot be reached.')
    }
    const text = await answer.text()
    if (answer.ok) return text
    throw new Refusal(answer.status, messageIn(text) ?? `HTTP ${answer.status}`)
  }

  /** @param {Record<string, string>} more */
  #headers(more) {
    try {
      const key = this.key === '' ? {} : { authorization: `Bearer ${this.key}` }
      return new Headers({ accept: 'application/json', ...key, ...this.headers, ...more })
    } catch {
      throw new Refusal(this.key === '' ? 400 : 401, 'There is a character that no key has.')
    }
  }

  /**
   * @param {string} path
   * @param {string} [body]
   * @returns {Promise<any>}
   */
  async json(path, body) {
    return JSON.parse(await this.text(path, body))
  }

  /** The model in Stripe, including archived plans. Its numbers keep their text. */
  async pull() {
    return parse(await this.text('/v1/pull?archived=true'))
  }
}

/** @param {string} text */
const messageIn = text => {
  try {
    return /** @type {string | undefined} */ (JSON.parse(text).message)
  } catch {
    return undefined
  }
}
