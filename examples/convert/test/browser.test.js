// Clicks through the app as a customer would, in Chromium, and looks into Stripe (the sandbox) beside it.
//
// Screenshots of the steps are left in test/screenshots.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import axe from 'axe-core'
import { chromium } from 'playwright-core'

const at = path => fileURLToPath(new URL(path, import.meta.url))
const shots = at('screenshots')

// Everything that `npm start` starts.
const app = spawn(process.execPath, [at('../start.js')], {
  env: { ...process.env, PORT: '0' },
  stdio: ['ignore', 'pipe', 'pipe'],
})
let output = ''
const home = await new Promise((resolve, reject) => {
  const read = chunk => {
    output += chunk
    const found = /convert: (\S+)\n/.exec(output)
    if (found) resolve(found[1])
  }
  app.stdout.on('data', read)
  app.stderr.on('data', read)
  app.once('exit', () => reject(new Error(output)))
})

// Long enough for whatever has to happen, on a machine that does ten other things.
const PATIENCE = 120_000

let browser, page
const dialogs = []

before(async () => {
  await rm(shots, { recursive: true, force: true })
  await mkdir(shots, { recursive: true })
  browser = await chromium.launch({
    timeout: PATIENCE,
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  page = await (await browser.newContext({ viewport: { width: 1000, height: 700 } })).newPage()
  page.setDefaultTimeout(PATIENCE)
  page.on('dialog', dialog => {
    dialogs.push(dialog.message())
    return dialog.dismiss()
  })
})

after(async () => {
  await browser?.close()
  const exited = once(app, 'exit')
  app.kill('SIGTERM')
  const [code] = await exited
  assert.equal(code, 0, output)
})

// On a telephone, by day and by night: axe finds nothing, and nothing is wider than the screen.
const isAccessible = async name => {
  const size = page.viewportSize()
  await page.setViewportSize({ width: 375, height: 700 })
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    await page.evaluate(axe.source)
    const { violations } = await page.evaluate(() => globalThis.axe.run())
    const findings = violations.map(({ id, nodes }) => [id, ...nodes.map(node => node.html)])
    assert.deepEqual(findings, [], `${name}, ${colorScheme}`)
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(width <= 375, `${name} is ${width} px wide`)
    await look(`${name}-${colorScheme}`)
  }
  await page.emulateMedia({ colorScheme: null })
  await page.setViewportSize(size)
}

let shot = 0
const look = name =>
  page.screenshot({ path: `${shots}/${String(++shot).padStart(2, '0')}-${name}.png`, fullPage: true })

const button = name => page.getByRole('button', { name, exact: true })
const plan = () => page.locator('#plan').textContent()

// Clicks, and waits for the page that comes of it: it may have the address of this one.
const click = async (name, then) => {
  const next = page.waitForEvent('load')
  await button(name).click()
  await next
  await page.waitForURL(then)
}

const signUp = async (name, email) => {
  await page.getByLabel('Name').fill(name)
  await page.getByLabel('E-mail').fill(email)
  await click('Sign up', `${home}/convert`)
}

const convert = async celsius => {
  await page.goto(`${home}/convert`)
  await page.getByLabel('Celsius').fill(String(celsius))
  await button('Convert').click()
  return page.locator('.result, .stopped').textContent()
}

// What the usage page shows: used and limit of each feature.
const limits = async () => {
  await page.goto(`${home}/usage`)
  const rows = await page.locator('tr[data-feature]').evaluateAll(rows =>
    rows.map(row => [
      row.dataset.feature,
      ['.used', '.limit'].map(cell => row.querySelector(cell).textContent),
    ])
  )
  return Object.fromEntries(rows)
}

// What Stripe has, asked with the key that the server uses with a sandbox of its own.
let sandbox
const authorization = `Basic ${Buffer.from('sk_test_sandbox:').toString('base64')}`
const stripe = async path => {
  const response = await fetch(`${sandbox}${path}`, { headers: { authorization } })
  assert.equal(response.status, 200, path)
  return (await response.json()).data
}

// The page on which a customer's bank asks whether a card may be charged later.
const authenticationOf = async customer => {
  const body = new URLSearchParams({
    customer,
    payment_method: 'pm_card_authenticationRequired',
    confirm: 'true',
    return_url: `${sandbox}/thanks`,
  })
  const response = await fetch(`${sandbox}/v1/setup_intents`, { method: 'POST', headers: { authorization }, body })
  const intent = await response.json()
  assert.equal(intent.status, 'requires_action', JSON.stringify(intent))
  return intent.next_action.redirect_to_url.url
}

// Customers on a test clock are in no list but the clock's.
const customerOf = async email => {
  for (const { id } of await stripe('/v1/test_helpers/test_clocks?limit=100')) {
    const customers = await stripe(`/v1/customers?test_clock=${id}`)
    const found = customers.find(customer => customer.email === email)
    if (found) return found.id
  }
  throw new Error(`no customer has the address ${email}`)
}

test('the pricing page shows the model', async () => {
  await page.goto(home)
  const card = name => page.locator(`[data-plan="${name}"]`).innerText()
  assert.match(await card('plan:free@1'), /Free[^]*\$0\.00[^]*Conversions: first 5 included/)
  assert.match(
    await card('plan:pro@1'),
    /Pro[^]*\$9\.00[^]*Conversions: first 100 included, more at \$0\.025 each/
  )
  await isAccessible('pricing')
})

// It would run, were it not escaped.
const NAME = 'Jo <script>alert(1)</script> & "Co"'

test('sign-up is the free plan', async () => {
  await signUp(NAME, 'jo@example.com')
  assert.equal(await page.locator('.who').textContent(), NAME)
  assert.deepEqual(dialogs, [])
  assert.deepEqual(await limits(), { 'feature:convert': ['0', '5'] })
  assert.match(await plan(), /You are on Free\./)
  await isAccessible('usage')
  await page.goto(home)
  await isAccessible('pricing-signed-in')
})

test('use, until the limit', async () => {
  for (const [celsius, fahrenheit] of [
    [0, '32'],
    [100, '212'],
    [-40, '-40'],
    [36.6, '97.88'],
    ['37,5', '99.5'],
  ]) {
    const text = await convert(celsius)
    assert.ok(text.endsWith(` = ${fahrenheit} °F`), text)
  }
  await isAccessible('converted')
  assert.match(await convert(20), /no conversions left/)
  await isAccessible('stopped')
  assert.deepEqual(await limits(), { 'feature:convert': ['5', '5'] })
  // A full meter is not green: its value is above `high`, and the best is 0.
  const [value, high, optimum] = await page
    .locator('meter')
    .evaluate(({ value, high, optimum }) => [value, high, optimum])
  assert.ok(value > high && high > optimum)
  await look('full')
})

test('upgrade, on the checkout page', async () => {
  await page.goto(home)
  await click('Upgrade to Pro', /\/c\/pay\/cs_test_/)
  sandbox = new URL(page.url()).origin
  await isAccessible('checkout')
  // By keyboard: the card, the button.
  await page.getByLabel('Card').focus()
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.waitForURL(`${home}/usage`)
  assert.match(await plan(), /You are on Pro\./)
  await look('upgraded')
  assert.deepEqual(await limits(), {
    'feature:base': ['1', '∞'],
    'feature:convert': ['0', '∞'],
  })
})

test('use again, beyond what was free', async () => {
  for (let celsius = 1; celsius <= 7; celsius++) {
    assert.match(await convert(celsius), / °F$/)
  }
  assert.deepEqual((await limits())['feature:convert'], ['7', '∞'])
  await look('used-again')
})

test('a month later the count begins anew, and the month is billed', async () => {
  await click('Let a month pass', `${home}/usage`)
  assert.deepEqual((await limits())['feature:convert'], ['0', '∞'])
  await look('a-month-later')
  const customer = await customerOf('jo@example.com')
  const invoices = await stripe(`/v1/invoices?customer=${customer}&limit=100`)
  const billed = feature =>
    invoices
      .flatMap(invoice => invoice.lines.data)
      .filter(line => line.price.metadata['tier.feature'] === `${feature}@plan:pro@1`)
  const used = billed('feature:convert').map(line => line.quantity)
  assert.equal(used.reduce((sum, quantity) => sum + quantity, 0), 7)
  assert.deepEqual(billed('feature:base').map(line => line.amount), [900, 900])
})

test('the account: plan, next bill, card and invoices', async () => {
  await page.goto(`${home}/account`)
  assert.equal(await plan(), 'Pro')
  assert.match(await page.locator('#bill').textContent(), /On \d+ \w+ \d+: \$9\.00, /)
  assert.match(await page.locator('#cards').textContent(), /Visa ending in 4242, valid until \d+\/\d+/)
  const rows = await page.locator('#invoices tbody tr').allInnerTexts()
  const paid = rows.filter(row => /^\S+\s+\d+ \w+ \d+\s+paid\s+\$9\.00$/.test(row))
  assert.equal(paid.length, 2, rows.join('\n'))
  await isAccessible('account')
  await page.locator('#invoices a').first().click()
  await page.waitForURL(`${sandbox}/invoices/in_*`)
  assert.match(await page.locator('main').innerText(), /Pro - /)
})

test('the pages of the sandbox', async () => {
  const customer = await customerOf('jo@example.com')
  const [{ id: invoice }] = await stripe(`/v1/invoices?customer=${customer}`)
  const [{ id: subscription }] = await stripe(`/v1/subscriptions?customer=${customer}`)
  for (const [name, path, text] of [
    ['overview', '/', /jo@example\.com/],
    ['customer', `/test/customers/${customer}`, /A month passes/],
    ['invoice', `/test/invoices/${invoice}`, /Amount due/],
    ['subscription', `/test/subscriptions/${subscription}`, /Current period/],
    ['authentication', new URL(await authenticationOf(customer)).pathname, /Your bank asks/],
    ['thanks', '/thanks', /Thank you/],
    ['unknown', '/customers/cus_nobody', /No such customer/],
  ]) {
    await page.goto(`${sandbox}${path}`)
    assert.match(await page.locator('main').innerText(), text)
    await isAccessible(`sandbox-${name}`)
  }
  assert.deepEqual(dialogs, [])
  await page.goto(await authenticationOf(customer))
  await click('Yes, it is me', `${sandbox}/thanks*`)
  // The script shows what has changed since.
  await page.goto(`${sandbox}/customers/${customer}`)
  const form = new URLSearchParams({ customer, outcome: 'fails' })
  await fetch(`${sandbox}/_sandbox/next_payment`, { method: 'POST', body: form, redirect: 'manual' })
  await button('Let the next payment succeed').click()
  await button('Next payment fails').waitFor()
})

test('the page about the API', async () => {
  const [, server] = /listening on (\S+)\n/.exec(output)
  await page.goto(`http://${server}/docs`)
  assert.match(await page.locator('main').innerText(), /\/v1\/limits/)
  await isAccessible('docs')
})

test('cancel: nothing is granted, and no live subscription is left', async () => {
  await page.goto(`${home}/account`)
  await page.getByRole('link', { name: 'Cancel the plan' }).click()
  await page.waitForURL(`${home}/cancel`)
  await isAccessible('cancel')
  await page.getByRole('link', { name: 'Keep it' }).click()
  await page.waitForURL(`${home}/account`)
  assert.equal(await plan(), 'Pro')
  await page.goto(`${home}/cancel`)
  await click('Cancel the plan', `${home}/usage`)
  assert.match(await plan(), /You have no plan/)
  await look('cancelled')
  assert.deepEqual(await limits(), {})
  assert.match(await convert(20), /no conversions left/)
  const customer = await customerOf('jo@example.com')
  const all = await stripe(`/v1/subscriptions?customer=${customer}&status=all&limit=100`)
  assert.ok(all.length > 0)
  assert.deepEqual(all.filter(({ status }) => status !== 'canceled'), [])
})

test('another customer: a trial, paid later, then back to the free plan', async () => {
  await click('Sign out', `${home}/`)
  await signUp('Al', 'al@example.com')
  await page.goto(home)
  await click('Try for 14 days', `${home}/usage`)
  assert.match(await plan(), /You are on Pro, on trial until/)
  await look('trial')
  await click('Let a month pass', `${home}/usage`)
  assert.match(await plan(), /You are on Pro\./)
  await page.goto(home)
  await click('Choose', `${home}/usage`)
  assert.match(await plan(), /You are on Free\./)
  await look('back-to-free')
})

test('what a person gets wrong is said', async () => {
  assert.match(await convert('warm'), /not a temperature/)
  await page.goto(`${home}/nowhere`)
  assert.match(await page.locator('main').textContent(), /no such page/)
  await look('not-found')
})
