// A page of an app that asks for a card with Tier.paymentForm, against the sandbox's stand-in for Stripe.js.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import sdk from '@tier.run/sdk'
import { isAccessible, launch, open, serve } from './browser.js'

const { TierClient, isSetupIntent } = sdk

const FORM = `<form id="payment-form">
    <div id="payment-element"></div>
    <button type="submit">Save</button>
    <div id="payment-error" role="alert"></div>
  </form>`

const CALL = options =>
  `Tier.paymentForm(${JSON.stringify(options)}, { form: '#payment-form', payment: '#payment-element', error: '#payment-error' })`

let server, browser, app, appUrl, sandboxUrl, tier

// Two pages: one calls in the next script, above the form; the other as React does, when everything is there.
const pages = {
  '/next': options => `<script src="${server.url}/tier.js"></script><script>${CALL(options)}</script><h1>Card</h1>${FORM}`,
  '/later': options => `<h1>Card</h1>${FORM}<script async src="${server.url}/tier.js"></script>
    <script>
      const effect = () => { ${CALL(options)}; ${CALL(options)} }
      if (window.Tier) effect()
      else document.addEventListener('DOMContentLoaded', () => window.Tier ? effect() : setTimeout(function again() {
        window.Tier ? effect() : setTimeout(again, 5)
      }))
    </script>`,
}

/** What the app does when somebody comes: without `setup_intent` it asks for a card, with one it confirms. */
const answer = async (request, response) => {
  const url = new URL(request.url, appUrl)
  const org = url.searchParams.get('org')
  const intent = url.searchParams.get('setup_intent')
  response.setHeader('content-type', 'text/html; charset=utf-8')
  const html = body => response.end(`<!DOCTYPE html><html lang="en"><title>App</title><main>${body}</main></html>`)
  if (url.pathname === '/live') {
    // What the app's page may do outside of the sandbox, as the documentation says.
    response.setHeader('content-security-policy', `default-src 'none'; script-src ${server.url} https://js.stripe.com`)
    return html(`<script src="${server.url}/tier.js"></script>${FORM}`)
  }
  if (!(url.pathname in pages)) return response.end()
  if (intent) {
    const setUp = await tier.stripeSetup(org, intent).catch(error => error)
    return html(`<h1>${isSetupIntent(setUp) ? setUp.status : setUp}</h1>`)
  }
  const options = url.searchParams.has('today')
    ? await (await fetch(`${server.url}/v1/setup`, { method: 'POST', body: JSON.stringify({ org }) })).json()
    : await tier.stripeOptions(org)
  sandboxUrl = new URL(options.stripeJS ?? options.stripe_js).origin
  response.setHeader('content-security-policy',
    `default-src 'none'; script-src 'unsafe-inline' ${server.url} ${sandboxUrl}; connect-src ${sandboxUrl}`)
  return html(pages[url.pathname](options))
}

before(async () => {
  server = await serve()
  browser = await launch()
  tier = new TierClient({ apiUrl: server.url, webUrl: server.url, tierKey: 'any' })
  app = createServer((request, response) => answer(request, response).catch(error => response.end(String(error)))).listen(0, '127.0.0.1')
  await once(app, 'listening')
  appUrl = `http://127.0.0.1:${app.address().port}`
  await fetch(`${server.url}/v1/setup`, { method: 'POST', body: '{"org":"org:first"}' }).then(async started => {
    sandboxUrl = new URL((await started.json()).stripe_js).origin
  })
})

after(async () => {
  await browser?.close()
  app?.close()
  await server?.stop()
})

const card = async org => (await tier.lookupOrg(org)).default_payment_method?.card?.last4

const visit = async (path, org, extra = '') => {
  const opened = await open(browser, [server.url, sandboxUrl, appUrl])
  const { page } = opened
  await page.goto(`${appUrl}${path}?org=${org}${extra}`)
  const number = page.getByLabel('Card number')
  await number.waitFor()
  return { ...opened, number, save: () => page.getByRole('button', { name: 'Save' }).click() }
}

