// The Model Builder, by clicks alone: a plan is made, pushed, changed, shared and pulled.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { isAccessible, launch, open, serve, start, tier } from './browser.js'

let server, browser

before(async () => {
  browser = await launch()
})

after(() => browser?.close())

beforeEach(async () => {
  server = await serve()
})

afterEach(() => server?.stop())

const EXPECTED = {
  plans: {
    'plan:free@1': { title: 'Free', features: { 'feature:convert': { tiers: [{ upto: 10 }] } } },
    'plan:pro@1': { title: 'Pro', features: { 'feature:convert': { tiers: [{ upto: 1000 }, { price: 0.5 }] }, 'feature:seat': { base: 1000 } } },
  },
}

/** What people do in the builder. */
const hands = page => {
  const button = (name, exact = true) => page.getByRole('button', { name, exact })
  const panel = page.locator('aside')
  const field = name => panel.getByLabel(name, { exact: true })
  const kind = word => field('Kind').selectOption(word)
  return { button, panel, field, kind }
}

const addFeature = async ({ button, field }, first, name) => {
  await button(first).click()
  await field('Name').fill(name)
  await button('Add feature').click()
}

const downloaded = async (page, button) => {
  const [download] = await Promise.all([page.waitForEvent('download'), button('Download').click()])
  assert.equal(download.suggestedFilename(), 'pricing.json')
  return JSON.parse(await readFile(await download.path(), 'utf8'))
}

const build = async (page, url = server.url) => {
  const by = hands(page)
  const { button, panel, field, kind } = by
  await page.goto(`${url}/builder`)
  await addFeature(by, 'Add your first feature', 'convert')
  await addFeature(by, '+ Add feature', 'seat')
  await button('Add your first plan').click()
  await panel.getByText('plans must have at least one feature').waitFor()
  await button('+ feature:convert').click()
  await kind('usage')
  await field('Up to, tier 1').fill('0')
  // What is wrong is told at the field, and in the cell.
  await panel.getByText('upto must be greater than zero').waitFor()
  assert.equal(await field('Up to, tier 1').getAttribute('aria-invalid'), 'true')
  await page.locator('.grid td .cell[aria-invalid]').waitFor()
  await isAccessible(page, 'builder-fault')
  await field('Up to, tier 1').fill('10')
  await panel.getByText('upto must be greater than zero').waitFor({ state: 'detached' })

  await button('+ Add plan').click()
  await field('Name').fill('pro')
  await field('Title').fill('Pro')
  await button('+ feature:convert').click()
  await kind('usage')
  await button('+ Add tier').click()
  await field('Price of each, tier 2').fill('0.005')
  await page.locator('[data-key="cell plan:pro@1 feature:seat"]').click()
  await field('Price').fill('10.00')
  await page.locator('.grid').getByText('1,000 included, then $0.005 each').waitFor()
  await page.locator('.grid').getByText('$10.00', { exact: true }).waitFor()
}

test('a model is made by clicks, checked, shown, downloaded and undone', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  const { button } = hands(page)
  await build(page)
  assert.deepEqual(await downloaded(page, button), EXPECTED)
  await isAccessible(page, 'builder')

  // As customers see it, and what it costs.
  const prices = await page.locator('tier-pricing .price').allTextContents()
  assert.deepEqual(prices, ['Free', '$10.00 a month'])
  await page.getByLabel('Used of feature:convert').fill('1500')
  await page.locator('.bills').getByText('$12.50').waitFor()

  // All the way back, and forth again.
  await button('Close').click()
  while (await button('Undo').isEnabled()) await button('Undo').click()
  await button('Add your first plan').waitFor()
  while (await button('Redo').isEnabled()) await button('Redo').click()
  assert.deepEqual(await downloaded(page, button), EXPECTED)

  // The browser keeps it.
  await page.reload()
  await page.locator('.grid').getByText('plan:pro@1').waitFor()
  assert.deepEqual(await downloaded(page, button), EXPECTED)

  // Fifty steps, by keys.
  await page.locator('[data-key="cell plan:pro@1 feature:seat"]').click()
  const title = page.locator('aside').getByLabel('Title', { exact: true })
  for (let i = 1; i <= 50; i++) {
    await title.fill(`Seat ${i}`)
    await title.blur()
  }
  await page.locator('.grid').getByText('Seat 50').first().waitFor()
  await button('Close').focus()
  for (let i = 0; i < 50; i++) await page.keyboard.press('Control+z')
  assert.deepEqual(await downloaded(page, button), EXPECTED)
  assert.deepEqual(strange, [])
  await close()
})

