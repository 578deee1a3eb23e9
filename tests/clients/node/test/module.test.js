// The functions of the module `tier`, which find the server by TIER_BASE_URL. They drop some of the class's options.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, describe, test } from 'node:test'
import * as named from 'tier'
import { NO_LIMIT, PRO, featureCount, model, newOrg, startBoth } from '../support.js'

const { server, stripe } = await startBoth('sk_test_module')
process.env.TIER_BASE_URL = server.url
delete process.env.TIER_API_KEY

// The default export, remembering what was called.
const called = new Set()
const tier = new Proxy(named.default, {
  get(target, name) {
    if (typeof target[name] === 'function') called.add(name)
    return target[name]
  },
})

const none = { email: '', name: '', description: '', phone: '', metadata: {} }

test('push, pull, pullLatest', async () => {
  const { results } = await tier.push(model)
  assert.equal(results.length, featureCount)
  assert.ok(results.every(({ status, reason }) => status === 'ok' && reason === 'created'))
  assert.deepEqual(await tier.pull(), model)
  assert.deepEqual(Object.keys((await tier.pullLatest()).plans).sort(), [
    'plan:free@1',
    'plan:gauges@1',
    'plan:pro@2',
    'plan:year@1',
  ])
})

test('subscribe, lookupPhase, lookupLimits, lookupLimit, cancel', async () => {
  const org = newOrg()
  assert.deepEqual(await tier.subscribe(org, 'plan:pro@1'), {})
  const phase = await tier.lookupPhase(org)
  assert.deepEqual([phase.plans, phase.features, phase.trial], [['plan:pro@1'], PRO, false])
  const usage = [
    { feature: 'feature:convert', used: 0, limit: 1000 },
    { feature: 'feature:support', used: 1, limit: NO_LIMIT },
  ]
  assert.deepEqual(await tier.lookupLimits(org), { org, usage })
  assert.deepEqual(await tier.lookupLimit(org, 'feature:support'), usage[1])
  assert.deepEqual(await tier.cancel(org), {})
  assert.deepEqual(await tier.lookupLimits(org), { org, usage: [] })
  const answer = await tier.can(org, 'feature:convert')
  assert.deepEqual([answer.ok, answer.err], [false, undefined])
})

test('subscribe keeps effective, trialDays and info, and drops paymentMethodID', async () => {
  const org = newOrg()
  const info = { ...none, email: 'jo@example.com' }
  await tier.subscribe(org, 'plan:pro@1', { trialDays: 3, info, paymentMethodID: 'pm_gone' })
  assert.equal((await tier.lookupPhase(org)).trial, true)
  assert.equal((await tier.lookupOrg(org)).email, 'jo@example.com')
  const effective = new Date(Date.now() + 86_400_000)
  const later = newOrg()
  await tier.subscribe(later, ['plan:pro@1'], { effective })
  await assert.rejects(tier.lookupPhase(later), { status: 404 })
})

test('schedule keeps info, and drops paymentMethodID', async () => {
  const org = newOrg()
  const info = { ...none, name: 'Jo' }
  const phases = [{ features: ['plan:free@1'] }]
  assert.deepEqual(await tier.schedule(org, phases, { info, paymentMethodID: 'pm_gone' }), {})
  assert.deepEqual((await tier.lookupPhase(org)).plans, ['plan:free@1'])
  assert.equal((await tier.lookupOrg(org)).name, 'Jo')
})

