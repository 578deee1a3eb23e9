// The Model Builder: <tier-builder>. It holds the model and its history, has the server check and price it, and shows
// it.

import { bar } from './bar.mjs'
import { show } from './dom.mjs'
import { Editor } from './editor.mjs'
import { featurePanel, newFeaturePanel, rowPanel } from './feature-panel.mjs'
import { below, mark } from './faults.mjs'
import { dropped, kept, keep, whenKeptElsewhere } from './files.mjs'
import { grid, keyOf } from './grid.mjs'
import { History } from './history.mjs'
import { asText, parse } from './json.mjs'
import { pressed } from './keyboard.mjs'
import { get, plans } from './model.mjs'
import { jsonPanel, sharePanel } from './other-panels.mjs'
import { planPanel } from './plan-panel.mjs'
import { Preview } from './preview.mjs'
import { Server } from './server.mjs'
import { stripePanel } from './stripe-panel.mjs'

/**
 * @typedef {import('./model.mjs').Path} Path
 * @typedef {{ decimals: number, sign: string }} Currency
 * @typedef {{ feature: string, title: string, text: string }} PricedFeature
 * @typedef {{ id: string, title: string, text: string, features: Array<PricedFeature>,
 *   bill: { text: string, lines: Array<{ feature: string, text: string }> } }} PricedPlan
 *
 * A panel: its element, the path in the model that it edits, and how it shows new prices, if it does.
 * @typedef {{ element: HTMLElement, base: () => Path, title: string, update?: () => void }} Panel
 * @typedef {import('./editor.mjs').Opened} Opened
 */

/** How long to wait after the last change before the server checks the model, in milliseconds. */
const PAUSE = 150

export class Builder extends Editor {
  server = new Server()
  /** @type {Array<import('./faults.mjs').Fault>} */
  faults = []
  /** @type {{ plans: Array<PricedPlan> } | null} */
  preview = null
  /** Why the server cannot price a model that has no faults. */
  notShown = ''
  /** @type {Map<string, string>} */
  usage = new Map()
  /** @type {any} */
  account = null
  /** @type {{ [code: string]: Currency }} */
  currencies = {}
  from = ''
  /** A message to show, such as why a file cannot be read. */
  notice = ''
  panelCount = 0
  /** The model that another window of this browser has stored since. @type {import('./files.mjs').Kept | null} */
  elsewhere = null

  /** @type {Panel | null} */
  #panel = null
  /** @type {Opened | null} */
  #opened = null
  #preview = new Preview()
  #asked = 0
  #timer = 0

  connectedCallback() {
    this.currencies = JSON.parse(this.dataset['currencies'] ?? '{}')
    this.from = this.dataset['from'] ?? ''
    const bars = document.createElement('header')
    const main = document.createElement('div')
    main.className = 'work'
    const aside = document.createElement('aside')
    aside.hidden = true
    this.replaceChildren(bars, main, aside, this.#preview.element)
    addEventListener('keydown', event => pressed(this, event))
    addEventListener('dragover', event => event.preventDefault())
    addEventListener('drop', event => dropped(this, event))
    whenKeptElsewhere(kept => this.#changedElsewhere(kept))
    this.#start()
  }

  async #start() {
    if (this.dataset['shared'] === undefined) {
      this.history = new History({ ...this.state, ...kept() })
    } else {
      this.isReadOnly = true
      await this.#readShared()
    }
    this.changed()
    // Works at once if the server has no API keys. Otherwise the user enters a key later.
    await this.connect().catch(() => {})
    this.render()
  }

  async #readShared() {
    try {
      const text = await this.server.text(location.pathname)
      this.history = new History({ title: this.dataset['title'] ?? '', model: parse(text), rows: [], text: null })
    } catch (error) {
      this.notice = /** @type {Error} */ (error).message
    }
  }

  hasFaults() {
    return this.faults.length > 0
  }

  isLive() {
    return this.dataset['live'] === 'true' || this.server.key.includes('_live_')
  }

  /** @param {string} plan */
  priced(plan) {
    return this.preview?.plans.find(({ id }) => id === plan)
  }

  /** @param {string} plan @returns {Currency} */
  currency(plan) {
    const code = asText(get(this.model, ['plans', plan, 'currency'])) || 'usd'
    const known = Object.hasOwn(this.currencies, code) ? this.currencies[code] : undefined
    return known ?? { decimals: 2, sign: code }
  }

  /** @param {string} message */
  notify(message) {
    this.notice = message
    this.render()
  }

  /** Makes an editable copy of the shared model. It replaces the model stored in this browser; undo brings that back. */
  clone() {
    const shared = this.state
    this.isReadOnly = false
    const own = kept()
    this.history = new History({ ...own, rows: [] })
    if (own.text === null) this.history.state = shared
    else this.history.push(shared)
    history.pushState(null, '', '/builder')
    this.changed()
    this.reopen()
  }