test('it is pushed after a dry run, pulled again, and a pushed plan gets a new version', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  const { button, panel, field } = hands(page)
  await build(page)
  await button('Stripe').click()
  await panel.getByText('3 to create, 0 the same, 0 different').waitFor()
  await button('Push 3 features').click()
  await panel.getByText('push complete').waitFor()
  const pulled = await (await fetch(`${server.url}/v1/pull`)).json()
  assert.deepEqual(pulled, EXPECTED)

  // What is in Stripe does not change.
  await page.locator('[data-key="cell plan:pro@1 feature:seat"]').click()
  await panel.getByText('does not change any more').waitFor()
  assert.ok(await field('Price').isDisabled())
  await button('Make a new version').click()
  await field('Price').fill('12.00')
  await page.locator('[data-key="plan plan:pro@2"]').click()
  await panel.getByText('$10.00 → $12.00').waitFor()
  await isAccessible(page, 'builder-new-version')
  await button('Stripe').click()
  await panel.getByText('2 to create, 3 the same, 0 different').waitFor()
  await isAccessible(page, 'builder-stripe')
  await button('Push 2 features').click()
  await panel.getByText('push complete').waitFor()
  await page.locator('.badge').nth(2).waitFor()
  const grid = await page.locator('.grid').textContent()

  // From Stripe, in a browser that knows nothing of it.
  const other = await open(browser, [server.url])
  const there = hands(other.page)
  await other.page.goto(`${server.url}/builder`)
  await there.button('Stripe').click()
  await there.button('Pull model').click()
  await there.panel.getByText('pull complete').waitFor()
  await other.page.waitForFunction(text => document.querySelector('.grid').textContent === text, grid)
  assert.deepEqual([...strange, ...other.strange], [])
  await other.close()
  await close()
})

/** A Stripe that takes a live key: a sandbox, which takes none, behind what gives it another one. */
const liveStripe = async sandbox => {
  const stripe = createServer((from, to) => {
    const headers = { ...from.headers, authorization: 'Bearer sk_test_pages' }
    const call = request(`${sandbox.url}${from.url}`, { method: from.method, headers }, answer => {
      to.writeHead(answer.statusCode, answer.headers)
      answer.pipe(to)
    })
    from.pipe(call)
  }).listen(0, '127.0.0.1')
  await once(stripe, 'listening')
  return stripe
}

test('a live account is compared with, and pushed to by the command line alone', async () => {
  const sandbox = await start(['sandbox', '--addr', '127.0.0.1:0'])
  const stripe = await liveStripe(sandbox)
  const environment = { STRIPE_API_KEY: 'sk_live_pages', STRIPE_BASE_API_URL: `http://127.0.0.1:${stripe.address().port}` }
  const live = await start(['serve', '--live', '--addr', '127.0.0.1:0'], environment)
  const { page, strange, close } = await open(browser, [live.url])
  const { button, panel } = hands(page)
  await build(page, live.url)
  await button('Stripe, live').click()
  await panel.getByText('3 to create, 0 the same, 0 different').waitFor()
  await panel.getByText('This is your live account.').waitFor()
  const [, link] = /^tier push --live (\S+)$/.exec(await panel.locator('pre').textContent())
  assert.equal(await panel.getByRole('button', { name: /^Push/ }).count(), 0)
  await isAccessible(page, 'builder-stripe-live')
  const inStripe = async () => (await fetch(`${live.url}/v1/pull`)).json()
  assert.deepEqual(await inStripe(), { plans: {} })
  await tier(['push', '--live', '--yes', link], environment)
  await button('Pull model').click()
  await panel.getByText('pull complete').waitFor()
  assert.deepEqual(await inStripe(), EXPECTED)
  assert.deepEqual(strange, [])
  await close()
  await live.stop()
  await sandbox.stop()
  stripe.close()
})

test('a link holds the model: it is looked at, cloned and pushed', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  const { button, panel, field } = hands(page)
  await build(page)
  await page.getByLabel('Title of the model').fill('<img src=x onerror=alert(1)>')
  await button('Share').click()
  const link = await field('Link').inputValue()

  const other = await open(browser, [server.url])
  const there = hands(other.page)
  await other.page.goto(link)
  await other.page.locator('.grid').getByText('plan:pro@1').waitFor()
  assert.equal(await other.page.getByLabel('Title of the model').inputValue(), '<img src=x onerror=alert(1)>')
  assert.ok(await other.page.getByRole('button', { name: '+ Add plan' }).isDisabled())
  await isAccessible(other.page, 'shared')
  await there.button('Clone').click()
  assert.equal(other.page.url(), `${server.url}/builder`)
  await other.page.getByRole('button', { name: '+ Add plan' }).click()
  await other.page.locator('.grid .id', { hasText: 'plan:basic@1' }).waitFor()
  assert.deepEqual([...strange, ...other.strange], [])
  await other.close()

  // The command line pushes what is in a link, and makes the same link of what was pushed.
  const away = await serve()
  await tier(['push', link], { TIER_BASE_URL: away.url })
  const pulled = await (await fetch(`${away.url}/v1/pull`)).json()
  assert.deepEqual(pulled, EXPECTED)
  const again = await tier(['share', `${away.url}/v1/pull`], { TIER_MODEL_URL: server.url })
  const model = await (await fetch(again.trim(), { headers: { accept: 'application/json' } })).json()
  assert.deepEqual(model, EXPECTED)
  await away.stop()
  assert.ok(await panel.isVisible())
  await close()
})

