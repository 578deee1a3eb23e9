// Every method of the `Tier` class: what it sends, what it returns, what it throws.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Tier, TierError, isTierError } from 'tier/client'
import { NO_LIMIT, PRO, WITH_LEDGER, featureCount, model, newOrg, startBoth } from '../support.js'

const { server, stripe } = await startBoth('sk_test_class')

// A client that remembers which methods were called, so that none can be forgotten.
const called = new Set()
const tier = new Proxy(new Tier({ baseURL: server.url }), {
  get(target, name) {
    const value = Reflect.get(target, name)
    if (typeof value !== 'function') return value
    called.add(name)
    return value.bind(target)
  },
})

const DAY = 86_400_000
const seconds = date => Math.trunc(date.getTime() / 1000)

// Fails with a TierError of this shape.
const refused = (promise, status, code, message) =>
  assert.rejects(promise, error => {
    assert.ok(error instanceof TierError && isTierError(error), String(error))
    assert.deepEqual(
      { status: error.status, code: error.code, message: error.message },
      { status, code, message }
    )
    assert.deepEqual(error.responseData, { status, code, message })
    return true
  })

const subscribed = async (features, options) => {
  const org = newOrg()
  assert.deepEqual(await tier.subscribe(org, features, options), {})
  return org
}

// An org without a subscription.
const newCustomer = async () => {
  const org = newOrg()
  await tier.updateOrg(org, { metadata: {} })
  const { stripe_id: customer } = await tier.whois(org)
  return { org, customer }
}

before(async () => {
  const { results } = await tier.push(model)
  assert.equal(results.length, featureCount)
  for (const { feature, status, reason, id, link } of results) {
    assert.deepEqual({ status, reason }, { status: 'ok', reason: 'created' }, feature)
    assert.match(id, /^price_/)
    assert.ok(link.endsWith(`/prices/${id}`))
  }
})

describe('push', () => {
  test('a model twice: everything exists', async () => {
    const { results } = await tier.push(model)
    assert.equal(results.length, featureCount)
    for (const { status, reason } of results) {
      assert.deepEqual({ status, reason }, { status: 'ok', reason: 'feature already exists' })
    }
  })

  test('a plan that differs fails, and others go on', async () => {
    const { results } = await tier.push({
      plans: {
        'plan:free@1': { features: { 'feature:convert': { tiers: [{ upto: 11 }] } } },
        'plan:other@1': { features: { 'feature:convert': {} } },
      },
    })
    assert.deepEqual(
      results.map(({ feature, status, reason }) => [feature, status, reason]),
      [
        ['feature:convert@plan:free@1', 'failed', 'plan already exists'],
        ['feature:convert@plan:other@1', 'ok', 'created'],
      ]
    )
  })

  test('an empty model', async () => {
    assert.deepEqual(await tier.push({ plans: {} }), {})
  })

  test('a faulty model', async () => {
    await assert.rejects(
      tier.push({ plans: { 'plan:bad@1': { features: { 'feature:x': { tiers: [{ upto: 0 }] } } } } }),
      error => {
        assert.equal(error.status, 400)
        assert.equal(error.code, 'invalid_request')
        assert.match(
          error.message,
          /plans\["plan:bad@1"\]\.features\["feature:x"\]\.tiers\[0\]: upto must be greater than zero/
        )
        assert.equal(error.path, '/v1/push')
        assert.ok('plan:bad@1' in error.requestData.plans)
        return true
      }
    )
  })
})