  /** @param {import('./files.mjs').Kept} kept */
  #changedElsewhere(kept) {
    const isSame = kept.text === this.text() && kept.title === this.state.title
    this.elsewhere = isSame || this.isReadOnly ? null : kept
    this.render()
  }

  /** Loads the model that another window has stored. Undo brings back this one. */
  takeFromElsewhere() {
    if (this.elsewhere === null) return
    this.history.push({ ...this.elsewhere, rows: [] })
    this.changed()
    this.reopen()
  }

  /** @param {string} feature @param {string} count */
  use(feature, count) {
    this.usage.set(feature, count)
    this.#ask()
  }

  /** Reads which account the server has, its model, and what the key allows. */
  async connect() {
    this.account = await this.server.json('/v1/whoami?include=role')
    await this.readStripe()
  }

  /** Whether the key may push models and make checkout links. A server without keys allows everything. */
  mayWrite() {
    return this.account?.role === 'admin'
  }

  async readStripe() {
    const pulled = await this.server.pull()
    for (const [, plan] of plans(pulled)) delete plan.archived
    this.stripe = pulled
    this.render()
  }

  async pull() {
    const text = await this.server.text('/v1/pull')
    this.replace(parse(text))
    await this.readStripe()
  }

  /** A link that holds the model. */
  async link() {
    const { url } = await this.server.json(`/upload?title=${encodeURIComponent(this.state.title)}`, this.body())
    return /** @type {string} */ (url)
  }

  /** @override @param {Opened} opened */
  open(opened) {
    this.#show(opened)
    const aside = /** @type {HTMLElement} */ (this.querySelector('aside'))
    const first = aside.querySelector('input:enabled, select:enabled, textarea')
    if (!aside.contains(document.activeElement) && first instanceof HTMLElement) first.focus()
  }

  /** @param {Opened} opened */
  #show(opened) {
    this.#opened = opened
    this.panelCount += 1
    this.history.pause()
    this.#panel = this.#make(opened)
    const aside = /** @type {HTMLElement} */ (this.querySelector('aside'))
    const close = document.createElement('button')
    Object.assign(close, { type: 'button', className: 'quiet close', textContent: 'Close', onclick: () => this.close() })
    close.dataset['key'] = 'close'
    aside.hidden = this.#panel === null
    aside.setAttribute('aria-label', this.#panel?.title ?? '')
    show(aside, close, this.#panel?.element)
    this.#mark()
  }

  isOpen() {
    return this.#opened !== null
  }

  /** Notes that the subject of the open panel was renamed. @param {Opened} opened */
  follow(opened) {
    this.#opened = opened
  }

  /** @override */
  reopen() {
    if (this.#opened !== null) this.#show(this.#opened)
  }

  /** @override */
  close() {
    const opened = this.#opened
    this.#opened = null
    this.#panel = null
    const aside = /** @type {HTMLElement} */ (this.querySelector('aside'))
    aside.hidden = true
    aside.replaceChildren()
    const key = opened === null ? '' : keyOf(opened)
    const from = this.querySelector(`[data-key="${CSS.escape(key)}"]`)
    if (from instanceof HTMLElement) from.focus()
  }

  /** @param {Opened} opened @returns {Panel | null} */
  #make(opened) {
    switch (opened.kind) {
      case 'plan':
        return get(this.model, ['plans', opened.plan]) === undefined ? null : planPanel(this, opened.plan)
      case 'feature':
        return get(this.model, ['plans', opened.plan, 'features', opened.feature]) === undefined ? null : featurePanel(this, opened.plan, opened.feature)
      case 'row':
        return rowPanel(this, opened.feature)
      case 'new feature':
        return newFeaturePanel(this, opened.plan)
      case 'json':
        return jsonPanel(this)
      case 'stripe':
        return stripePanel(this)
      case 'share':
        return sharePanel(this)
    }
  }

  /** @override */
  changed() {
    this.elsewhere = null
    if (!this.isReadOnly) keep({ title: this.state.title, text: this.text() })
    this.render()
    this.#ask()
  }

  render() {
    const [bars, main] = [this.querySelector('header'), this.querySelector('.work')]
    if (bars === null || main === null) return
    bar(this, bars)
    show(main, grid(this))
    this.#preview.update(this)
  }

  #ask() {
    clearTimeout(this.#timer)
    this.#asked += 1
    this.#timer = setTimeout(() => this.#check(this.#asked), PAUSE)
  }

  /** Has the server check the model, and price it. */
  async #check(asked = this.#asked) {
    try {
      const text = this.body()
      const { faults } = await this.server.json('/v1/validate', text)
      const usage = [...this.usage].map(([feature, count]) => `usage=${encodeURIComponent(`${feature}=${count || '0'}`)}`)
      let preview = this.preview
      let notShown = ''
      if (faults.length === 0) {
        preview = await this.server.json(`/v1/preview?${usage.join('&')}`, text).catch(error => {
          notShown = error.message
          return null
        })
      }
      if (asked !== this.#asked) return
      Object.assign(this, { faults, preview, notShown })
    } catch (error) {
      if (asked !== this.#asked) return
      const message = /** @type {Error} */ (error).message
      this.faults = [{ path: [], place: '', message, line: null, column: null }]
    }
    this.#panel?.update?.()
    this.render()
    this.#mark()
  }

  #mark() {
    if (this.#panel !== null) mark(this.#panel.element, this.faults, this.#panel.base())
  }

  /** The faults that do not belong to a plan. */
  generalFaults() {
    return below(this.faults, []).filter(({ path }) => path.length < 2)
  }
}

customElements.define('tier-builder', Builder)
