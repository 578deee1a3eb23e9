// The console: finds an org, shows it, and changes its plan. The server renders the views, and this script loads them
// with the API key. The fragment of the URL names the current view: #org=org:acme, or #text=acme; clock=clock_… adds a
// test clock.

import { h, labelled } from './dom.mjs'
import { Server } from './server.mjs'

const NEEDS_KEY = new Set([401, 403])

class Console extends HTMLElement {
  #server = new Server()
  #content = h('div', {})
  #status = h('p', { role: 'status', className: 'note' })
  #visits = 0
  #previews = 0

  connectedCallback() {
    this.replaceChildren(this.#status, this.#content)
    this.addEventListener('submit', event => this.#submitted(event))
    this.addEventListener('input', event => this.#changed(event))
    addEventListener('hashchange', () => this.#visit())
    this.#visit()
  }

  /** Goes to a view, or reloads it if it is the current one. @param {string} place the fragment of its URL */
  #go(place) {
    if (location.hash === place) this.#visit()
    else location.hash = place
  }

  /** Loads the view that the URL names. */
  async #visit() {
    const visit = ++this.#visits
    const place = new URLSearchParams(location.hash.slice(1))
    const [org, clock] = [place.get('org'), place.get('clock')]
    place.delete('clock')
    this.#server.headers = clock ? { 'tier-clock': clock } : {}
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
   * Parses HTML of the server, which escapes all text. The page's policy runs no script in it.
   *
   * @param {string} html
   */
  #parsed(html) {
    return new DOMParser().parseFromString(html, 'text/html').body
  }

  /** @param {Element} element @param {string} html */
  #put(element, html) {
    element.replaceChildren(...this.#parsed(html).childNodes)
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
    // Without a key, a 401 only means that a key is needed. A 403 has another reason, such as the page's origin.
    const isTold = this.#server.key !== '' || error.status === 403
    this.#content.replaceChildren(...(isTold ? [message] : []), form)
  }

  /** @param {SubmitEvent} event */
  #submitted(event) {
    const form = /** @type {HTMLFormElement} */ (event.target)
    event.preventDefault()
    const fields = new FormData(form)
    const text = (/** @type {string} */ name) => String(fields.get(name) ?? '').trim()
    const wish = () => new URLSearchParams([...fields].map(([name, value]) => [name, String(value)]))
    switch (form.dataset['does']) {
      case 'find': {
        const place = new URLSearchParams([...wish()].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== ''))
        this.#go(place.size === 0 ? '' : `#${place}`)
        break
      }
      case 'key': {
        this.#server.key = text('key')
        this.#visit()
        break
      }
      case 'preview': {
        this.#preview(wish())
        break
      }
      case 'older': {
        this.#older(form, wish())
        break
      }
      case 'apply': {
        this.#apply(form)
        break
      }
    }
  }

  /** Removes the preview of another change, so that nobody applies that one. @param {Event} event */
  #changed(event) {
    const form = event.target instanceof Element ? event.target.closest('form') : null
    if (form?.dataset['does'] !== 'preview') return
    this.#previews += 1
    this.querySelector('[data-shows=preview]')?.replaceChildren()
  }

  /** @param {URLSearchParams} wish */
  async #preview(wish) {
    const place = this.querySelector('[data-shows=preview]')
    if (!place) return
    const preview = ++this.#previews
    place.textContent = 'Asking Stripe…'
    try {
      const html = await this.#server.text(`/console/change?${wish}`)
      if (preview === this.#previews) this.#put(place, html)
    } catch (error) {
      if (preview === this.#previews) place.replaceChildren(h('p', { className: 'error', role: 'alert' }, /** @type {Error} */ (error).message))
    }
  }

  /**
   * Appends older invoices to the table before the form, and moves the focus to the first of them.
   *
   * @param {HTMLFormElement} form
   * @param {URLSearchParams} wish
   */
  async #older(form, wish) {
    const button = buttonOf(form)
    button.disabled = true
    try {
      const parsed = this.#parsed(await this.#server.text(`/console/invoices?${wish}`))
      const rows = [...parsed.querySelectorAll('tbody tr')]
      form.previousElementSibling?.querySelector('tbody')?.append(...rows)
      form.replaceWith(...parsed.querySelectorAll('form'))
      const [first] = rows
      if (first instanceof HTMLElement) Object.assign(first, { tabIndex: -1 }).focus()
    } catch (error) {
      this.#told(form, error)
      button.disabled = false
    }
  }

  /** Shows an error below a form, in place of an earlier one. @param {HTMLFormElement} form @param {unknown} error */
  #told(form, error) {
    const { nextElementSibling: before } = form
    if (before?.matches('.error')) before.remove()
    form.after(h('p', { className: 'error', role: 'alert' }, /** @type {Error} */ (error).message))
  }

  /** @param {HTMLFormElement} form */
  async #apply(form) {
    const { path = '', body = '' } = form.dataset
    const button = buttonOf(form)
    button.disabled = true
    // If the change is sent again because no answer came, it has the same key.
    const key = (form.dataset['key'] ??= randomKey())
    try {
      const answer = JSON.parse(await this.#server.text(path, body, { 'idempotency-key': key }))
      const failed = await this.#ended(answer)
      if (failed) throw new Error(failed)
      await this.#visit()
      this.#status.textContent = 'The plan is changed.'
    } catch (error) {
      this.#told(form, error)
      button.disabled = false
    }
  }

  /**
   * Waits for the end of a migration, by which an org changes from one plan to another. Returns the error, if any.
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

/** @param {HTMLFormElement} form @returns {HTMLButtonElement} */
const buttonOf = form => /** @type {any} */ (form.querySelector('button'))

/** A new idempotency key. `randomUUID` is missing on pages without TLS. */
const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('')

customElements.define('tier-console', Console)
