// The client of 2022, npm's `@tier.run/sdk`: its class, and its command line.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import sdk from '@tier.run/sdk'
import { Tier } from 'tier/client'
import {
  NO_LIMIT,
  WITH_LEDGER,
  cleanEnv,
  model as todaysModel,
  newOrg,
  startBoth,
  startServer,
} from '../support.js'

const { TierClient, isSetupIntent, isTierError } = sdk

const { sandbox, server, stripe } = await startBoth('sk_test_legacy', {
  STRIPE_PUBLISHABLE_KEY: 'pk_test_legacy',
})
const at = ({ url }, options = {}) =>
  new TierClient({ apiUrl: url, webUrl: url, tierKey: 'any', ...options })

const called = new Set()
const tier = new Proxy(at(server), {
  get(target, name) {
    const value = Reflect.get(target, name)
    if (typeof value !== 'function') return value
    called.add(name)
    return value.bind(target)
  },
})

const DAY = 86_400_000

const command = fileURLToPath(new URL('../node_modules/@tier.run/sdk/lib/tier.js', import.meta.url))

// Fails with a TierError of this status.
const refused = (promise, status, code = undefined) =>
  assert.rejects(promise, error => {
    assert.ok(isTierError(error), String(error))
    assert.equal(error.response.status, status)
    const body = JSON.parse(error.response.body)
    assert.equal(body.status, status)
    if (code) assert.equal(body.code, code)
    return true
  })

// As in the documentation, comments and all.
const model = `{
  // What everybody gets.
  "plans": {
    "plan:free@1": {
      "title": "Free",
      "features": {
        "feature:convert": { "type": "graduated", "reset": "@monthly", "tiers": [{ "upto": 10 }] },
        "feature:none": { "tiers": [] },
        "feature:seat": { "base": 100 },
      },
    },
    "plan:paid@24": {
      "title": "Paid",
      "features": { "feature:convert": { "tiers": [{ "upto": 500, "price": 1 }, { "price": 2 }] } },
    },
    "plan:enterprise@custom-for-acme-signed-2022-05-13": {
      "features": { "feature:convert": { "tiers": [{}] } },
    },
    "plan:bulk@1": { "features": { "feature:convert": { "tiers": [{ "upto": 500 }] } } },
  },
}`

before(async () => {
  const pushed = await tier.pushModel(model)
  assert.equal(pushed.succeeded.length, 6)
  assert.equal(pushed.failed, undefined)
})

describe('keys', () => {
  test('Basic and Bearer, and none where the server has none', async () => {
    for (const options of [{}, { authType: 'bearer' }, { tierKey: TierClient.NO_AUTH }]) {
      assert.match((await at(server, options).ping()).org, /^org:acct_/)
    }
    const keyed = await startServer(sandbox, 'sk_test_legacy', { TIER_API_KEY: 'right' })
    try {
      for (const authType of ['basic', 'bearer']) {
        const right = at(keyed, { tierKey: 'right', authType })
        assert.match((await right.ping()).org, /^org:acct_/)
        assert.equal((await right.pullPricingPage()).name, 'default')
        const wrong = at(keyed, { tierKey: 'wrong', authType })
        await refused(wrong.ping(), 401, 'unauthorized')
        await refused(wrong.appendPhase('org:a', 'plan:free@1'), 401, 'unauthorized')
        await refused(wrong.pullPricingPage(), 401, 'unauthorized')
      }
    } finally {
      assert.equal(await keyed.stop(), 0)
    }
  })
})

