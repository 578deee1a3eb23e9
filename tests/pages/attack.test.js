// Names, titles and links of people who mean harm: on every page they are text.
import assert from 'node:assert/strict'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isAccessible, launch, open, serve } from './browser.js'

const EVIL = `"'></title></script><img src=x onerror="globalThis.isHarmed=1"><script>globalThis.isHarmed=1</script>{{7*7}}`
const ORG = `org:${EVIL}`
const LONG = 'W'.repeat(200)

const MODEL = {
  plans: {
    'plan:evil@1': { title: EVIL, features: { 'feature:x': { title: EVIL, tiers: [{ upto: 10 }] } } },
    [`plan:${'long'.repeat(10)}@1`]: { title: LONG, features: { [`feature:${'long'.repeat(20)}`]: { title: LONG, base: 99999999 } } },
  },
}

let server, browser

before(async () => {
  process.env.TIER_LINK_SECRET = 'a secret of these tests with more than 32 characters'
  const file = join(await mkdtemp(join(tmpdir(), 'tier-')), 'pricing-page.json')
  const plans = Object.keys(MODEL.plans)
  await writeFile(file, JSON.stringify({ pages: { default: { title: EVIL, signup_url: '/signup', plans } } }))
  server = await serve('--pricing-pages', file)
  await post('/v1/push', MODEL)
  for (const org of [ORG, `org:${LONG}`]) await post('/v1/subscribe', { org, phases: [{ features: ['plan:evil@1'] }] })
  browser = await launch()
})

after(async () => {
  delete process.env.TIER_LINK_SECRET
  await browser?.close()
  await server?.stop()
})

const post = async (path, body, headers = {}) => {
  const answer = await fetch(`${server.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  const json = await answer.json()
  assert.equal(answer.status, 200, JSON.stringify(json))
  return json
}

/** Opens a page, and sees that nothing of what it shows is more than text. */
const visit = async (path, shown, name) => {
  const { page, strange, close } = await open(browser, [server.url])
  page.on('dialog', dialog => strange.push(dialog.message()))
  await page.goto(`${server.url}${path}`)
  await page.getByText(shown).first().waitFor()
  await isAccessible(page, `evil-${name}`)
  const harm = () => globalThis.isHarmed ?? document.querySelectorAll('main img, main script, main iframe').length
  return { page, isHarmless: async () => {
    assert.equal(await page.evaluate(harm), 0)
    assert.deepEqual(strange, [])
    await close()
  } }
}

test('the pricing table', async () => {
  const { isHarmless } = await visit('/pricing', EVIL, 'pricing')
  await isHarmless()
})

test('a checkout link, and a link that is none', async () => {
  const { url } = await post('/v1/checkout', { org: ORG, features: ['plan:evil@1'], success_url: 'https://app.example/', link: true })
  const { isHarmless } = await visit(new URL(url).pathname, ORG, 'pay')
  await isHarmless()
  const closed = await visit(`/pay/${encodeURIComponent(EVIL)}`, 'This link cannot be used', 'pay-closed')
  await closed.isHarmless()
})

test('the console', async () => {
  const { page, isHarmless } = await visit('/console', ORG, 'console')
  await page.getByRole('link', { name: ORG }).click()
  await page.getByRole('heading', { name: ORG }).waitFor()
  await isAccessible(page, 'evil-console-org')
  await page.getByRole('button', { name: 'What would change?' }).click()
  await page.getByText('Changes on').waitFor()
  await isAccessible(page, 'evil-console-change')
  for (const place of [`text=${encodeURIComponent(EVIL)}`, `org=${encodeURIComponent(EVIL)}`, `after=${encodeURIComponent(EVIL)}`]) {
    await page.goto(`${server.url}/console#${place}`)
    await page.getByText(EVIL).or(page.getByRole('alert')).first().waitFor()
  }
  await isHarmless()
})