for (const path of Object.keys(pages)) {
  test(`a card is saved, with the form at ${path}`, async () => {
    const org = `org:saves${path.slice(1)}`
    const { page, strange, number, save, close } = await visit(path, org, '&redirect_status=failed&tab=card')
    assert.equal(await page.evaluate(() => document.querySelectorAll('#payment-element input').length), 1)
    await number.fill('4242 4242 4242 4242')
    await save()
    await page.getByRole('heading', { name: 'succeeded' }).waitFor()
    const { searchParams } = new URL(page.url())
    assert.deepEqual([searchParams.get('org'), searchParams.get('tab')], [org, 'card'])
    assert.deepEqual(searchParams.getAll('redirect_status'), ['succeeded'])
    assert.equal(await card(org), '4242')
    assert.deepEqual(strange, [])
    await close()
  })
}

test('a declined card is told in the form, and another one is saved', async () => {
  const org = 'org:declined'
  const { page, strange, number, save, close } = await visit('/next', org, '&today')
  await number.fill('4000000000000002')
  await save()
  await page.getByRole('alert').getByText('declined').waitFor()
  await isAccessible(page, 'payment-form')
  await number.fill('4242424242424242')
  await save()
  await page.getByRole('heading', { name: 'succeeded' }).waitFor()
  assert.equal(await card(org), '4242')
  assert.deepEqual(strange, [])
  await close()
})

test('a card that has to be authenticated', async () => {
  const org = 'org:authenticates'
  const { page, strange, number, save, close } = await visit('/next', org)
  for (const [button, outcome] of [['fail', 'requires_payment_method'], ['complete', 'succeeded']]) {
    await number.fill('4000 0025 0000 3155')
    await save()
    await page.waitForURL(`${sandboxUrl}/**`)
    assert.equal(await card(org), undefined)
    await page.locator(`button[value=${button}]`).click()
    await page.getByRole('heading', { name: outcome }).waitFor()
    if (button === 'fail') await page.goto(`${appUrl}/next?org=${org}`)
  }
  assert.equal(await card(org), '3155')
  assert.deepEqual(strange, [])
  await close()
})

test('outside of the sandbox, Stripe.js is from Stripe, and for the account that is connected', async () => {
  const { page, strange, close } = await open(browser, [server.url, sandboxUrl, appUrl, 'https://js.stripe.com'])
  await page.route('https://js.stripe.com/**', route => route.fulfill({
    contentType: 'text/javascript',
    body: `globalThis.calls = []
      globalThis.Stripe = (...of) => {
        calls.push(['Stripe', ...of])
        const payment = { mount: at => calls.push(['mount', at.id]), unmount: () => calls.push(['unmount']) }
        return { elements: options => (calls.push(['elements', options]), { create: kind => (calls.push(['create', kind]), payment) }) }
      }`,
  }))
  await page.goto(`${appUrl}/live`)
  const calls = options => page.evaluate(async options => {
    globalThis.calls?.splice(0)
    const selectors = { form: '#payment-form', payment: '#payment-element', error: '#payment-error' }
    const answer = await globalThis.Tier.paymentForm(options, selectors)
    return [answer, ...globalThis.calls]
  }, options)
  const options = { publishableKey: 'pk_live_1', accountID: 'acct_1', clientSecret: 'seti_1_secret_2' }
  const rest = [['elements', { clientSecret: 'seti_1_secret_2' }], ['create', 'payment'], ['mount', 'payment-element']]
  // As a server of 2022 answers, which says nothing of the connection; the promise is of nothing.
  assert.deepEqual(await calls(options), [undefined, ['Stripe', 'pk_live_1', { stripeAccount: 'acct_1' }], ...rest])
  assert.deepEqual((await calls({ ...options, connected: true }))[1], ['unmount'])
  const own = await calls({ publishable_key: 'pk_live_1', account: 'acct_1', client_secret: 'seti_1_secret_2', connected: false })
  assert.deepEqual(own.slice(1).find(([name]) => name === 'Stripe'), ['Stripe', 'pk_live_1', {}])
  assert.deepEqual(strange, [])
  await close()
})

test('a script that cannot be loaded is told to the app', async () => {
  const { page, close } = await open(browser, [server.url, sandboxUrl, appUrl])
  await page.route(`${sandboxUrl}/v3/`, route => route.abort())
  await page.goto(`${appUrl}/next?org=org:unlucky`)
  const said = await page.evaluate(
    stripeJS => globalThis.Tier.paymentForm({ stripeJS }, { form: 'form', payment: 'form', error: 'form' }).catch(error => error.message),
    `${sandboxUrl}/v3/`,
  )
  assert.match(said, /Stripe.js cannot be loaded/)
  await close()
})