describe('pull', () => {
  test('what was pushed', async () => {
    const { plans } = await tier.pull()
    for (const [name, plan] of Object.entries(model.plans)) {
      assert.deepEqual(plans[name], plan, name)
    }
  })

  test('pullLatest: the highest version of each plan', async () => {
    const { plans } = await tier.pullLatest()
    assert.deepEqual(Object.keys(plans).sort(), [
      'plan:free@1',
      'plan:gauges@1',
      'plan:other@1',
      'plan:pro@2',
      'plan:year@1',
    ])
  })

  test('an archived plan is in neither', async () => {
    const archive = async (plan, archived) => {
      const body = JSON.stringify({ plan, archived })
      const response = await fetch(new URL('/v1/archive', server.url), { method: 'POST', body })
      assert.equal(response.status, 200, await response.text())
    }
    const pros = ({ plans }) => Object.keys(plans).filter(name => name.startsWith('plan:pro@'))
    for (const [off, left] of [['plan:pro@1', 'plan:pro@2'], ['plan:pro@2', 'plan:pro@1']]) {
      await archive(off, true)
      assert.deepEqual(pros(await tier.pull()), [left])
      assert.deepEqual(pros(await tier.pullLatest()), [left])
      await archive(off, false)
    }
    assert.deepEqual(pros(await tier.pull()), ['plan:pro@1', 'plan:pro@2'])
    assert.deepEqual(pros(await tier.pullLatest()), ['plan:pro@2'])
  })
})