test('a model in a link, in the builder', async () => {
  const { url } = await post(`/upload?title=${encodeURIComponent(EVIL.slice(0, 150))}`, MODEL, { 'tier-origin': 'https://app.example/"><script>globalThis.isHarmed=1</script>' })
  const { page, isHarmless } = await visit(new URL(url).pathname, EVIL, 'shared')
  const button = name => page.getByRole('button', { name, exact: true })
  await page.locator('[data-key="cell plan:evil@1 feature:x"]').click()
  await button('Clone').click()
  await page.locator('[data-key="plan plan:evil@1"]').click()
  await isAccessible(page, 'evil-builder-plan')
  for (const name of ['{ } JSON', 'Share', 'Stripe']) {
    await button(name).click()
    await page.locator('aside h2').waitFor()
  }
  await page.getByText('2 the same').waitFor()
  await isHarmless()
})

test('a text that is no model does no harm in the builder', async () => {
  const { page, isHarmless } = await visit('/builder', 'Add your first plan', 'builder')
  const button = name => page.getByRole('button', { name, exact: true })
  const keyed = key => page.locator(`[data-key="${key}"]`)
  await button('{ } JSON').click()
  const text = page.getByLabel('The model as JSON')
  for (const [typed, told] of [
    ['['.repeat(100_000), /this is not JSON|stack/],
    ['{"plans": 7}', /plans/],
    ['{"plans": {"__proto__": {"features": {"constructor": {"base": 1}}}}}', /plan name must start/],
    [`{"plans": {"plan:a@1": {"currency": "constructor", "features": {"feature:x": {"tiers": [{"price": 1e999999999}]}}}}}`, /currency/],
  ]) {
    await text.fill(typed)
    await page.getByText(told).first().waitFor()
  }
  // A number with a billion digits is not written out.
  await keyed('cell plan:a@1 feature:x').click()
  assert.equal(await page.getByLabel('Price of each, tier 1').inputValue(), '1e999999999')
  await keyed('plan plan:a@1').click()
  await page.getByLabel('Title', { exact: true }).fill(EVIL)
  await page.locator('.grid').getByText(EVIL).waitFor()
  await isHarmless()
})

/** Values that a field of a model must not have. */
const WRONG = [7, -1, true, null, 'text', [], [null], [[]], {}, { text: '1' }]

test('fields of every other type are told, and can be mended', async () => {
  const { page, isHarmless } = await visit('/builder', 'Add your first plan', 'wrong-types')
  const button = name => page.getByRole('button', { name, exact: true })
  const feature = { title: 'x', base: 1, tiers: [{ upto: 1, price: 1, base: 1 }], mode: 'volume', aggregate: 'sum', divide: { by: 1, rounding: 'up' } }
  const plan = { title: 'x', currency: 'usd', interval: '@monthly', features: { 'feature:x': feature } }
  const id = 'plan:a@1'
  /** The model with one value replaced. */
  const changed = (path, value) => {
    const model = structuredClone({ plans: { [id]: plan } })
    const inner = path.slice(0, -1).reduce((inside, step) => inside[step], model)
    inner[path.at(-1)] = value
    return JSON.stringify(model)
  }
  const inPlan = [['title'], ['currency'], ['interval'], ['features'], ['features', 'feature:x']]
  const inFeature = [['title'], ['base'], ['tiers'], ['tiers', 0], ['tiers', 0, 'upto'], ['tiers', 0, 'price'], ['mode'], ['aggregate'], ['divide'], ['divide', 'by'], ['divide', 'rounding']]
  const paths = [['plans'], ['plans', id], ...inPlan.map(path => ['plans', id, ...path]), ...inFeature.map(path => ['plans', id, 'features', 'feature:x', ...path])]
  const models = paths.flatMap(path => WRONG.map(value => changed(path, value)))
  // Too many for clicks: each is read, as if it was typed, and then whatever there is to open is opened.
  const failed = await page.evaluate(models => {
    const builder = document.querySelector('tier-builder')
    const panels = [{ kind: 'plan', plan: 'plan:a@1' }, { kind: 'feature', plan: 'plan:a@1', feature: 'feature:x' }, { kind: 'row', feature: 'feature:x' }, { kind: 'json' }]
    return models.filter(model => {
      try {
        const refused = builder.read(model)
        for (const panel of panels) builder.open(panel)
        return refused !== null || builder.text() !== model || document.querySelector('.json').value !== model
      } catch {
        return true
      }
    })
  }, models)
  assert.deepEqual(failed, [])
  await button('{ } JSON').click()
  const text = page.getByLabel('The model as JSON')
  // What the browser keeps does not stop the page from opening again.
  await text.fill(changed(['plans', id, 'title'], {}))
  await page.reload()
  await page.locator('.grid .error').getByText('expected a string').waitFor()
  await page.locator(`[data-key="plan ${id}"]`).click()
  await page.getByLabel('Title', { exact: true }).fill('Mended')
  await page.locator('.grid').getByText('Mended').waitFor()
  await isHarmless()
})

