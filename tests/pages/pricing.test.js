// The pricing table: as a page without scripts, and as an element of another site's page.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isAccessible, launch, open, serve } from './browser.js'

const PAGES = {
  pages: {
    default: {
      title: 'Plans',
      signup_url: 'https://app.example/signup',
      plans: ['plan:free', 'plan:pro', 'plan:japan', 'plan:kuwait'],
      promoted: 'plan:pro',
    },
  },
}

const MODEL = {
  plans: {
    'plan:free@1': { title: 'Free', features: { 'feature:convert': { title: 'Conversions', tiers: [{ upto: 10 }] } } },
    'plan:pro@1': {
      title: 'Pro <script>alert(1)</script>',
      features: { 'feature:seat': { title: 'Seats', base: 1000 }, 'feature:convert': { title: 'Conversions', tiers: [{ upto: 1000 }, { price: 0.5 }] } },
    },
    'plan:japan@1': { title: 'Japan', currency: 'jpy', features: { 'feature:seat': { base: 1200 }, 'feature:convert': { tiers: [{ price: 0.000000000001 }] } } },
    'plan:kuwait@1': { title: 'Kuwait', currency: 'kwd', features: { 'feature:seat': { base: 1250 } } },
    'plan:custom-for-acme@1': { title: 'Acme', features: { 'feature:seat': { base: 1 } } },
  },
}

let server, browser, other, otherUrl

before(async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'tier-')), 'pricing-page.json')
  await writeFile(file, JSON.stringify(PAGES))
  server = await serve('--pricing-pages', file)
  const pushed = await fetch(`${server.url}/v1/push`, { method: 'POST', body: JSON.stringify(MODEL) })
  assert.equal(pushed.status, 200)
  browser = await launch()
  // Another site, which allows what the documentation says and no more.
  other = createServer((request, answer) => {
    if (request.url !== '/') return answer.end('Sign up here')
    answer.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; script-src ${server.url}; connect-src ${server.url}`,
    })
    answer.end(`<!DOCTYPE html><html lang="en"><title>Other</title><script src="${server.url}/tier.js" async></script>
      <main><h1>Plans</h1><h2>All</h2><tier-pricing href="/signup"></tier-pricing></main></html>`)
  }).listen(0, '127.0.0.1')
  await once(other, 'listening')
  otherUrl = `http://127.0.0.1:${other.address().port}`
})

after(async () => {
  await browser?.close()
  other?.close()
  await server?.stop()
})

const table = async () => (await fetch(`${server.url}/v1/pricing`)).json()

test('without scripts, a page shows every listed plan and no other', async () => {
  const { page, strange, close } = await open(browser, [server.url], { javaScriptEnabled: false })
  await page.goto(`${server.url}/pricing`)
  const titles = await page.locator('h2').allTextContents()
  assert.deepEqual(titles, Object.values(MODEL.plans).slice(0, 4).map(plan => plan.title))
  const signup = await page.getByRole('link', { name: 'Choose Free' }).getAttribute('href')
  assert.equal(signup, 'https://app.example/signup?plan=plan:free@1')
  assert.doesNotMatch(await page.content(), /acme/i)
  assert.deepEqual(strange, [])
  await close()
})

test('the page is accessible, at 360 px and by night', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  await page.goto(`${server.url}/pricing`)
  await isAccessible(page, 'pricing')
  assert.deepEqual(strange, [])
  await close()
})

test('the first page leads to the others', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  for (const [link, heading] of [['Plans and prices', 'Plans'], ['Console', 'Console'], ['API', /tier/i]]) {
    await page.goto(server.url)
    await page.getByRole('link', { name: link }).click()
    await page.getByRole('heading', { name: heading }).first().waitFor()
  }
  await page.goto(server.url)
  await isAccessible(page, 'start')
  await page.getByRole('link', { name: 'Model Builder' }).click()
  await page.getByText('Add your first plan').waitFor()
  assert.deepEqual(strange, [])
  await close()
})

test('a page that is not there says so on a page', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  for (const [path, title] of [['/pricing/none', 'There is no such page'], ['/console/none', 'There is no such page'], ['/pay/', 'There is nothing here']]) {
    const answer = await page.goto(`${server.url}${path}`)
    assert.equal(answer.status(), 404)
    await page.getByRole('heading', { name: title }).waitFor()
    await isAccessible(page, `problem${path.replaceAll('/', '-')}`)
  }
  // The cookies of a site may be more than the server reads.
  await page.context().addCookies(Array.from({ length: 12 }, (_, i) => ({ name: `c${i}`, value: 'x'.repeat(3500), url: server.url })))
  const answer = await page.goto(`${server.url}/pricing`)
  assert.equal(answer.status(), 431)
  await page.getByRole('heading', { name: 'The request is too large' }).waitFor()
  assert.deepEqual(strange, [])
  await close()
})

test('another site has the table as an element, with the same amounts', async () => {
  const { page, strange, close } = await open(browser, [server.url, otherUrl])
  await page.goto(otherUrl)
  const element = page.locator('tier-pricing')
  await element.locator('section').nth(3).waitFor()
  const { plans } = await table()
  assert.deepEqual(await element.locator('h3').allTextContents(), plans.map(plan => plan.title))
  assert.deepEqual(await element.locator('.price').allTextContents(), plans.map(plan => plan.text))
  assert.deepEqual(await element.locator('.feature-text').allTextContents(), plans.flatMap(plan => plan.features.map(feature => feature.text)))
  const texts = plans.map(plan => plan.text)
  assert.deepEqual(texts, ['Free', '$10.00 a month', '¥1,200 a month', 'KWD 1.250 a month'])
  assert.equal(plans[2].features[0].text, '¥0.000000000001 each')
  const chosen = await page.evaluate(
    () =>
      new Promise(resolve => {
        document.addEventListener('tier-plan', event => {
          event.preventDefault()
          resolve(event.detail.plan)
        }, { once: true })
        document.querySelector('tier-pricing').shadowRoot.querySelectorAll('a')[1].click()
      }),
  )
  assert.equal(chosen, 'plan:pro@1')
  assert.equal(page.url(), `${otherUrl}/`)
  await element.getByRole('link', { name: 'Choose Free' }).click()
  await page.waitForURL(`${otherUrl}/signup?plan=plan%3Afree%401`)
  assert.deepEqual(strange, [])
  await close()
})