describe('subscribe', () => {
  test('to a plan', async () => {
    const org = await subscribed('plan:pro@1')
    const phase = await tier.lookupPhase(org)
    assert.deepEqual(phase.features, PRO)
    assert.deepEqual(phase.plans, ['plan:pro@1'])
    assert.equal(phase.fragments, undefined)
    assert.equal(phase.trial, false)
    assert.equal(phase.end, undefined)
    assert.ok(phase.effective instanceof Date && !Number.isNaN(phase.effective.getTime()))
    assert.equal(phase.current.effective.getTime(), phase.effective.getTime())
    assert.ok(phase.current.end > phase.current.effective)
  })

  test('to a feature of a plan', async () => {
    const org = await subscribed('feature:convert@plan:pro@1')
    const phase = await tier.lookupPhase(org)
    assert.deepEqual(phase.features, ['feature:convert@plan:pro@1'])
    assert.equal(phase.plans, undefined)
    assert.deepEqual(phase.fragments, ['feature:convert@plan:pro@1'])
  })

  test('to an array of both, with a feature named twice', async () => {
    const org = await subscribed([
      'plan:free@1',
      'feature:support@plan:pro@1',
      'feature:convert@plan:free@1',
    ])
    const phase = await tier.lookupPhase(org)
    assert.deepEqual(phase.features, ['feature:convert@plan:free@1', 'feature:support@plan:pro@1'])
    assert.deepEqual(phase.plans, ['plan:free@1'])
    assert.deepEqual(phase.fragments, ['feature:support@plan:pro@1'])
  })

  test('in the future: the present plan holds until then', async () => {
    const org = await subscribed('plan:free@1')
    const effective = new Date(Date.now() + 10 * DAY)
    assert.deepEqual(await tier.subscribe(org, 'plan:pro@1', { effective }), {})
    const phase = await tier.lookupPhase(org)
    assert.deepEqual(phase.plans, ['plan:free@1'])
    assert.equal(seconds(phase.end), seconds(effective))
  })

  test('in the future, as the first plan of all', async () => {
    const org = await subscribed('plan:pro@1', { effective: new Date(Date.now() + 10 * DAY) })
    await refused(tier.lookupPhase(org), 404, 'not_found', 'Not Found')
    assert.deepEqual(await tier.lookupLimits(org), { org, usage: [] })
  })

  test('with a trial', async () => {
    const org = await subscribed('plan:pro@1', { trialDays: 14 })
    const phase = await tier.lookupPhase(org)
    assert.equal(phase.trial, true)
    assert.deepEqual(phase.plans, ['plan:pro@1'])
    const days = (phase.end - phase.effective) / DAY
    assert.ok(Math.abs(days - 14) < 0.001, `a trial of ${days} days`)
    assert.deepEqual(await tier.lookupLimit(org, 'feature:convert'), {
      feature: 'feature:convert',
      used: 0,
      limit: 1000,
    })
  })

  test('a trial needs days, and a plan; the client itself says so', async () => {
    await assert.rejects(tier.subscribe(newOrg(), 'plan:pro@1', { trialDays: 0 }), TypeError)
    await assert.rejects(tier.subscribe(newOrg(), [], { trialDays: 1 }), TypeError)
  })

  test('with details of the customer', async () => {
    const info = {
      email: 'jo@example.com',
      name: 'Jo',
      description: 'a customer',
      phone: '+1 555 0100',
      metadata: { region: 'eu' },
    }
    const org = await subscribed('plan:free@1', { info })
    const customer = await tier.lookupOrg(org)
    const { email, name, description, phone, metadata } = customer
    assert.deepEqual({ email, name, description, phone, metadata }, info)
  })

  test('with a payment method', async () => {
    const { org, customer } = await newCustomer()
    const card = await stripe.paymentMethods.attach('pm_card_us', { customer })
    await tier.subscribe(org, 'plan:pro@1', { paymentMethodID: card.id })
    const { data } = await stripe.subscriptions.list({ customer })
    assert.equal(data.length, 1)
    assert.equal(data[0].default_payment_method, card.id)
  })

  test('to nothing: nothing is done', async () => {
    const unknown = await subscribed([])
    await refused(tier.whois(unknown), 400, 'org_not_found', 'org not found')
    const org = await subscribed('plan:free@1')
    assert.deepEqual(await tier.subscribe(org, []), {})
    assert.deepEqual((await tier.lookupPhase(org)).plans, ['plan:free@1'])
  })

  test('what goes wrong', async () => {
    const org = newOrg()
    await refused(tier.subscribe(org, 'plan:gone@1'), 400, 'TERR1020', 'feature or plan not found: "plan:gone@1"')
    await refused(
      tier.subscribe(org, 'feature:gone@plan:pro@1'),
      400,
      'TERR1020',
      'feature or plan not found: "feature:gone@plan:pro@1"'
    )
    await refused(
      tier.subscribe(org, 'plan:pro'),
      400,
      'invalid_request',
      'plan must have version: "plan:pro"'
    )
    await refused(
      tier.subscribe('acme', 'plan:pro@1'),
      400,
      'invalid_request',
      'org must be prefixed with "org:"'
    )
    await refused(
      tier.subscribe(org, 'plan:free@1', {
        info: { email: 'not an address', name: '', description: '', phone: '', metadata: {} },
      }),
      400,
      'invalid_email',
      'invalid email'
    )
    await refused(
      tier.subscribe(org, 'plan:free@1', {
        info: { email: '', name: '', description: '', phone: '', metadata: { 'tier.org': 'org:x' } },
      }),
      400,
      'invalid_metadata',
      "metadata keys must not use reserved prefix ('tier.')"
    )
    await refused(
      tier.subscribe(org, 'plan:free@1', { paymentMethodID: 'pm_gone' }),
      400,
      'invalid_payment_method',
      "No such PaymentMethod: 'pm_gone'"
    )
  })
})