describe('the model', () => {
  test('a text, an object and bytes; what exists stays', async () => {
    const again = await tier.pushModel(Buffer.from(model))
    assert.equal(again.succeeded.length, 6)
    const other = { plans: { 'plan:free@1': { features: { 'feature:convert': { tiers: [{ upto: 11 }] } } } } }
    assert.deepEqual(await tier.pushModel(other), { failed: ['feature:convert@plan:free@1'] })
    await refused(tier.pushModel({ plans: { 'plan:bad': {} } }), 400, 'invalid_request')
  })

  test('what was pulled is recognised', async () => {
    await new Tier({ baseURL: server.url }).push(todaysModel)
    const random = { plans: {} }
    for (let n = 0; n < 12; n++) random.plans[`plan:random@${n}`] = randomPlan(n)
    const { results } = await new Tier({ baseURL: server.url }).push(random)
    assert.deepEqual(results.filter(({ status }) => status !== 'ok'), [])
    const pulled = await tier.pullModel()
    for (const { features } of Object.values(pulled.plans)) {
      for (const { tiers } of Object.values(features)) {
        for (const one of tiers) assert.deepEqual(Object.keys(one), ['upto', 'price', 'base'])
      }
    }
    assert.equal(pulled.plans['plan:paid@24'].features['feature:convert'].tiers[1].upto, NO_LIMIT)
    const pushed = await tier.pushModel(pulled)
    assert.equal(pushed.failed, undefined)
    const features = Object.values(pulled.plans).flatMap(plan => Object.keys(plan.features))
    assert.equal(pushed.succeeded.length, features.length)
    assert.deepEqual(await tier.pullModel(), pulled)
  })

  test('an empty one is null', async () => {
    const empty = await startServer(sandbox, 'sk_test_legacy_empty')
    try {
      assert.equal(await at(empty).pullModel(), null)
      assert.deepEqual(await at(empty).pullPricingPage(), { name: 'default', plans: [] })
    } finally {
      assert.equal(await empty.stop(), 0)
    }
  })

  test('the pricing page has the plans that pullLatest of today has', async () => {
    const versions = ['9', '10', '20test', 'a', 'B', 'rc-1', '0', '010']
    const plans = {}
    for (let n = 0; n < 12; n++) {
      const some = versions.filter((_, i) => n === 11 || (n * 7 + i * 5) % 3)
      for (const version of some) {
        plans[`plan:versions${n}@${version}`] = { features: { 'feature:x': {} } }
      }
    }
    await tier.pushModel({ plans })
    const latest = await new Tier({ baseURL: server.url }).pullLatest()
    for (const page of [await tier.pullPricingPage(), await tier.pullPricingPage('default')]) {
      assert.deepEqual(page.plans.map(({ id }) => id).sort(), Object.keys(latest.plans).sort())
      for (const { id, name, version, title, features } of page.plans) {
        assert.equal(id, `${name}@${version}`)
        assert.ok(title && Object.keys(features).length > 0)
      }
    }
    await refused(tier.pullPricingPage('named'), 404, 'not_found')
  })
})

// A legal plan in today's format, of every kind of feature.
const randomPlan = n => {
  let seed = n * 7919 + 17
  const next = below => (seed = (seed * 48271) % 2147483647) % below
  const pick = values => values[next(values.length)]
  const price = () => pick([0, 1, 0.5, 12345678.123456, 0.000000000001, 999999999999])
  const tiers = () => {
    let upto = 0
    const list = Array.from({ length: next(4) }, () => ({
      upto: (upto += 1 + next(1000)),
      price: price(),
      base: next(3) * 100,
    }))
    return next(2) ? [...list, { price: price() }] : list
  }
  const features = {}
  for (let i = 0; i <= next(4); i++) {
    features[`feature:f${i}`] = pick([
      () => ({ base: price() }),
      () => ({ base: 100, divide: { by: 1 + next(100), rounding: pick(['up', 'down']) } }),
      () => ({ title: 'T "x"', mode: pick(['graduated', 'volume']), tiers: tiers() }),
      () => ({ aggregate: pick(['sum', 'max', 'last', 'perpetual']), tiers: tiers() }),
    ])()
  }
  const currency = pick(['usd', 'eur', 'jpy'])
  return { currency, interval: pick(['@daily', '@monthly', '@yearly']), features }
}