test('a huge model can be edited, and one that is too large is told', async () => {
  const { page, isHarmless } = await visit('/builder', 'Add your first plan', 'huge')
  const features = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`feature:f${i}`, { tiers: [{ upto: 10 + i }, { price: i }] }]))
  const huge = count => JSON.stringify({ plans: Object.fromEntries(Array.from({ length: count }, (_, i) => [`plan:p${i}@1`, { features }])) })
  await page.getByRole('button', { name: '{ } JSON', exact: true }).click()
  const text = page.getByLabel('The model as JSON')
  await text.fill(huge(16))
  await page.locator('[data-key="cell plan:p15@1 feature:f59"] .chip').getByText('69 included, then $0.59 each').waitFor()
  // Prices are not computed for more features than the server allows. Everything else goes on.
  await text.fill(huge(18))
  await page.getByText('The prices cannot be shown: the model must not have more than 1000 features.').waitFor()
  await page.locator('[data-key="plan plan:p17@1"]').click()
  await page.getByLabel('Title', { exact: true }).pressSequentially('Last')
  await page.locator('[data-key="plan plan:p17@1"]').getByText('Last').waitFor()
  await page.getByRole('button', { name: '{ } JSON', exact: true }).click()
  await text.fill(huge(120))
  const told = page.locator('header').getByRole('alert').getByText('must not be larger than 262144 bytes')
  await told.waitFor()
  await page.getByRole('button', { name: 'Undo', exact: true }).click()
  await told.waitFor({ state: 'detached' })
  await isHarmless()
})

test('two windows edit one model: each is told of the other', async () => {
  const { page, isHarmless } = await visit('/builder', 'Add your first plan', 'window')
  const other = await page.context().newPage()
  await other.goto(`${server.url}/builder`)
  const add = of => of.getByRole('button', { name: 'Add your first plan' }).or(of.getByRole('button', { name: '+ Add plan' }))
  const plan = (of, id) => of.locator('.grid .id', { hasText: id })
  const notice = of => of.getByText('Another window has changed the model')
  await add(other).click()
  await plan(other, 'plan:free@1').waitFor()
  await notice(page).waitFor()
  await isAccessible(page, 'builder-elsewhere')
  await page.getByRole('button', { name: 'Show it here' }).click()
  await plan(page, 'plan:free@1').waitFor()
  assert.equal(await notice(page).count(), 0)
  assert.equal(await notice(other).count(), 0)
  // What is changed here takes the place of what is there, and is told there.
  await add(page).click()
  await plan(page, 'plan:basic@1').waitFor()
  await notice(other).waitFor()
  await page.getByRole('button', { name: 'Undo', exact: true }).click()
  await notice(other).waitFor({ state: 'detached' })
  await isHarmless()
})