describe('schedule', () => {
  test('phases to come', async () => {
    const org = newOrg()
    const [second, third] = [30, 60].map(days => new Date(Date.now() + days * DAY))
    const phases = [
      { features: ['plan:pro@1'], trial: true },
      { features: ['plan:pro@1'], effective: second },
      { features: ['plan:free@1'], effective: third },
    ]
    assert.deepEqual(await tier.schedule(org, phases), {})
    const phase = await tier.lookupPhase(org)
    assert.equal(phase.trial, true)
    assert.equal(seconds(phase.end), seconds(second))
    const response = await fetch(`${server.url}/v1/phases?org=${org}`)
    const all = await response.json()
    assert.deepEqual(
      all.phases.map(({ plans, trial }) => ({ plans, trial })),
      [
        { plans: ['plan:pro@1'], trial: true },
        { plans: ['plan:pro@1'], trial: undefined },
        { plans: ['plan:free@1'], trial: undefined },
      ]
    )
  })

  test('an end: a last phase without features', async () => {
    const org = await subscribed('plan:pro@1')
    const effective = new Date(Date.now() + 5 * DAY)
    await tier.schedule(org, [{ features: ['plan:pro@1'] }, { features: [], effective }])
    assert.equal(seconds((await tier.lookupPhase(org)).end), seconds(effective))
    assert.equal((await tier.can(org, 'feature:convert')).ok, true)
  })

  test('only details of the customer, when there are no phases', async () => {
    const org = await subscribed('plan:free@1')
    const info = { email: 'new@example.com', name: '', description: '', phone: '', metadata: {} }
    assert.deepEqual(await tier.schedule(org, undefined, { info }), {})
    assert.equal((await tier.lookupOrg(org)).email, 'new@example.com')
    assert.deepEqual((await tier.lookupPhase(org)).plans, ['plan:free@1'])
  })

  test('a payment method', async () => {
    await refused(
      tier.schedule(newOrg(), [{ features: ['plan:free@1'] }], { paymentMethodID: 'pm_gone' }),
      400,
      'invalid_payment_method',
      "No such PaymentMethod: 'pm_gone'"
    )
  })

  test('phases out of order', async () => {
    const [early, late] = [1, 2].map(days => new Date(Date.now() + days * DAY))
    await assert.rejects(
      tier.schedule(newOrg(), [
        { features: ['plan:pro@1'], effective: late },
        { features: ['plan:free@1'], effective: early },
      ]),
      { status: 400, code: 'invalid_request' }
    )
  })
})

describe('cancel', () => {
  test('ends the subscription at once, and can() answers', async () => {
    const org = await subscribed('plan:pro@1')
    assert.equal((await tier.can(org, 'feature:convert')).ok, true)
    assert.deepEqual(await tier.cancel(org), {})
    assert.deepEqual(await tier.lookupLimits(org), { org, usage: [] })
    const answer = await tier.can(org, 'feature:convert')
    assert.equal(answer.ok, false)
    assert.equal(answer.err, undefined)
    await refused(tier.lookupPhase(org), 404, 'not_found', 'Not Found')
    await refused(
      tier.report(org, 'feature:convert'),
      400,
      'feature_not_found',
      'feature not found'
    )
    const { stripe_id: customer } = await tier.whois(org)
    assert.deepEqual((await stripe.subscriptions.list({ customer })).data, [])
  })

  test('of what was never subscribed', async () => {
    assert.deepEqual(await tier.cancel(newOrg()), {})
  })

  test('and subscribed again', async () => {
    const org = await subscribed('plan:pro@1')
    await tier.cancel(org)
    await tier.subscribe(org, 'plan:free@1')
    assert.deepEqual((await tier.lookupPhase(org)).plans, ['plan:free@1'])
  })
})