describe('the schedule', () => {
  test('the story of the documentation', async () => {
    const org = newOrg()
    assert.equal(await tier.can(org, 'feature:convert'), false)
    assert.equal(await tier.cannot(org, 'feature:convert'), true)
    await refused(tier.lookupSchedule(org), 404, 'not_found')
    await tier.appendPhase(org, 'plan:free@1')
    const inTwoWeeks = new Date(Date.now() + 14 * DAY)
    await tier.appendPhase(org, 'plan:paid@24', inTwoWeeks)
    const { current, phases } = await tier.lookupSchedule(org)
    assert.equal(current, 0)
    assert.deepEqual(phases.map(({ org, plan }) => [org, plan]), [
      [org, 'plan:free@1'],
      [org, 'plan:paid@24'],
    ])
    assert.ok(phases.every(({ effective }) => effective instanceof Date))
    assert.equal(phases[1].effective.getTime(), Math.trunc(inTwoWeeks / 1000) * 1000)
    assert.equal(await tier.lookupCurrentPlan(org), 'plan:free@1')
    assert.equal(await tier.can(org, 'feature:convert', 10), true)
  })

  test('clocks differ', async () => {
    for (const skew of [30_000, -30_000]) {
      const org = newOrg()
      await tier.appendPhase(org, 'plan:free@1', Date.now() + skew)
      assert.equal(await tier.lookupCurrentPlan(org), 'plan:free@1')
      await tier.report(org, 'feature:convert', 1, Date.now() + skew)
      assert.equal((await tier.currentUsage(org, 'feature:convert')).used, 1)
    }
  })

  test('orgs are sent as they are', async () => {
    const plus = 'org:user+x@example.com'
    const space = 'org:user x@example.com'
    await tier.appendPhase(plus, 'plan:enterprise@custom-for-acme-signed-2022-05-13')
    await tier.appendPhase(space, 'plan:free@1')
    assert.equal(await tier.lookupCurrentPlan(space), 'plan:free@1')
    assert.match(await tier.lookupCurrentPlan(plus), /^plan:enterprise@/)
    assert.equal((await tier.lookupOrg(plus)).id, plus)
  })

  test('what is not there', async () => {
    const org = newOrg()
    await refused(tier.appendPhase(org, 'plan:gone@1'), 404, 'not_found')
    await refused(tier.appendPhase(org, 'plan:free'), 400, 'invalid_request')
    await refused(tier.appendPhase('acme', 'plan:free@1'), 400, 'invalid_request')
    await refused(tier.lookupOrg(org), 404, 'not_found')
    await tier.appendPhase(org, 'plan:free@1', Date.now() + DAY)
    assert.equal((await tier.lookupSchedule(org)).current, -1)
    await assert.rejects(tier.lookupCurrentPlan(org), TypeError)
  })
})