test('checkout drops requireBillingAddress', async () => {
  const { url } = await tier.checkout(newOrg(), 'https://app.example/done', {
    cancelUrl: 'https://app.example/back',
    features: ['plan:pro@1'],
    trialDays: 7,
    requireBillingAddress: true,
    tax: { automatic: true, collectId: true },
  })
  const [, id] = /\/c\/pay\/(cs_test_[^#?/]+)/.exec(url)
  const session = await stripe.checkout.sessions.retrieve(id)
  assert.deepEqual(
    {
      mode: session.mode,
      success: session.success_url,
      cancel: session.cancel_url,
      address: session.billing_address_collection,
      tax: session.automatic_tax.enabled,
      taxId: session.tax_id_collection.enabled,
    },
    {
      mode: 'subscription',
      success: 'https://app.example/done',
      cancel: 'https://app.example/back',
      address: null,
      tax: true,
      taxId: true,
    }
  )
})

test('report and can', async () => {
  const org = newOrg()
  await tier.subscribe(org, 'plan:free@1')
  assert.deepEqual(await tier.report(org, 'feature:convert'), {})
  await tier.report(org, 'feature:convert', 3, { at: new Date() })
  await tier.report(org, 'feature:convert', 7, { clobber: true })
  const answer = await tier.can(org, 'feature:convert')
  assert.ok(answer instanceof named.Answer && answer.ok)
  await answer.report(3)
  assert.deepEqual(await tier.lookupLimit(org, 'feature:convert'), {
    feature: 'feature:convert',
    used: 10,
    limit: 10,
  })
  assert.equal((await tier.can(org, 'feature:convert')).ok, false)
})

test('updateOrg, lookupOrg, whois, lookupPaymentMethods, whoami', async () => {
  const org = newOrg()
  const info = { ...none, name: 'Acme', metadata: { region: 'eu' } }
  assert.deepEqual(await tier.updateOrg(org, info), {})
  const found = await tier.lookupOrg(org)
  assert.deepEqual([found.name, found.metadata], ['Acme', { region: 'eu' }])
  assert.deepEqual(await tier.whois(org), { org, stripe_id: found.stripe_id })
  assert.deepEqual(await tier.lookupPaymentMethods(org), { org, methods: [] })
  assert.match((await tier.whoami()).id, /^acct_/)
})

test('withClock', async () => {
  const clocked = await tier.withClock('module', new Date('2030-01-01T00:00:00Z'))
  const org = newOrg()
  await clocked.subscribe(org, 'plan:free@1')
  await clocked.report(org, 'feature:convert', 9)
  await clocked.advance(new Date('2030-02-01T00:00:00Z'))
  assert.equal((await clocked.lookupLimit(org, 'feature:convert')).used, 0)
})

test('fromEnv', async () => {
  const client = await tier.fromEnv()
  assert.ok(client instanceof named.Tier)
  assert.equal(client.baseURL, server.url)
  assert.match((await client.whoami()).id, /^acct_/)
  const other = await tier.fromEnv({ baseURL: 'http://127.0.0.1:9' })
  await assert.rejects(other.whoami(), { status: 0 })
})

test('limits, limit, phase: the deprecated names', async () => {
  const org = newOrg()
  await tier.subscribe(org, 'plan:free@1')
  assert.deepEqual(await tier.limits(org), await tier.lookupLimits(org))
  const feature = 'feature:convert'
  assert.deepEqual(await tier.limit(org, feature), await tier.lookupLimit(org, feature))
  assert.deepEqual(await tier.phase(org), await tier.lookupPhase(org))
})

test('what is thrown is a TierError', async () => {
  await assert.rejects(tier.lookupLimits(newOrg()), error => {
    assert.ok(tier.isTierError(error) && error instanceof named.TierError)
    assert.ok(tier.isErrorResponse(error.responseData))
    assert.equal(error.path, '/v1/limits')
    return true
  })
})

describe("the client's own checks agree with the server", () => {
  test('of references', async () => {
    const org = newOrg()
    for (const [name, valid] of [
      ['plan:pro@1', true],
      ['feature:convert@plan:pro@1', true],
      ['plan:pro', false],
      ['pro@1', false],
      ['plan:p_o@1', false],
      ['plan:@1', false],
      ['feature:convert', false],
    ]) {
      assert.equal(tier.isFeatures(name), valid, name)
      assert.equal(tier.isPlanName(name) || tier.isFeatureNameVersioned(name), valid, name)
      const phases = [{ features: [name] }]
      assert.equal(tier.isPhase(phases[0]), valid, name)
      const code = await tier.schedule(org, phases).then(() => 'ok', error => error.code)
      assert.equal(code, valid ? 'ok' : 'invalid_request', name)
    }
    for (const [name, valid] of [
      ['org:acme', true],
      ['org:', false],
      ['acme', false],
    ]) {
      assert.equal(tier.isOrgName(name), valid, name)
      const code = await tier.whois(name).then(() => 'ok', error => error.code)
      assert.equal(code, valid ? 'org_not_found' : 'invalid_request', name)
    }
    assert.ok(tier.isFeatureName('feature:convert') && !tier.isFeatureName('convert'))
  })

  test('of models', async () => {
    tier.validateModel(await tier.pull())
    for (const plan of Object.values(model.plans)) {
      tier.validatePlan(plan)
    }
    tier.validateFeatureDefinition(model.plans['plan:free@1'].features['feature:convert'])
    tier.validateFeatureTier({ upto: 10, price: 0.5, base: 1 })
    const faulty = [
      { plans: { 'plan:x': {} } },
      { plans: { 'plan:x@1': { interval: '@hourly', features: { 'feature:y': {} } } } },
      { plans: { 'plan:x@1': { features: { 'feature:y': { mode: 'stairs' } } } } },
      { plans: { 'plan:x@1': { features: { 'feature:y': { aggregate: 'mean' } } } } },
      { plans: { 'plan:x@1': { features: { 'feature:y': { base: 1, tiers: [{}] } } } } },
      { plans: { 'plan:x@1': { features: { 'feature:y': { tiers: [{ upto: 0 }] } } } } },
      { plans: { 'plan:x@1': { features: { 'feature:y': { tiers: [{ price: -1 }] } } } } },
      { plans: { 'plan:x@1': { features: { 'feature:y': { tiers: [{ steps: 1 }] } } } } },
      { plans: { 'plan:x@1': { colour: 'red', features: { 'feature:y': {} } } } },
      { plans: {}, more: 1 },
    ]
    for (const each of faulty) {
      const text = JSON.stringify(each)
      assert.throws(() => tier.validateModel(each), undefined, text)
      await assert.rejects(tier.push(each), { status: 400, code: 'invalid_request' }, text)
    }
  })
})

test('CommonJS', async () => {
  const require = createRequire(import.meta.url)
  const { default: module } = require('tier')
  const { Tier } = require('tier/client')
  assert.deepEqual(await module.pull(), model)
  assert.deepEqual(await new Tier({ baseURL: server.url }).pull(), model)
})

after(() => {
  const functions = Object.keys(named.default).filter(name => name !== 'Tier')
  assert.deepEqual(functions.filter(name => !called.has(name)), [], 'functions without a test')
})
