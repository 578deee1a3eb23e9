// The official Stripe library beside us: it reads what we wrote, and we see what an app does with Stripe directly.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { Tier } from 'tier'
import { WITH_LEDGER, model, newOrg, startTogether } from '../support.js'

const { server, stripe } = await startTogether()
const tier = new Tier({ baseURL: server.url })

before(() => tier.push(model))

const subscribed = async plan => {
  const org = newOrg()
  await tier.subscribe(org, plan)
  const { stripe_id: customer } = await tier.whois(org)
  return { org, customer }
}

describe('what we write is read back', () => {
  test('prices and products', async () => {
    const { data } = await stripe.prices.list({
      lookup_keys: ['tier__feature-convert-plan-pro-1', 'tier__feature-support-plan-pro-1'],
      expand: ['data.product', 'data.tiers'],
    })
    const [convert, support] = data.sort((a, b) => a.lookup_key.localeCompare(b.lookup_key))
    assert.equal(convert.product.id, convert.lookup_key)
    assert.equal(convert.metadata['tier.feature'], 'feature:convert@plan:pro@1')
    assert.equal(convert.metadata['tier.limit'], '1000')
    assert.equal(convert.metadata['tier.plan_title'], 'Pro')
    assert.deepEqual(
      [convert.recurring.usage_type, convert.billing_scheme, convert.tiers_mode],
      ['metered', 'tiered', 'graduated']
    )
    assert.deepEqual(
      convert.tiers.map(tier => [tier.up_to, tier.unit_amount_decimal, tier.flat_amount]),
      [
        [100, '0', 0],
        [null, '2.5', 900],
      ]
    )
    assert.deepEqual(
      [support.recurring.usage_type, support.unit_amount, support.currency],
      ['licensed', 500, 'usd']
    )
    assert.equal((await stripe.products.retrieve('tier__plan-pro-1')).active, false)
  })

  test('a customer', async () => {
    const org = newOrg()
    const info = {
      email: 'jo@example.com',
      name: 'Jo',
      description: 'ours',
      phone: '1',
      metadata: { region: 'eu' },
    }
    await tier.updateOrg(org, info)
    const customer = await stripe.customers.retrieve((await tier.whois(org)).stripe_id)
    const { email, name, description, phone, metadata } = customer
    assert.deepEqual(
      { email, name, description, phone, metadata },
      { ...info, metadata: { ...info.metadata, 'tier.org': org } }
    )
  })

  test('a subscription and its schedule', async () => {
    const { org, customer } = await subscribed('plan:free@1')
    const effective = new Date(Math.ceil(Date.now() / 1000) * 1000 + 86_400_000)
    await tier.subscribe(org, 'plan:pro@1', { effective })
    const { data } = await stripe.subscriptions.list({ customer, expand: ['data.schedule'] })
    assert.equal(data.length, 1)
    const [{ status, metadata, schedule, items }] = data
    assert.equal(status, 'active')
    assert.equal(metadata['tier.subscription'], 'default')
    assert.deepEqual(
      items.data.map(({ price }) => price.metadata['tier.feature']),
      ['feature:convert@plan:free@1']
    )
    assert.equal(schedule.status, 'active')
    assert.equal(schedule.phases.length, 2)
    assert.equal(schedule.phases[1].start_date, effective.getTime() / 1000)
    assert.equal(schedule.phases[1].items.length, 2)
  })

  test('usage, on the upcoming invoice', async () => {
    const { org, customer } = await subscribed('plan:pro@1')
    await tier.report(org, 'feature:convert', 110)
    const metered = async () => {
      const invoice = await stripe.invoices.retrieveUpcoming({ customer })
      return invoice.lines.data.filter(line => line.price.recurring.usage_type === 'metered')
    }
    const total = (lines, field) => lines.reduce((sum, line) => sum + line[field], 0)
    let lines = await metered()
    // A ledger tells Stripe a little later.
    while (WITH_LEDGER && total(lines, 'amount') === 0) {
      await setTimeout(100)
      lines = await metered()
    }
    // The first hundred are free; ten at 2.5 cents, and the second tier's base.
    assert.equal(total(lines, 'amount'), 10 * 2.5 + 900)
    assert.equal(total(lines, 'quantity'), 110)
  })
})