describe('usage', () => {
  const subscribed = async plan => {
    const org = newOrg()
    await tier.appendPhase(org, plan)
    return org
  }

  test('up to the limit, and beyond', async () => {
    const org = await subscribed('plan:free@1')
    await tier.report(org, 'feature:convert', 9)
    assert.equal(await tier.can(org, 'feature:convert'), true)
    assert.equal(await tier.can(org, 'feature:convert', 2), false)
    const { used, overage, allowed, ok, remaining } = await tier.reserve(org, 'feature:convert', 3)
    assert.deepEqual(
      { used, overage, allowed, ok, remaining },
      { used: 12, overage: 2, allowed: 1, ok: false, remaining: 0 }
    )
    assert.equal((await tier.currentUsage(org, 'feature:convert')).used, 12)
    await assert.rejects(tier.report(org, 'feature:convert', -1), TypeError)
    assert.equal((await tier.currentUsage(org, 'feature:convert')).used, 12)
  })

  test('many at once are allowed as much as the limit', async () => {
    const org = await subscribed('plan:bulk@1')
    const all = Array.from({ length: 20 }, () => tier.reserve(org, 'feature:convert', 75))
    const reservations = await Promise.all(all)
    const allowed = reservations.reduce((sum, one) => sum + one.allowed, 0)
    assert.equal(allowed, 500)
    assert.equal((await tier.currentUsage(org, 'feature:convert')).used, 20 * 75)
  })

  test('a refund', async () => {
    const org = await subscribed('plan:paid@24')
    await tier.report(org, 'feature:convert', 9)
    const reservation = await tier.reserve(org, 'feature:convert', 3)
    const kept = await tier.commit(await tier.reserve(org, 'feature:convert', 1))
    assert.equal(await kept.refund(), kept, 'what is committed is not given back')
    if (!WITH_LEDGER) {
      await assert.rejects(reservation.refund(), error => {
        assert.ok(isTierError(error))
        assert.match(JSON.parse(error.response.body).message, /^refunds need the ledger/)
        return error.response.status === 400
      })
      return
    }
    const refund = await reservation.refund()
    assert.deepEqual([refund.used, refund.isRefund], [10, true])
    await assert.rejects(reservation.refund(), /cannot refund more than once/)
    assert.equal((await tier.currentUsage(org, 'feature:convert')).used, 10)
    const { stripe_id: customer } = await new Tier({ baseURL: server.url }).whois(org)
    // The ledger tells Stripe in the background.
    for (;;) {
      const { total } = await stripe.invoices.retrieveUpcoming({ customer })
      if (total === 10) break
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  })

  test('no limit, no tiers, not counted, not there', async () => {
    const org = await subscribed('plan:enterprise@custom-for-acme-signed-2022-05-13')
    const { ok, limit } = await tier.reserve(org, 'feature:convert', 1_000_000)
    assert.deepEqual([ok, limit], [true, NO_LIMIT])
    const free = await subscribed('plan:free@1')
    assert.equal(await tier.can(free, 'feature:none'), false)
    const over = await tier.reserve(free, 'feature:none', 2)
    assert.deepEqual([over.ok, over.overage, over.allowed], [false, 2, 0])
    assert.equal(await tier.can(free, 'feature:seat'), true)
    await refused(tier.report(free, 'feature:seat'), 400, 'invalid_request')
    assert.equal(await tier.cannot(free, 'feature:nope'), true)
    await refused(tier.report(free, 'feature:nope'), 404, 'not_found')
    await refused(tier.report(newOrg(), 'feature:convert'), 404, 'not_found')
  })
})

describe('cards', () => {
  const started = async org => {
    const { publishableKey, accountID, clientSecret } = await tier.stripeOptions(org)
    assert.equal(publishableKey, 'pk_test_legacy')
    assert.equal(`org:${accountID}`, (await tier.ping()).org)
    return clientSecret.split('_secret_')[0]
  }
  // What Stripe's elements do on the page.
  const enter = (intent, payment_method) =>
    stripe.setupIntents.confirm(intent, { payment_method, return_url: 'https://app.test/account' })

  test('set up, and on file', async () => {
    const org = newOrg()
    const intent = await started(org)
    assert.equal((await tier.lookupOrg(org)).default_payment_method, undefined)
    await assert.rejects(enter(intent, 'pm_card_chargeDeclined'), { code: 'card_declined' })
    await assert.rejects(tier.stripeSetup(org, intent), error => {
      assert.ok(isSetupIntent(error) && !isTierError(error))
      return error.last_setup_error.code === 'card_declined'
    })
    await enter(intent, 'pm_card_visa')
    const setup = await tier.stripeSetup(org, intent)
    assert.ok(isSetupIntent(setup))
    assert.equal(setup.status, 'succeeded')
    const { default_payment_method: method } = await tier.lookupOrg(org)
    assert.equal(method.id, setup.payment_method)
    assert.equal(method.card.last4, '4242')
    assert.equal(typeof method.card.exp_month, 'number')
    const other = newOrg()
    await started(other)
    await refused(tier.stripeSetup(other, intent), 404, 'not_found')
    assert.equal((await tier.lookupOrg(other)).default_payment_method, undefined)
  })

  test('to be authenticated first', async () => {
    const org = newOrg()
    const intent = await started(org)
    const { next_action } = await enter(intent, 'pm_card_authenticationRequiredOnSetup')
    await assert.rejects(tier.stripeSetup(org, intent), error => {
      assert.ok(isSetupIntent(error) && !isTierError(error))
      const { url } = next_action.redirect_to_url
      assert.deepEqual([error.next_action.redirect_to_url.url, error.redirect_to_url.url], [url, url])
      return error.status === 'requires_action'
    })
    await fetch(next_action.redirect_to_url.url, {
      method: 'POST',
      body: new URLSearchParams({ outcome: 'complete' }),
      redirect: 'manual',
    })
    assert.equal((await tier.stripeSetup(org, intent)).status, 'succeeded')
  })
})

describe('the command', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'tier-legacy-'))
  after(() => rmSync(folder, { recursive: true }))
  const file = path.join(folder, 'pricing.json')
  writeFileSync(file, model)
  const env = cleanEnv({
    HOME: folder,
    TIER_API_URL: server.url,
    TIER_WEB_URL: server.url,
    TIER_KEY: 'any',
  })
  const run = (...args) => promisify(execFile)(process.execPath, [command, ...args], { env, cwd: folder })
  const json = async (...args) => JSON.parse((await run(...args)).stdout)

  test('what it does', async () => {
    const [pushed, pulled, account, page, posted, bearer] = await Promise.all([
      run('push', file),
      json('pull'),
      json('whoami'),
      json('pricing-page', 'pull'),
      json('fetch', '-X', 'POST', '-H', 'x-request-id: abc', '-d', '{"org":"org:cli","plan":"plan:free@1"}', '/api/v1/append'),
      json('--auth-type=bearer', 'fetch', '/api/v1/whoami'),
    ])
    assert.match(pushed.stdout, /succeeded/)
    assert.equal(pulled.plans['plan:free@1'].title, 'Free')
    assert.deepEqual(account, await tier.ping())
    assert.equal(page.name, 'default')
    assert.deepEqual(posted, {})
    assert.deepEqual(bearer, account)
    assert.equal(await tier.lookupCurrentPlan('org:cli'), 'plan:free@1')
  })

  test('what fails', async () => {
    for (const args of [
      ['fetch', '/api/v1/schedule?org=org:nobody'],
      ['pricing-page', 'pull', 'named'],
      ['push', path.join(folder, 'gone.json')],
    ]) {
      await assert.rejects(run(...args), { code: 1 })
    }
  })
})

