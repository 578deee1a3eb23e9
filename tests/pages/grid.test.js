// The grid and the JSON are one model: whatever is legal is shown, and typed again as it is shown it stays the same.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, serve, start } from './browser.js'

const MODELS = 6

let server, browser

before(async () => {
  server = await serve()
  browser = await launch()
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

/** A generator whose numbers are the same at each run. */
const random = seed => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return seed / 2 ** 32
}

const model = next => {
  const one = choices => choices[Math.floor(next() * choices.length)]
  const maybe = value => (next() < 0.5 ? value : {})
  const amount = () => one([0, 1, 50, 1000, 0.5, 0.000000000001, 123456789, 99.999])
  const tiers = () => {
    const count = Math.floor(next() * 4)
    let upto = 0
    return Array.from({ length: count }, (_, i) => {
      upto += 1 + Math.floor(next() * 2000)
      return { ...(i + 1 < count || next() < 0.5 ? { upto } : {}), ...maybe({ price: amount() }), ...maybe({ base: Math.floor(next() * 500) }) }
    })
  }
  const feature = () => ({
    ...maybe({ title: one(['Größe "1" <b>', 'Seats', '日本']) }),
    ...(next() < 0.4
      ? { base: amount(), ...maybe({ divide: { by: one([1, 12, 1000]), rounding: one(['up', 'down']) } }) }
      : { tiers: tiers(), ...maybe({ mode: one(['graduated', 'volume']) }), ...maybe({ aggregate: one(['sum', 'max', 'last', 'perpetual']) }) }),
  })
  const some = (most, name, make) =>
    Object.fromEntries(Array.from({ length: 1 + Math.floor(next() * most) }, (_, i) => [name(i), make()]))
  const plan = () => ({
    ...maybe({ title: one(['Pro', 'Free & easy']) }),
    ...maybe({ currency: one(['usd', 'jpy', 'kwd']) }),
    ...maybe({ interval: one(['@daily', '@weekly', '@monthly', '@yearly']) }),
    features: some(3, i => `feature:f${i}`, feature),
  })
  return { plans: some(3, i => `plan:p${i}@${i}`, plan) }
}

/** Legal models, by the server's word. */
const legal = async function* () {
  const next = random(20)
  for (let found = 0, tried = 0; found < MODELS; tried++) {
    assert.ok(tried < 50 * MODELS, 'the generator finds too few')
    const body = JSON.stringify(model(next))
    const { valid } = await (await fetch(`${server.url}/v1/validate`, { method: 'POST', body })).json()
    if (!valid) continue
    found += 1
    yield body
  }
}

/** The same model has the same link. */
const link = async body => {
  const answer = await fetch(`${server.url}/upload`, { method: 'POST', body })
  return (await answer.json()).url
}

const json = async page => {
  await page.getByRole('button', { name: '{ } JSON' }).click()
  return page.getByLabel('The model as JSON')
}

test('any legal model stays the same when all that the grid shows is typed again', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  await page.goto(`${server.url}/builder`)
  let fields = 0
  for await (const text of legal()) {
    await (await json(page)).fill(text)
    const { plans } = JSON.parse(text)
    const keys = Object.entries(plans).flatMap(([plan, { features }]) =>
      [`plan ${plan}`, ...Object.keys(features).map(feature => `cell ${plan} ${feature}`)])
    for (const key of keys) {
      await page.locator(`[data-key="${key}"]`).click()
      for (const field of await page.locator('aside input:enabled:not([type=checkbox])').all()) {
        await field.fill(await field.inputValue())
        fields += 1
      }
    }
    const now = await (await json(page)).inputValue()
    assert.equal(await link(now), await link(text), `${text}\n${now}`)
  }
  assert.ok(fields > 10 * MODELS, `${fields} fields`)
  assert.deepEqual(strange, [])
  await close()
})

const TIERS = '{"plans":{"plan:a@1":{"features":{"feature:x":{"tiers":[{"upto":10,"price":1},{"upto":20,"price":2},{"price":3}]}}}}}'

test('a tier is dragged to another place, and a file is dropped', async () => {
  const { page, strange, close } = await open(browser, [server.url])
  await page.goto(`${server.url}/builder`)
  await page.getByRole('button', { name: 'Add your first plan' }).waitFor()
  const dropped = await page.evaluateHandle(text => {
    const transfer = new DataTransfer()
    transfer.items.add(new File([text], 'pricing.json', { type: 'application/json' }))
    return transfer
  }, TIERS)
  await page.dispatchEvent('tier-builder', 'drop', { dataTransfer: dropped })
  await page.locator('[data-key="cell plan:a@1 feature:x"]').click()
  const prices = async () => {
    const fields = await page.getByLabel(/^Price of each/).all()
    return Promise.all(fields.map(field => field.inputValue()))
  }
  assert.deepEqual(await prices(), ['0.01', '0.02', '0.03'])
  await page.locator('aside .handle').first().dragTo(page.getByLabel('Price of each, tier 3'))
  assert.deepEqual(await prices(), ['0.02', '0.03', '0.01'])
  await page.getByRole('button', { name: 'Undo' }).click()
  const { plans } = JSON.parse(await (await json(page)).inputValue())
  assert.deepEqual(plans, JSON.parse(TIERS).plans)
  assert.deepEqual(strange, [])
  await close()
})

test('tier builder needs nothing, and ends when it is told to', async () => {
  const builder = await start(['builder', '--addr', '127.0.0.1:0'])
  const { page, strange, close } = await open(browser, [builder.url])
  await page.goto(`${builder.url}/builder`)
  await page.getByRole('button', { name: 'Stripe', exact: true }).click()
  await page.getByText('0 to create, 0 the same, 0 different').waitFor()
  assert.deepEqual(strange, [])
  await close()
  await builder.stop()
})
