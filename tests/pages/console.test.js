// The console: an org is found, and its plan is changed behind its dry run. And the story of a plan, by clicks.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isAccessible, launch, open, serve, start } from './browser.js'

let browser

before(async () => {
  browser = await launch()
})

after(() => browser?.close())

const MODEL = {
  plans: {
    'plan:free@1': { features: { 'feature:calls': { tiers: [{ upto: 10 }] } } },
    'plan:pro@1': { features: { 'feature:calls': { tiers: [{ upto: 100 }] }, 'feature:seats': { base: 1000 } } },
  },
}

const caller = (server, key) => async (path, body) => {
  const answer = await fetch(`${server.url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: key ? { authorization: `Bearer ${key}` } : {},
    ...(body && { body: JSON.stringify(body) }),
  })
  const json = await answer.json()
  assert.equal(answer.status, 200, JSON.stringify(json))
  return json
}

test('an org is found, and its plan changed after a dry run', async () => {
  const keys = join(await mkdtemp(join(tmpdir(), 'tier-')), 'keys')
  await writeFile(keys, 'front:read:reads\nback:admin:changes\n', { mode: 0o600 })
  const server = await serve('--api-key-file', keys)
  const api = caller(server, 'changes')
  await api('/v1/push', MODEL)
  for (const org of ['org:acme', 'org:other']) await api('/v1/subscribe', { org, phases: [{ features: ['plan:pro@1'] }] })
  await api('/v1/report', { org: 'org:acme', feature: 'feature:calls', n: 25 })

  const { page, strange, close } = await open(browser, [server.url])
  const enter = async key => {
    await page.getByLabel('API key of this server').fill(key)
    await page.getByRole('button', { name: 'Open' }).click()
  }
  await page.goto(`${server.url}/console`)
  await enter('wrong')
  await page.getByRole('alert').getByText('Unauthorized').waitFor()
  await isAccessible(page, 'console-key')
  await enter('reads')
  await page.getByRole('link', { name: 'org:other' }).waitFor()
  await page.getByLabel('Find an org').fill('acm')
  await page.getByRole('button', { name: 'Find' }).click()
  await page.getByText('Orgs with “acm” in their name').waitFor()
  await page.getByRole('link', { name: 'org:acme' }).click()
  await page.getByText('25 of 100').waitFor()
  assert.equal(await page.getByText('Invoices').count(), 0)
  assert.equal(await page.getByRole('button').count(), 0)

  // The key is gone with the page. Where one was is not.
  await page.reload()
  await enter('changes')
  await page.getByRole('heading', { name: 'Invoices' }).waitFor()
  await isAccessible(page, 'console-org')
  await page.getByLabel('Change to').selectOption('plan:free@1')
  await page.getByLabel('When').selectOption('period_end')
  await page.getByRole('button', { name: 'What would change?' }).click()
  await page.getByText('Over its new limit at once: feature:calls').waitFor()
  await isAccessible(page, 'console-change')
  assert.equal((await api('/v1/phases?org=org:acme')).phases.length, 1)
  // Another choice is another change.
  await page.getByLabel('When').selectOption('now')
  await page.getByText('Over its new limit at once').waitFor({ state: 'detached' })
  await page.getByLabel('When').selectOption('period_end')
  await page.getByRole('button', { name: 'What would change?' }).click()
  await page.getByRole('button', { name: 'Change to plan:free@1' }).click()
  await page.getByText('The plan is changed.').waitFor()
  await page.locator('.phases li').nth(1).getByText('plan:free@1').waitFor()
  await page.goBack()
  await page.getByText('Orgs with “acm” in their name').waitFor()
  await isAccessible(page, 'console-orgs')
  assert.deepEqual(strange, [])
  await close()
  await server.stop()
})

test('a long list of orgs is shown page by page', async () => {
  const server = await serve()
  const api = caller(server)
  await api('/v1/push', MODEL)
  for (let i = 0; i < 51; i++) await api('/v1/subscribe', { org: `org:many${i}`, info: { email: '' } })

  const { page, strange, close } = await open(browser, [server.url])
  await page.goto(`${server.url}/console`)
  const orgs = () => page.locator('tbody a').allTextContents()
  await page.getByRole('link', { name: 'Next page' }).waitFor()
  const first = await orgs()
  assert.equal(first.length, 50)
  await page.getByRole('link', { name: 'Next page' }).click()
  await page.getByRole('link', { name: 'First page' }).waitFor()
  const all = new Set([...first, ...(await orgs())])
  assert.equal(all.size, 51)
  await isAccessible(page, 'console-second-page')
  assert.deepEqual(strange, [])
  await close()
  await server.stop()
})

test('in live mode, the pages say so', async () => {
  const server = await start(['serve', '--live', '--addr', '127.0.0.1:0'], {
    STRIPE_API_KEY: 'sk_live_pages',
    // Nobody is there: what a page says of the account must not need an answer.
    STRIPE_BASE_API_URL: 'http://127.0.0.1:9',
  })
  const { page, close } = await open(browser, [server.url])
  await page.goto(`${server.url}/console`)
  await page.getByText('This is your live account.').waitFor()
  await isAccessible(page, 'console-live')
  await page.goto(`${server.url}/builder`)
  await page.locator('tier-builder .bar.live').waitFor()
  await isAccessible(page, 'builder-live')
  await close()
  await server.stop()
})

test('a plan is built, pushed, put on the pricing table, bought, and seen in the console', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'tier-')), 'pricing-page.json')
  // The app: it knows who signs up, and sends them to Checkout.
  const app = createServer(async (request, answer) => {
    const url = new URL(request.url, appUrl)
    answer.setHeader('content-type', 'text/html; charset=utf-8')
    if (url.pathname !== '/signup') return answer.end('<!DOCTYPE html><title>App</title><h1>Welcome</h1>')
    const checkout = { org: 'org:customer', features: [url.searchParams.get('plan')], success_url: `${appUrl}/welcome` }
    const page = await caller(server)('/v1/checkout', checkout)
    answer.writeHead(303, { location: page.url }).end()
  }).listen(0, '127.0.0.1')
  await once(app, 'listening')
  const appUrl = `http://127.0.0.1:${app.address().port}`
  const list = plans => writeFile(file, JSON.stringify({ pages: { default: { title: 'Plans', signup_url: `${appUrl}/signup`, plans } } }))
  await list([])
  const server = await serve('--pricing-pages', file)

  const { page, close } = await open(browser, [server.url, appUrl])
  const button = name => page.getByRole('button', { name, exact: true })
  const field = name => page.locator('aside').getByLabel(name, { exact: true })
  await page.goto(`${server.url}/builder`)
  await button('Add your first feature').click()
  await field('Name').fill('seat')
  await button('Add feature').click()
  await button('Add your first plan').click()
  await field('Name').fill('team')
  await field('Title').fill('Team')
  await button('+ feature:seat').click()
  await field('Price').fill('25.00')
  await button('Stripe').click()
  await button('Push 1 features').or(button('Push 1 feature')).click()
  await page.getByText('push complete').waitFor()

  await page.goto(`${server.url}/pricing`)
  await page.getByText('There are no plans.').waitFor()
  await list(['plan:team'])
  await server.reload('pricing pages reloaded')
  await page.goto(`${server.url}/pricing`)
  await page.getByText('$25.00 a month').waitFor()
  await page.getByRole('link', { name: 'Choose Team' }).click()
  await page.getByRole('button', { name: 'Pay $25.00' }).click()
  await page.getByRole('heading', { name: 'Welcome' }).waitFor()

  await page.goto(`${server.url}/console`)
  await page.getByRole('link', { name: 'org:customer' }).click()
  await page.locator('.phases').getByText('plan:team@1').waitFor()
  await page.getByRole('cell', { name: '$25.00' }).waitFor()
  await isAccessible(page, 'story-bought')
  await close()
  app.close()
  await server.stop()
})