test('a clone takes the place of what the browser kept, and undo brings that back', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  const { button } = hands(page)
  const own = '{"plans":{"plan:mine@1":{"features":{"feature:x":{}}}}}'
  await page.goto(`${server.url}/builder`)
  await button('{ } JSON').click()
  await page.getByLabel('The model as JSON').fill(own)
  const theirs = JSON.stringify({ plans: { 'plan:theirs@1': { features: { 'feature:x': {} } } } })
  const { url } = await (await fetch(`${server.url}/upload`, { method: 'POST', body: theirs })).json()
  const plan = id => page.locator('.grid .id', { hasText: id })
  await page.goto(url)
  await plan('plan:theirs@1').waitFor()
  await button('Clone').click()
  await button('Undo').click()
  await plan('plan:mine@1').waitFor()
  await button('Redo').click()
  await page.reload()
  await plan('plan:theirs@1').waitFor()
  assert.deepEqual(strange, [])
  await close()
})

test('a plan is made by keys alone', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  const { button } = hands(page)
  const keys = async (...pressed) => {
    for (const key of pressed) await page.keyboard.press(key)
  }
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('data-key') ?? document.activeElement?.textContent)
  /** Goes on with the tab key until what is wanted has the focus. */
  const tabTo = async wanted => {
    for (let i = 0; i < 60; i++) {
      if ((await focused()) === wanted) return
      await keys('Tab')
    }
    assert.fail(`${wanted} cannot be reached`)
  }
  await page.goto(`${server.url}/builder`)
  await button('Add your first plan').waitFor()
  await tabTo('add feature')
  await keys('Enter')
  await page.keyboard.type('seat')
  await keys('Enter')
  await tabTo('close')
  await keys('Enter')
  assert.equal(await focused(), 'row feature:seat')
  await keys('ArrowDown')
  assert.equal(await focused(), 'add feature')
  await tabTo('add plan')
  await keys('Enter')
  await tabTo('title')
  await keys('Control+a')
  await page.keyboard.type('Team')
  await tabTo('add feature:seat')
  await keys('Enter')
  await tabTo('base')
  await page.keyboard.type('25')
  await keys('Escape')
  assert.equal(await focused(), 'cell plan:free@1 feature:seat')
  await page.locator('.grid').getByText('$25.00').waitFor()
  // Undone to the beginning, the focus is not lost.
  await tabTo('undo')
  while (await button('Undo').isEnabled()) await keys('Enter')
  assert.equal(await focused(), 'redo')
  while (await button('Redo').isEnabled()) await keys('Enter')
  const model = { plans: { 'plan:free@1': { title: 'Team', features: { 'feature:seat': { base: 2500 } } } } }
  assert.deepEqual(await downloaded(page, button), model)
  assert.deepEqual(strange, [])
  await close()
})

test('the text and the grid are one model, and comments stay until it changes', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  const { button, field } = hands(page)
  await page.goto(`${server.url}/builder`)
  await button('{ } JSON').click()
  const text = '{ // ours\n  "plans": {"plan:a@1": {"currency": "jpy", "features": {"feature:x": {"base": 1200}, "feature:y": {"tiers": [{"price": 0.000000000001}]}}}}\n}\n'
  await field('The model as JSON').fill(text)
  await page.locator('.grid').getByText('¥0.000000000001 each').waitFor()
  await page.locator('.grid').getByText('¥1,200').waitFor()
  await page.reload()
  await button('{ } JSON').click()
  assert.equal(await field('The model as JSON').inputValue(), text)
  await field('The model as JSON').fill('{')
  await page.locator('aside').getByText('this is not JSON').waitFor()
  await page.locator('[data-key="cell plan:a@1 feature:x"]').click()
  assert.equal(await field('Price').inputValue(), '1200')
  await field('Price').fill('free')
  await page.locator('aside').getByText('expected a number').waitFor()
  await field('Price').fill('1,300')
  await page.locator('.grid').getByText('¥1,300').waitFor()
  await button('{ } JSON').click()
  assert.doesNotMatch(await field('The model as JSON').inputValue(), /ours/)
  assert.deepEqual(strange, [])
  await close()
})
