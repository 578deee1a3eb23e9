// The part of a plan's panel that makes a checkout link for an org.

import { h, labelled, show } from './dom.mjs'

/**
 * @param {import('./builder.mjs').Builder} builder
 * @param {string} plan
 */
export const checkoutLink = (builder, plan) => {
  const org = h('input', { required: true, placeholder: 'acme', autocomplete: 'off', spellcheck: false, data: { key: 'link org' } })
  const after = h('input', { type: 'url', required: true, data: { key: 'link success' } })
  const made = h('div', { 'aria-live': 'polite' })
  const make = async (/** @type {Event} */ event) => {
    event.preventDefault()
    const name = org.value.trim()
    const request = {
      org: name.startsWith('org:') ? name : `org:${name}`,
      features: [plan],
      success_url: after.value,
      link: true,
    }
    try {
      const { url, expires } = await builder.server.json('/v1/checkout', JSON.stringify(request))
      const link = h('input', { value: url, readOnly: true, data: { key: 'checkout link' }, onfocus: () => link.select() })
      show(made, labelled('Link to send', link, `${request.org} can use it until ${expires.slice(0, 10)}.`))
    } catch (error) {
      show(made, h('p', { className: 'error', role: 'alert' }, /** @type {Error} */ (error).message))
    }
  }
  return h(
    'form',
    { onsubmit: make },
    h('h3', {}, 'Checkout link'),
    h('p', { className: 'note' }, 'A link to send by mail, on which an org buys this plan.'),
    labelled('Org', org),
    labelled('Page to go to afterwards', after),
    h('button', { className: 'quiet' }, 'Make a link'),
    made,
  )
}
