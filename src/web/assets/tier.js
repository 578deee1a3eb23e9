// The script for pages of an app: the element <tier-pricing>, and Tier.paymentForm. It has no dependencies, and loads
// nothing from other hosts except Stripe.js, when a page shows a form for cards.
(() => {
  'use strict'

  const script = /** @type {HTMLScriptElement | null} */ (document.currentScript)
  const server = new URL(script?.src ?? location.href).origin

  // Without <style>, so that pages with a strict policy can use the element. Pages set the custom properties, and style
  // the parts: plans, plan, promoted, title, price, features, feature, feature-title, feature-text, button, error.
  const style = new CSSStyleSheet()
  style.replaceSync(`
    :host { display: block; font: inherit; color: var(--tier-text, inherit); }
    .plans { display: flex; flex-wrap: wrap; justify-content: center; gap: var(--tier-gap, 1rem); }
    section { flex: 1 1 14rem; max-width: 22rem; display: flex; flex-direction: column; box-sizing: border-box;
      padding: 1rem; border: 1px solid var(--tier-line, currentColor); border-radius: var(--tier-radius, .6rem);
      background: var(--tier-background, transparent); }
    .promoted { outline: 2px solid var(--tier-accent, currentColor); }
    h3, p { margin: 0; }
    .price { font-size: 1.3em; font-weight: 600; margin: .3em 0 .6em; }
    ul { list-style: none; margin: 0 0 1em; padding: 0; flex: 1; }
    li { padding: .3em 0; border-top: 1px solid var(--tier-line, currentColor); overflow-wrap: anywhere; }
    li b { display: block; }
    a { display: block; padding: .5em 1em; text-align: center; font-weight: 600; text-decoration: none;
      border-radius: var(--tier-radius, .6rem); border: 1px solid currentColor;
      color: var(--tier-button-text, inherit); background: var(--tier-button, transparent); }
  `)

  /**
   * @param {string} tag
   * @param {string} part
   * @param {...(Node | string)} children
   */
  const element = (tag, part, ...children) => {
    const made = document.createElement(tag)
    made.part.add(...part.split(' '))
    made.className = part
    made.append(...children)
    return made
  }

  /** <tier-pricing page="default" href="/signup">: the pricing table of a page that the server lists. */
  class TierPricing extends HTMLElement {
    static observedAttributes = ['page', 'href']
    #root = this.attachShadow({ mode: 'open' })
    #request = new AbortController()
    /** @type {{ plans: Array<any> } | null} */
    #table = null
    #isGiven = false

    constructor() {
      super()
      this.#root.adoptedStyleSheets = [style]
    }

    connectedCallback() {
      if (this.#isGiven) this.#show()
      else this.#load()
    }

    disconnectedCallback() {
      this.#request.abort()
    }

    attributeChangedCallback() {
      if (this.isConnected) this.connectedCallback()
    }

    /** The contents of the table, in the form of GET /v1/pricing. Once they are set, the server is not called. */
    get data() {
      return this.#table
    }

    set data(table) {
      this.#table = table
      this.#isGiven = true
      this.#show()
    }

    async #load() {
      this.#request.abort()
      const { signal } = (this.#request = new AbortController())
      const page = encodeURIComponent(this.getAttribute('page') || 'default')
      try {
        const answer = await fetch(`${server}/v1/pricing/${page}`, { signal, credentials: 'omit' })
        if (!answer.ok) throw new Error(`HTTP ${answer.status}`)
        this.#table = await answer.json()
        this.#show()
      } catch (error) {
        if (signal.aborted) return
        this.#root.replaceChildren(element('p', 'error', 'The prices cannot be shown at the moment.'))
        this.dispatchEvent(new CustomEvent('tier-error', { detail: { error }, bubbles: true, composed: true }))
      }
    }

    #show() {
      const plans = element('div', 'plans')
      plans.append(...(this.#table?.plans ?? []).map(plan => this.#column(plan)))
      this.#root.replaceChildren(plans)
    }

    /** @param {any} plan */
    #column(plan) {
      const features = plan.features.map((/** @type {any} */ feature) =>
        element('li', 'feature', element('b', 'feature-title', feature.title), element('span', 'feature-text', feature.text)))
      const column = element('section', plan.promoted ? 'plan promoted' : 'plan',
        element('h3', 'title', plan.title), element('p', 'price', plan.text), element('ul', 'features', ...features))
      const target = this.#target(plan)
      if (target) column.append(this.#button(plan, target))
      return column
    }

    /** @param {any} plan */
    #target(plan) {
      const href = this.getAttribute('href')
      if (href === null) return plan.signup_url
      const url = new URL(href, document.baseURI)
      url.searchParams.set('plan', plan.id)
      return url.href
    }

    /**
     * @param {any} plan
     * @param {string} target
     */
    #button(plan, target) {
      const button = /** @type {HTMLAnchorElement} */ (element('a', 'button', `Choose ${plan.title}`))
      button.href = target
      button.addEventListener('click', click => {
        const detail = { plan: plan.id }
        const chosen = new CustomEvent('tier-plan', { detail, bubbles: true, composed: true, cancelable: true })
        if (!this.dispatchEvent(chosen)) click.preventDefault()
      })
      return button
    }
  }

  if (!customElements.get('tier-pricing')) customElements.define('tier-pricing', TierPricing)

  /** Stripe requires that its script is loaded from here, not copied. */
  const STRIPE_JS = 'https://js.stripe.com/v3/'

  /** The query parameters that Stripe adds to the URL that it returns to. */
  const ADDED_BY_STRIPE = ['setup_intent', 'setup_intent_client_secret', 'redirect_status']

  /** @type {any} */
  const page = globalThis

  /** @type {Map<string, Promise<void>>} */
  const loading = new Map()

  /** Loads Stripe.js, unless the page has it. @param {string} url */
  const stripeJs = async url => {
    if (page.Stripe) return page.Stripe
    const loaded = loading.get(url) ?? new Promise((resolve, reject) => {
      const script = document.createElement('script')
      script.addEventListener('load', () => resolve())
      script.addEventListener('error', () => {
        loading.delete(url)
        reject(new Error(`Stripe.js cannot be loaded from ${url}.`))
      })
      script.src = url
      document.head.append(script)
    })
    loading.set(url, loaded)
    await loaded
    return page.Stripe
  }

  /** Waits until the page is parsed, since the form may come after the script that names it. */
  const parsed = () => document.readyState === 'loading'
    ? new Promise(resolve => document.addEventListener('DOMContentLoaded', resolve, { once: true }))
    : undefined

  /** @param {string} selector */
  const find = selector => {
    const found = /** @type {HTMLElement | null} */ (document.querySelector(selector))
    if (!found) throw new Error(`There is no element ${selector} on this page.`)
    return found
  }

  /** The URL of this page, without the query parameters that an earlier attempt has added. */
  const returnUrl = () => {
    const url = new URL(location.href)
    for (const name of ADDED_BY_STRIPE) url.searchParams.delete(name)
    return url.href
  }

  /** Ends the previous setup of a form. @type {WeakMap<HTMLElement, AbortController>} */
  const forms = new WeakMap()

  /**
   * Asks for a card in a form of the page. When it is submitted, the browser goes to Stripe, and comes back to this
   * page with `setup_intent` in the query. Rejects if Stripe.js cannot be loaded, or an element is missing.
   * @param {any} options the answer of POST /v1/setup, or of POST /api/v1/stripe/options
   * @param {{ form: string, payment: string, error: string }} selectors the form, and the elements in it for the card and for errors
   */
  const paymentForm = async (options, selectors) => {
    const [Stripe] = await Promise.all([stripeJs(options.stripeJS ?? options.stripe_js ?? STRIPE_JS), parsed()])
    const [form, payment, error] = [find(selectors.form), find(selectors.payment), find(selectors.error)]
    forms.get(form)?.abort()
    const setUp = new AbortController()
    forms.set(form, setUp)
    const account = options.accountID ?? options.account
    const stripe = Stripe(options.publishableKey ?? options.publishable_key,
      options.connected === false ? {} : { stripeAccount: account })
    const elements = stripe.elements({ clientSecret: options.clientSecret ?? options.client_secret })
    const card = elements.create('payment')
    card.mount(payment)
    setUp.signal.addEventListener('abort', () => card.unmount())
    let isSent = false
    form.addEventListener('submit', async submit => {
      submit.preventDefault()
      if (isSent) return
      isSent = true
      error.textContent = ''
      try {
        const answer = await stripe.confirmSetup({ elements, confirmParams: { return_url: returnUrl() } })
        error.textContent = answer.error?.message ?? ''
      } catch {
        error.textContent = 'The card could not be sent. Please try again.'
      } finally {
        isSent = false
      }
    }, { signal: setUp.signal })
  }

  page.Tier = { ...page.Tier, paymentForm }
})()