describe('checkout', () => {
  // The session that the page at `url` shows.
  const session = async url => {
    const found = /\/c\/pay\/(cs_test_[^#?/]+)/.exec(url)
    assert.ok(found, url)
    return stripe.checkout.sessions.retrieve(found[1])
  }

  test('only a card', async () => {
    const org = newOrg()
    const { url, ...rest } = await tier.checkout(org, 'https://app.example/done')
    assert.deepEqual(rest, {})
    const made = await session(url)
    assert.equal(made.mode, 'setup')
    assert.equal(made.success_url, 'https://app.example/done')
    assert.equal(made.customer, (await tier.whois(org)).stripe_id)
    assert.equal(made.automatic_tax.enabled, false)
  })

  test('a plan, with all options', async () => {
    const org = newOrg()
    const { url } = await tier.checkout(org, 'https://app.example/done', {
      cancelUrl: 'https://app.example/back',
      features: 'plan:pro@1',
      trialDays: 7,
      requireBillingAddress: true,
      tax: { automatic: true, collectId: true },
    })
    const made = await session(url)
    assert.equal(made.mode, 'subscription')
    assert.equal(made.status, 'open')
    assert.equal(made.cancel_url, 'https://app.example/back')
    assert.equal(made.billing_address_collection, 'required')
    assert.equal(made.automatic_tax.enabled, true)
    assert.equal(made.tax_id_collection.enabled, true)
    await refused(tier.lookupPhase(org), 404, 'not_found', 'Not Found')
  })

  test('an array', async () => {
    const { url } = await tier.checkout(newOrg(), 'https://app.example/done', {
      features: ['plan:free@1', 'feature:support@plan:pro@1'],
    })
    const made = await session(url)
    const { data } = await stripe.checkout.sessions.listLineItems(made.id)
    assert.deepEqual(
      data.map(item => item.price.metadata['tier.feature']).sort(),
      ['feature:convert@plan:free@1', 'feature:support@plan:pro@1']
    )
  })

  test('what goes wrong', async () => {
    await refused(
      tier.checkout(newOrg(), 'https://app.example/done', { features: 'plan:gone@1' }),
      400,
      'TERR1020',
      'feature or plan not found: "plan:gone@1"'
    )
    await assert.rejects(tier.checkout(newOrg(), ''), { status: 400, code: 'invalid_request' })
  })
})

describe('orgs', () => {
  test('updateOrg, lookupOrg, whois', async () => {
    const org = newOrg()
    await refused(tier.whois(org), 400, 'org_not_found', 'org not found')
    await refused(tier.lookupOrg(org), 400, 'org_not_found', 'org not found')
    const info = {
      email: 'a@example.com',
      name: 'A',
      description: 'first',
      phone: '1',
      metadata: { keep: 'yes', drop: 'soon' },
    }
    assert.deepEqual(await tier.updateOrg(org, info), {})
    const { stripe_id, ...rest } = await tier.whois(org)
    assert.match(stripe_id, /^cus_/)
    assert.deepEqual(rest, { org })

    const { created, ...found } = await tier.lookupOrg(org)
    assert.match(created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    assert.deepEqual(found, {
      ...info,
      payment_method: '',
      invoiceSettings: { defaultPaymentMethod: '' },
      org,
      stripe_id,
    })

    // A field that is not set stays; a metadata key set to nothing goes.
    await tier.updateOrg(org, { name: 'B', metadata: { drop: '', more: '1' } })
    const after = await tier.lookupOrg(org)
    assert.equal(after.name, 'B')
    assert.equal(after.email, 'a@example.com')
    assert.deepEqual(after.metadata, { keep: 'yes', more: '1' })
  })

  test('a default payment method', async () => {
    const { org, customer } = await newCustomer()
    const card = await stripe.paymentMethods.attach('pm_card_us', { customer })
    const invoiceSettings = { defaultPaymentMethod: card.id }
    await tier.updateOrg(org, { metadata: {}, invoiceSettings })
    assert.deepEqual((await tier.lookupOrg(org)).invoiceSettings, invoiceSettings)
    await refused(
      tier.updateOrg(org, { metadata: {}, invoiceSettings: { defaultPaymentMethod: 'pm_gone' } }),
      400,
      'invalid_payment_method',
      "No such PaymentMethod: 'pm_gone'"
    )
  })

  test('lookupPaymentMethods', async () => {
    await refused(tier.lookupPaymentMethods(newOrg()), 400, 'org_not_found', 'org not found')
    const { org, customer } = await newCustomer()
    assert.deepEqual(await tier.lookupPaymentMethods(org), { org, methods: [] })
    const card = await stripe.paymentMethods.attach('pm_card_us', { customer })
    const { methods } = await tier.lookupPaymentMethods(org)
    assert.deepEqual(
      methods.map(({ id, type }) => ({ id, type })),
      [{ id: card.id, type: 'card' }]
    )
  })

  test('whoami', async () => {
    const { id, created, email, ...rest } = await tier.whoami()
    assert.match(id, /^acct_/)
    assert.equal(typeof email, 'string')
    assert.match(created, /Z$/)
    assert.deepEqual(rest, {
      key_source: 'STRIPE_API_KEY',
      isolated: false,
      url: `https://dashboard.stripe.com/${id}`,
    })
  })
})

describe('limits', () => {
  test('lookupLimits', async () => {
    const org = await subscribed('plan:pro@1')
    assert.deepEqual(await tier.lookupLimits(org), {
      org,
      usage: [
        { feature: 'feature:convert', used: 0, limit: 1000 },
        { feature: 'feature:support', used: 1, limit: NO_LIMIT },
      ],
    })
    await refused(tier.lookupLimits(newOrg()), 400, 'org_not_found', 'org not found')
  })

  test('lookupLimit', async () => {
    const org = await subscribed('plan:free@1')
    assert.deepEqual(await tier.lookupLimit(org, 'feature:convert'), {
      feature: 'feature:convert',
      used: 0,
      limit: 10,
    })
    const none = { feature: 'feature:other', used: 0, limit: 0 }
    assert.deepEqual(await tier.lookupLimit(org, 'feature:other'), none)
    await refused(
      tier.lookupLimit(newOrg(), 'feature:convert'),
      400,
      'org_not_found',
      'org not found'
    )
  })

  test('a feature that two plans grant is one row', async () => {
    const org = await subscribed(['plan:free@1', 'plan:pro@1'])
    await tier.report(org, 'feature:convert', 4)
    assert.deepEqual(await tier.lookupLimit(org, 'feature:convert'), {
      feature: 'feature:convert',
      used: 4,
      limit: 1010,
    })
  })
})

describe('report', () => {
  const used = async (org, feature = 'feature:convert') =>
    (await tier.lookupLimit(org, feature)).used

  test('one, n, and more than the limit', async () => {
    const org = await subscribed('plan:free@1')
    assert.deepEqual(await tier.report(org, 'feature:convert'), {})
    assert.equal(await used(org), 1)
    await tier.report(org, 'feature:convert', 8)
    assert.equal(await used(org), 9)
    await tier.report(org, 'feature:convert', 3)
    assert.equal(await used(org), 12)
    await tier.report(org, 'feature:convert', 0)
    assert.equal(await used(org), 12)
  })

  test('usage over several tiers is the total', async () => {
    const org = await subscribed('plan:pro@1')
    await tier.report(org, 'feature:convert', 1031)
    assert.equal(await used(org), 1031)
  })

  test('at', async () => {
    const org = await subscribed('plan:free@1')
    const start = (await tier.lookupPhase(org)).effective
    await tier.report(org, 'feature:convert', 2, { at: start })
    await tier.report(org, 'feature:convert', 3, { at: new Date(Date.now() + 60_000) })
    assert.equal(await used(org), 5)
    const before = new Date(start.getTime() - 40 * DAY)
    await assert.rejects(tier.report(org, 'feature:convert', 2, { at: before }), {
      status: 400,
      code: 'invalid_request',
    })
    assert.equal(await used(org), 5)
  })

  test('clobber sets the total', async () => {
    const org = await subscribed('plan:free@1')
    await tier.report(org, 'feature:convert', 5)
    await tier.report(org, 'feature:convert', 8, { clobber: true })
    assert.equal(await used(org), 8)
    await tier.report(org, 'feature:convert', 8, { clobber: true })
    assert.equal(await used(org), 8)
    const lower = tier.report(org, 'feature:convert', 7, { clobber: true })
    if (WITH_LEDGER) {
      await lower
      assert.equal(await used(org), 7)
    } else {
      await assert.rejects(lower, { status: 400, message: /cannot be lowered/ })
    }
  })

  test('what aggregates by maximum, by the last value, and for ever', async () => {
    const org = await subscribed('plan:gauges@1')
    const start = (await tier.lookupPhase(org)).effective.getTime()
    const at = second => ({ at: new Date(start + second * 1000) })
    for (const [second, n] of [
      [0, 4],
      [1, 9],
      [2, 2],
    ]) {
      await tier.report(org, 'feature:peak', n, at(second))
      await tier.report(org, 'feature:seats', n, at(second))
      await tier.report(org, 'feature:disk', n, { ...at(second), clobber: true })
    }
    assert.equal(await used(org, 'feature:peak'), 9)
    assert.equal(await used(org, 'feature:seats'), 2)
    assert.equal(await used(org, 'feature:disk'), 2)
  })

  test('what goes wrong', async () => {
    const org = await subscribed('plan:pro@1')
    await refused(
      tier.report(org, 'feature:other'),
      400,
      'feature_not_found',
      'feature not found'
    )
    await refused(
      tier.report(org, 'feature:support'),
      400,
      'invalid_request',
      'feature not reportable'
    )
    await refused(
      tier.report(newOrg(), 'feature:convert'),
      400,
      'org_not_found',
      'org not found'
    )
    await refused(
      tier.report(org, 'feature:convert', -1),
      400,
      'invalid_request',
      WITH_LEDGER
        ? 'usage of feature:convert cannot be lowered below 0 in this period'
        : 'n must not be negative: only a server with --ledger takes usage back'
    )
    await assert.rejects(tier.report(org, 'feature:convert', 1.5), {
      status: 400,
      code: 'invalid_request',
    })
    await assert.rejects(tier.report(org, 'feature:convert@plan:pro@1'), {
      status: 400,
      code: 'invalid_request',
    })
    assert.equal(await used(org), 0)
  })
})

describe('can', () => {
  test('up to the limit, with report()', async () => {
    const org = await subscribed('plan:free@1')
    for (let n = 0; n < 9; n++) {
      const answer = await tier.can(org, 'feature:convert')
      assert.deepEqual(
        { ok: answer.ok, err: answer.err, org: answer.org, feature: answer.feature },
        { ok: true, err: undefined, org, feature: 'feature:convert' }
      )
      assert.deepEqual(await answer.report(), {})
    }
    const last = await tier.can(org, 'feature:convert')
    assert.equal(last.ok, true)
    await last.report(3)
    assert.equal((await tier.can(org, 'feature:convert')).ok, false)
    assert.equal((await tier.lookupLimit(org, 'feature:convert')).used, 12)
  })

  test('report() with options', async () => {
    const org = await subscribed('plan:free@1')
    const answer = await tier.can(org, 'feature:convert')
    await answer.report(7, { clobber: true })
    await answer.report(7, { clobber: true })
    assert.equal((await tier.lookupLimit(org, 'feature:convert')).used, 7)
  })

  test('what the plan does not have', async () => {
    const org = await subscribed('plan:free@1')
    const answer = await tier.can(org, 'feature:other')
    assert.deepEqual({ ok: answer.ok, err: answer.err }, { ok: false, err: undefined })
  })

  test('an unknown org: err is set, and ok is open', async () => {
    const answer = await tier.can(newOrg(), 'feature:convert')
    assert.equal(answer.ok, true)
    assert.ok(isTierError(answer.err))
    assert.equal(answer.err.code, 'org_not_found')
  })

  test('a server that is not there: err is set, and ok is open', async () => {
    const away = new Tier({ baseURL: 'http://127.0.0.1:9' })
    const answer = await away.can(newOrg(), 'feature:convert')
    assert.equal(answer.ok, true)
    assert.equal(answer.err.status, 0)
  })
})

describe('test clocks', () => {
  test('withClock and advance', async () => {
    const present = new Date('2030-01-15T00:00:00Z')
    const later = new Date('2030-01-25T00:00:00Z')
    const clocked = await tier.withClock('a test', present)
    assert.match(clocked.clockID, /^clock_/)

    const org = newOrg()
    // The SDK counts trial days from `effective`, or else from this machine's time.
    await clocked.subscribe(org, 'plan:pro@1', { trialDays: 10, effective: present })
    const trial = await clocked.lookupPhase(org)
    assert.equal(trial.trial, true)
    assert.equal(trial.effective.getTime(), present.getTime())
    await clocked.report(org, 'feature:convert', 5)

    assert.equal(await clocked.advance(later), undefined)
    const paid = await clocked.lookupPhase(org)
    assert.equal(paid.trial, false)
    assert.equal(paid.current.effective.getTime(), later.getTime())
    assert.equal((await clocked.lookupLimit(org, 'feature:convert')).used, 0)

    const { stripe_id } = await clocked.whois(org)
    const customer = await stripe.customers.retrieve(stripe_id)
    assert.equal(customer.test_clock, clocked.clockID)
    // Without the clock it is another org.
    await refused(tier.whois(org), 400, 'org_not_found', 'org not found')
  })

  test('what goes wrong', async () => {
    const clocked = await tier.withClock('backwards', new Date('2030-01-15T00:00:00Z'))
    await assert.rejects(clocked.advance(new Date('2030-01-14T00:00:00Z')), {
      status: 400,
      code: 'invalid_request',
    })
    await assert.rejects(tier.withClock('no time', null), { status: 400, code: 'invalid_request' })
    assert.equal(tier.advance, undefined, 'only a client with a clock can advance')
  })
})

describe('deprecated names', () => {
  test('limits, limit, phase', async () => {
    const org = await subscribed('plan:free@1')
    assert.deepEqual(await tier.limits(org), await tier.lookupLimits(org))
    assert.deepEqual(
      await tier.limit(org, 'feature:convert'),
      await tier.lookupLimit(org, 'feature:convert')
    )
    assert.deepEqual(await tier.phase(org), await tier.lookupPhase(org))
  })
})

describe('options of the client', () => {
  test('onError takes what would be thrown', async () => {
    const seen = []
    const client = new Tier({ baseURL: server.url, onError: error => void seen.push(error.code) })
    assert.equal(await client.whois(newOrg()), undefined)
    assert.equal(await client.report('acme', 'feature:convert'), undefined)
    assert.deepEqual(seen, ['org_not_found', 'invalid_request'])
  })

  test('userAgent and fetchImpl', async () => {
    const agents = []
    const fetchImpl = (url, options) => {
      agents.push(options.headers['user-agent'])
      return fetch(url, options)
    }
    await new Tier({ baseURL: server.url, fetchImpl }).whoami()
    await new Tier({ baseURL: server.url, fetchImpl, userAgent: 'app/1' }).whoami()
    await new Tier({ baseURL: server.url, fetchImpl, userAgent: false }).whoami()
    assert.match(agents[0], /^tier\/5\.10\.0 /)
    assert.deepEqual(agents.slice(1), ['app/1', undefined])
  })

  test('signal ends requests', async () => {
    const signal = AbortSignal.abort()
    await assert.rejects(new Tier({ baseURL: server.url, signal }).whoami(), { status: 0 })
  })

  test('a path that does not exist', async () => {
    await refused(tier.apiGet('/v1/nothing'), 404, 'not_found', 'Not Found')
    await refused(tier.apiPost('/v1/whoami', {}), 405, 'method_not_allowed', 'Method Not Allowed')
  })
})

after(() => {
  const internal = ['constructor', 'debugLog', 'debug', 'tryGet', 'tryPost']
  const methods = Object.getOwnPropertyNames(Tier.prototype).filter(name => !internal.includes(name))
  assert.deepEqual(methods.filter(name => !called.has(name)), [], 'methods without a test')
})