describe('what an app does with Stripe is seen', () => {
  test('attaching a card and making it the default', async () => {
    const { org, customer } = await subscribed('plan:free@1')
    const card = await stripe.paymentMethods.attach('pm_card_us', { customer })
    const invoice_settings = { default_payment_method: card.id }
    await stripe.customers.update(customer, { invoice_settings })
    const { methods } = await tier.lookupPaymentMethods(org)
    assert.deepEqual(methods.map(({ id }) => id), [card.id])
    assert.equal((await tier.lookupOrg(org)).invoiceSettings.defaultPaymentMethod, card.id)
    await stripe.paymentMethods.detach(card.id)
    assert.deepEqual((await tier.lookupPaymentMethods(org)).methods, [])
  })

  test('cancelling at once', async () => {
    const { org, customer } = await subscribed('plan:pro@1')
    const { data } = await stripe.subscriptions.list({ customer })
    await stripe.subscriptions.cancel(data[0].id)
    assert.deepEqual(await tier.lookupLimits(org), { org, usage: [] })
    await assert.rejects(tier.lookupPhase(org), { status: 404 })
    const answer = await tier.can(org, 'feature:convert')
    assert.deepEqual([answer.ok, answer.err], [false, undefined])
    await tier.subscribe(org, 'plan:free@1')
    assert.deepEqual((await tier.lookupPhase(org)).plans, ['plan:free@1'])
  })

  test('cancelling at the end of the period', async () => {
    const { org, customer } = await subscribed('plan:pro@1')
    const [subscription] = (await stripe.subscriptions.list({ customer })).data
    await stripe.subscriptionSchedules.release(subscription.schedule)
    const ending = await stripe.subscriptions.update(subscription.id, { cancel_at_period_end: true })
    const phase = await tier.lookupPhase(org)
    assert.equal(phase.end.getTime() / 1000, ending.cancel_at)
    assert.equal((await tier.lookupLimit(org, 'feature:convert')).limit, 1000)
  })

  test("changing a price's metadata", async () => {
    const { org } = await subscribed('plan:free@1')
    const { data } = await stripe.prices.list({ lookup_keys: ['tier__feature-convert-plan-free-1'] })
    assert.equal((await tier.lookupLimit(org, 'feature:convert')).limit, 10)
    await stripe.prices.update(data[0].id, { metadata: { 'tier.limit': '25' } })
    assert.equal((await tier.lookupLimit(org, 'feature:convert')).limit, 25)
    assert.equal((await tier.pull()).plans['plan:free@1'].features['feature:convert'].tiers[0].upto, 25)
    await stripe.prices.update(data[0].id, { metadata: { 'tier.limit': '10' } })
  })

  test('changing a customer', async () => {
    const { org, customer } = await subscribed('plan:free@1')
    await stripe.customers.update(customer, { email: 'new@example.com', metadata: { vip: 'yes' } })
    const { email, metadata } = await tier.lookupOrg(org)
    assert.deepEqual([email, metadata], ['new@example.com', { vip: 'yes' }])
  })

  test('deleting a customer: the org is gone until the next write', async () => {
    const { org, customer } = await subscribed('plan:free@1')
    await stripe.customers.del(customer)
    await assert.rejects(tier.lookupLimits(org), { status: 400, code: 'org_not_found' })
    // The next write makes a new one.
    await tier.subscribe(org, 'plan:pro@1')
    assert.notEqual((await tier.whois(org)).stripe_id, customer)
  })
})

test('the payment guide: whois, SetupIntent, confirm, lookupPaymentMethods', async () => {
  const { org, customer } = await subscribed('plan:free@1')
  const intent = await stripe.setupIntents.create({ customer, payment_method_types: ['card'] })
  assert.equal(intent.status, 'requires_payment_method')
  assert.match(intent.client_secret, new RegExp(`^${intent.id}_secret_`))
  const confirmed = await stripe.setupIntents.confirm(intent.id, { payment_method: 'pm_card_visa' })
  assert.equal(confirmed.status, 'succeeded')
  const { methods } = await tier.lookupPaymentMethods(org)
  assert.deepEqual(methods.map(({ id }) => id), [confirmed.payment_method])
  await tier.subscribe(org, 'plan:pro@1', { paymentMethodID: methods[0].id })
  const { data } = await stripe.subscriptions.list({ customer })
  assert.equal(data[0].default_payment_method, methods[0].id)
})

test('metadata that Tier does not know stays as it is', async () => {
  const { org, customer } = await subscribed('plan:free@1')
  const [subscription] = (await stripe.subscriptions.list({ customer })).data
  await stripe.subscriptions.update(subscription.id, { metadata: { seen: 'by us' } })
  await tier.subscribe(org, 'plan:pro@1')
  const [changed] = (await stripe.subscriptions.list({ customer })).data
  // Tier's own is its mark, the number of its last write, and that its prices have meters.
  const { 'tier.rev': revision, ...metadata } = changed.metadata
  assert.match(revision, /^[0-9]+$/)
  const generation = WITH_LEDGER ? { 'tier.generation': 'meters' } : {}
  assert.deepEqual(metadata, { 'tier.subscription': 'default', ...generation, seen: 'by us' })
})