test('logging in by a browser is not offered unless the server is told to', async () => {
  await refused(tier.initLogin(), 404, 'not_found')
})

test('the command logs in by a browser, and out', async () => {
  const keyed = await startServer(sandbox, 'sk_test_legacy', { TIER_API_KEY: 'open-sesame' }, ['--login'])
  const home = realpathSync(mkdtempSync(path.join(tmpdir(), 'tier-legacy-login-')))
  try {
    const project = path.join(home, 'project')
    mkdirSync(project)
    writeFileSync(path.join(project, 'package.json'), '{}')
    // Stands for the browser: it takes a note of the page.
    const note = path.join(home, 'opened')
    writeFileSync(path.join(home, 'xdg-open'), `#!/bin/sh\necho "$1" >'${note}.new' && mv '${note}.new' '${note}'\n`, { mode: 0o755 })
    const env = cleanEnv({
      HOME: home,
      PATH: `${home}:${process.env.PATH}`,
      TIER_API_URL: keyed.url,
      TIER_WEB_URL: keyed.url,
    })
    const run = (...args) => promisify(execFile)(process.execPath, [command, ...args], { env, cwd: project })
    await assert.rejects(run('whoami'), { code: 1 })
    let ended = false
    const login = run('login').finally(() => (ended = true))
    while (!existsSync(note)) {
      if (ended) await login
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    const page = new URL(readFileSync(note, 'utf8').trim())
    assert.equal(page.origin + page.pathname, `${keyed.url}/auth/cli/verify`)
    const user_code = page.searchParams.get('code')
    assert.match(await (await fetch(page)).text(), new RegExp(`value="${user_code}"`))
    const send = key =>
      fetch(page.origin + page.pathname, {
        method: 'POST',
        headers: { origin: page.origin },
        body: new URLSearchParams({ user_code, key }),
      })
    assert.equal((await send('wrong')).status, 400)
    assert.equal((await send('open-sesame')).status, 200)
    const { stdout, stderr } = await login
    assert.match(stdout, /^Logged into tier!/)
    assert.ok(stderr.includes(user_code))

    const tokens = path.join(home, '.config/tier/tokens')
    const sha512 = text => createHash('sha512').update(text).digest('hex')
    const name = sha512(sha512(project) + sha512(keyed.url))
    assert.deepEqual(readdirSync(tokens), [name])
    assert.equal(statSync(tokens).mode & 0o777, 0o700)
    const file = path.join(tokens, name)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const [token, , url] = JSON.parse(readFileSync(file, 'utf8'))
    assert.deepEqual([token, url], [{ access_token: 'open-sesame', token_type: 'basic' }, keyed.url])

    assert.deepEqual(JSON.parse((await run('whoami')).stdout), await tier.ping())
    await run('logout')
    assert.deepEqual(readdirSync(tokens), [])
    await assert.rejects(run('whoami'), { code: 1 })
    assert.ok(!keyed.log().includes('open-sesame'))
  } finally {
    rmSync(home, { recursive: true })
    assert.equal(await keyed.stop(), 0)
  }
})

after(() => {
  // They send nothing, or go on with what is not offered.
  const others = ['constructor', 'tierJSUrl', 'tierUrl', 'debug', 'logout', 'awaitLogin', 'authorize', 'pushPricingPage']
  const requests = ['fetchOK', 'getOK', 'postFormOK', 'postOK', 'refund']
  const methods = Object.getOwnPropertyNames(TierClient.prototype)
  const named = methods.filter(name => ![...others, ...requests].includes(name))
  assert.deepEqual(named.filter(name => !called.has(name)), [], 'methods without a test')
})
