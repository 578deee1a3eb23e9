// The console: finds an org, shows it, and changes its plan. The server writes what is shown, and this brings it here with the
// key. Where one is, is in the fragment of the URL: #org=org:acme, or #text=acme.

import { h, labelled } from './dom.mjs'
import { Server } from './server.mjs'

const NEEDS_KEY = new Set([401, 403])

class Console extends HTMLElement {
  #server = new Server()
  #content = h('div', {})
  #status = h('p', { role: 'status', className: 'note' })
  #visits = 0

  connectedCallback() {
    this.replaceChildren(this.#status, this.#content)
    this.addEventListener('submit', event => this.#submitted(event))
    addEventListener('hashchange', () => this.#visit())
    this.#visit()
  }

  /** Shows what the URL names. */
  async #visit() {
    const visit = ++this.#visits
    const place = new URLSearchParams(location.hash.slice(1))
    const org = place.get('org')
    document.title = org ? `${org} – Console` : 'Console'
    const path = org ? `/console/org?${new URLSearchParams({ org })}` : `/console/orgs?${place}`
    this.#status.textContent = 'Asking Stripe…'
    try {
      const html = await this.#server.text(path)
      if (visit !== this.#visits) return
      this.#put(this.#content, html)
      this.#status.textContent = ''
    } catch (error) {
      if (visit === this.#visits) this.#failed(/** @type {any} */ (error))
    }
  }

  /**
   * What the server has written: it escapes all text, and the page's policy runs no script that is in it.
   *
   * @param {Element} element
   * @param {string} html
   */
  #put(element, html) {
    const parsed = new DOMParser().parseFromString(html, 'text/html')
    element.replaceChildren(...parsed.body.childNodes)
  }

  /** @param {import('./server.mjs').Refusal} error */
  #failed(error) {
    this.#status.textContent = ''
    const message = h('p', { className: 'error', role: 'alert' }, error.message)
    if (!NEEDS_KEY.has(error.status)) {
      this.#content.replaceChildren(message, h('p', {}, h('a', { href: '#' }, 'All orgs')))
      return
    }
    const key = h('input', { name: 'key', type: 'password', autocomplete: 'off', required: true })
    const field = labelled('API key of this server', key, 'It is kept until this page is closed, and nowhere else.')
    const form = h('form', { data: { does: 'key' } }, field, h('button', {}, 'Open'))
    this.#content.replaceChildren(...(this.#server.key === '' ? [] : [message]), form)
  }

  /** @param {SubmitEvent} event */
  #submitted(event) {
    const form = /** @type {HTMLFormElement} */ (event.target)
    event.preventDefault()
    const fields = new FormData(form)
    const text = (/** @type {string} */ name) => String(fields.get(name) ?? '').trim()
    switch (form.dataset['does']) {
      case 'find': {
        location.hash = text('text') === '' ? '' : `#${new URLSearchParams({ text: text('text') })}`
        break
      }
      case 'key': {
        this.#server.key = text('key')
        this.#visit()
        break
      }
      case 'preview': {
        this.#preview(new URLSearchParams([...fields].map(([name, value]) => [name, String(value)])))
        break
      }
      case 'apply': {
        this.#apply(form)
        break
      }
    }
  }

  /** @param {URLSearchParams} wish */
  async #preview(wish) {
    const place = this.querySelector('[data-shows=preview]')
    if (!place) return
    place.textContent = 'Asking Stripe…'
    try {
      const html = await this.#server.text(`/console/change?${wish}`)
      this.#put(place, html)
    } catch (error) {
      place.replaceChildren(h('p', { className: 'error', role: 'alert' }, /** @type {Error} */ (error).message))
    }
  }

  /** @param {HTMLFormElement} form */
  async #apply(form) {
    const { path = '', body = '' } = form.dataset
    const button = /** @type {HTMLButtonElement} */ (form.querySelector('button'))
    button.disabled = true
    // The same change, if it is sent again because no answer came.
    const key = (form.dataset['key'] ??= randomKey())
    try {
      const answer = JSON.parse(await this.#server.text(path, body, { 'idempotency-key': key }))
      const failed = await this.#ended(answer)
      if (failed) throw new Error(failed)
      await this.#visit()
      this.#status.textContent = 'The plan is changed.'
    } catch (error) {
      form.after(h('p', { className: 'error', role: 'alert' }, /** @type {Error} */ (error).message))
      button.disabled = false
    }
  }

  /**
   * Waits for the end of a migration, which is how an org changes from one plan to another. Returns what failed.
   *
   * @param {any} migration
   * @returns {Promise<string | undefined>}
   */
  async #ended(migration) {
    let now = migration
    while (now.id && now.state !== 'done') {
      await new Promise(resolve => setTimeout(resolve, 300))
      now = await this.#server.json(`/v1/migrate?${new URLSearchParams({ id: now.id })}`)
    }
    return now.failed?.[0]?.message
  }
}

/** A key that no other request has. `randomUUID` is not there without TLS. */
const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('')

customElements.define('tier-console', Console)
