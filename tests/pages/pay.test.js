// A checkout link, from the mail to the plan.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isAccessible, launch, open, serve, tier } from './browser.js'

const MODEL = { plans: { 'plan:pro@1': { title: 'Pro', features: { 'feature:seat': { title: 'Seats', base: 1000 } } } } }

let server, browser

before(async () => {
  process.env.TIER_LINK_SECRET = 'a secret of these tests with more than 32 characters'
  server = await serve()
  const pushed = await fetch(`${server.url}/v1/push`, { method: 'POST', body: JSON.stringify(MODEL) })
  assert.equal(pushed.status, 200)
  browser = await launch()
})

after(async () => {
  delete process.env.TIER_LINK_SECRET
  await browser?.close()
  await server?.stop()
})

const post = async (path, body) => {
  const answer = await fetch(`${server.url}${path}`, { method: 'POST', body: JSON.stringify(body) })
  assert.equal(answer.status, 200)
  return answer.json()
}

const get = async path => (await fetch(`${server.url}${path}`)).json()

test('a link is looked at, followed and paid, without scripts', async () => {
  const thanks = `${server.url}/pricing`
  const printed = await tier(['subscribe', '--checkout', thanks, '--link', 'org:acme', 'plan:pro@1'], { TIER_BASE_URL: server.url })
  const link = printed.trim()
  const looked = await open(browser, [server.url])
  await looked.page.goto(link)
  await looked.page.getByText('plan:pro@1').waitFor()
  await isAccessible(looked.page, 'pay')
  assert.equal((await get('/v1/whois?org=org:acme')).code, 'org_not_found')
  assert.deepEqual(looked.strange, [])
  await looked.close()

  // The browser applies the page's policy to where the button leads, and says which page it is from.
  const { page, close } = await open(browser, [], { javaScriptEnabled: false })
  await page.goto(link)
  await page.getByRole('button', { name: 'Continue to payment' }).click()
  await page.getByRole('button', { name: 'Pay $10.00' }).waitFor()
  assert.notEqual(new URL(page.url()).origin, server.url)
  await page.getByRole('button', { name: 'Pay $10.00' }).click()
  await page.waitForURL(thanks)
  assert.deepEqual((await get('/v1/phase?org=org:acme')).plans, ['plan:pro@1'])

  await page.goto(link)
  await page.getByRole('button', { name: 'Continue to payment' }).click()
  await page.getByRole('heading', { name: 'This link has been used' }).waitFor()
  await close()
  const used = await open(browser, [server.url])
  await used.page.goto(link)
  await used.page.getByRole('button', { name: 'Continue to payment' }).click()
  await used.page.getByRole('alert').waitFor()
  await isAccessible(used.page, 'pay-used')
  await used.close()
})

test('a link is made in the Model Builder', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  await page.goto(`${server.url}/builder`)
  await page.getByRole('button', { name: 'Stripe', exact: true }).click()
  await page.getByRole('button', { name: 'Pull model' }).click()
  await page.getByText('pull complete').waitFor()
  await page.locator('[data-key="plan plan:pro@1"]').click()
  await page.getByLabel('Org', { exact: true }).fill('builder')
  await page.getByLabel('Page to go to afterwards').fill(`${server.url}/pricing`)
  await page.getByRole('button', { name: 'Make a link' }).click()
  const link = await page.getByLabel('Link to send').inputValue()
  await isAccessible(page, 'builder-checkout-link')
  await page.goto(link)
  await page.getByText('org:builder').waitFor()
  assert.deepEqual(strange, [])
  await close()
})

test('what is wrong is said on a page, with what to do', async () => {
  const { page, close } = await open(browser, [server.url])
  const answer = await page.goto(`${server.url}/pay/eyJ4IjoxfQ.AAAA`)
  assert.equal(answer.status(), 410)
  await page.getByRole('alert').waitFor()
  await isAccessible(page, 'pay-closed')

  // Stripe is away, and comes back.
  const made = await post('/v1/checkout', { org: 'org:waits', features: ['plan:pro@1'], success_url: `${server.url}/pricing`, link: true })
  const { stripe_js } = await post('/v1/setup', { org: 'org:other' })
  const faults = (method, body) => fetch(new URL('/_sandbox/faults', stripe_js), { method, body })
  await faults('POST', new URLSearchParams({ method: 'POST', path: '/v1/checkout/sessions', action: '500' }))
  await page.goto(made.url)
  await page.getByRole('button', { name: 'Continue to payment' }).click()
  await page.getByText('The payment service does not answer at the moment. Nothing was charged.').waitFor()
  await isAccessible(page, 'pay-stripe-away')
  await faults('DELETE')
  await page.getByRole('link', { name: 'Try again' }).click()
  await page.getByRole('button', { name: 'Continue to payment' }).click()
  await page.getByRole('button', { name: 'Pay $10.00' }).waitFor()
  await close()
})
