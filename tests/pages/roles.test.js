// What a key does not allow is not offered, in the builder and in the console. A server without keys offers everything.
import assert from 'node:assert/strict'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isAccessible, launch, open, serve } from './browser.js'

const PLAN = { features: { 'feature:seat': { base: 1000 } } }
const PUSHED = { plans: { 'plan:pro@1': PLAN } }
const EDITED = { plans: { 'plan:pro@1': PLAN, 'plan:pro@2': PLAN } }

let browser

before(async () => {
  browser = await launch()
})

after(() => browser?.close())

/** A server with that model, and an org on its plan. */
const prepared = async (...args) => {
  const server = await serve(...args)
  const subscription = { org: 'org:acme', phases: [{ features: ['plan:pro@1'] }] }
  for (const [path, body] of [['/v1/push', PUSHED], ['/v1/subscribe', subscription]]) {
    const headers = { authorization: 'Bearer changes' }
    const answer = await fetch(`${server.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    assert.equal(answer.status, 200, await answer.text())
  }
  return server
}

const withKeys = async () => {
  const keys = join(await mkdtemp(join(tmpdir(), 'tier-')), 'keys')
  await writeFile(keys, 'front:read:reads\nmeter:report:reports\nback:admin:changes\n', { mode: 0o600 })
  return prepared('--api-key-file', keys)
}

const button = (page, name) => page.getByRole('button', { name, exact: true })

/** The builder, with a model of which a part is pushed, and its panel about Stripe. */
const openBuilder = async (server, key) => {
  const opened = await open(browser, [server.url])
  const { page } = opened
  await page.goto(`${server.url}/builder`)
  await button(page, '{ } JSON').click()
  await page.getByLabel('The model as JSON').fill(JSON.stringify(EDITED))
  await button(page, 'Stripe').click()
  if (key) {
    await page.getByLabel('API key of this server').fill(key)
    await button(page, 'Connect').click()
  }
  await page.getByText('1 to create, 1 the same, 0 different').waitFor()
  return opened
}

/** How many links for a customer the panel of the pushed plan offers to make. */
const checkoutLinks = async page => {
  await page.locator('[data-key="plan plan:pro@1"]').click()
  await page.getByText('This version is in Stripe').waitFor()
  return button(page, 'Make a link').count()
}

for (const [key, role] of [['reads', 'read'], ['reports', 'report']]) {
  test(`a key with the role ${role} is offered nothing that it may not do`, async () => {
    const server = await withKeys()
    const { page, strange, close } = await openBuilder(server, key)
    await page.getByText(`This key has the role ${role}, which does not push.`).waitFor()
    await page.getByText(`tier push ${server.url}/m/`).waitFor()
    assert.equal(await page.getByRole('button', { name: /^Push/ }).count(), 0)
    await isAccessible(page, `builder-${role}`)
    // What it may do still works.
    await button(page, 'Pull model').click()
    await page.getByText('pull complete').waitFor()
    assert.equal(await checkoutLinks(page), 0)

    await page.goto(`${server.url}/console#org=org:acme`)
    await page.getByLabel('API key of this server').fill(key)
    await button(page, 'Open').click()
    await page.locator('.phases').getByText('plan:pro@1').waitFor()
    for (const hidden of ['Change to', 'Invoices', 'Next bill']) assert.equal(await page.getByText(hidden).count(), 0, hidden)
    assert.deepEqual(strange, [])
    await close()
    await server.stop()
  })
}

test('an admin key, and a server without keys, offer everything', async () => {
  for (const [server, key] of [[await withKeys(), 'changes'], [await prepared(), undefined]]) {
    const { page, strange, close } = await openBuilder(server, key)
    assert.equal(await checkoutLinks(page), 1)
    await button(page, 'Stripe').click()
    await button(page, 'Push 1 feature').click()
    await page.getByText('push complete').waitFor()
    await page.goto(`${server.url}/console#org=org:acme`)
    if (key) {
      await page.getByLabel('API key of this server').fill(key)
      await button(page, 'Open').click()
    }
    await page.getByLabel('Change to').waitFor()
    await page.getByRole('heading', { name: 'Invoices' }).waitFor()
    assert.deepEqual(strange, [])
    await close()
    await server.stop()
  }
})
