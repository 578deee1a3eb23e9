// Older releases of npm's `tier`, at a server that they are told of: each method, and what it throws.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as sdk4 from 'tier-4.0.1/client'
import * as sdk5 from 'tier-5.9.0/client'
import { NO_LIMIT, PRO, featureCount, model, newOrg, startBoth } from '../support.js'

const { server, stripe } = await startBoth('sk_test_older')

// A client that remembers which methods were called.
const remembering = (client, called) =>
  new Proxy(client, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      called.add(name)
      return value.bind(target)
    },
  })

for (const [name, { Tier, isTierError }, where] of [
  ['tier 4.0.1', sdk4, { sidecar: server.url, fetchImpl: fetch }],
  ['tier 5.9.0', sdk5, { baseURL: server.url }],
]) {
  describe(name, () => {
    const called = new Set()
    const tier = remembering(new Tier(where), called)
    const is5 = 'checkout' in Tier.prototype

    const refused = (promise, status, code) =>
      assert.rejects(promise, error => {
        assert.ok(isTierError(error), String(error))
        assert.deepEqual([error.status, error.code], [status, code])
        return true
      })

    before(async () => {
      const { results } = await tier.push(model)
      assert.equal(results.length, featureCount)
      assert.ok(results.every(({ status }) => status === 'ok'))
    })

    test('the model', async () => {
      assert.deepEqual(await tier.pull(), model)
      const latest = await tier.pullLatest()
      assert.ok('plan:pro@2' in latest.plans && !('plan:pro@1' in latest.plans))
    })

    test('a subscription from its beginning to its end', async () => {
      const org = newOrg()
      await tier.subscribe(org, 'plan:pro@1', { trialDays: 14 })
      const phase = await tier.lookupPhase(org)
      assert.deepEqual([phase.features, phase.plans, phase.trial], [PRO, ['plan:pro@1'], true])
      assert.ok(phase.effective instanceof Date)
      await tier.subscribe(org, 'plan:free@1')
      assert.deepEqual(await tier.lookupLimits(org), {
        org,
        usage: [{ feature: 'feature:convert', used: 0, limit: 10 }],
      })
      await tier.report(org, 'feature:convert', 9)
      const answer = await tier.can(org, 'feature:convert')
      assert.equal(answer.ok, true)
      await answer.report()
      assert.equal((await tier.can(org, 'feature:convert')).ok, false)
      const limit = await tier.lookupLimit(org, 'feature:convert')
      assert.deepEqual([limit.used, limit.limit], [10, 10])
      assert.equal((await tier.lookupLimit(org, 'feature:none')).limit, 0)
      await tier.schedule(org, [
        { features: ['plan:gauges@1'] },
        { features: ['plan:pro@2'], effective: new Date(Date.now() + 86_400_000) },
      ])
      const gauges = await tier.lookupLimits(org)
      assert.equal(gauges.usage.find(({ feature }) => feature === 'feature:peak').limit, NO_LIMIT)
      await tier.cancel(org)
      assert.deepEqual(await tier.lookupLimits(org), { org, usage: [] })
      await refused(tier.lookupPhase(org), 404, 'not_found')
    })

    test('the org and the account', async () => {
      const org = newOrg()
      const info = { email: 'jo@example.com', name: 'Jo', description: '', phone: '', metadata: { a: 'b' } }
      await tier.updateOrg(org, info)
      const details = await tier.lookupOrg(org)
      assert.deepEqual([details.email, details.name, details.metadata], [info.email, info.name, info.metadata])
      const { stripe_id } = await tier.whois(org)
      assert.equal((await stripe.customers.retrieve(stripe_id)).name, 'Jo')
      assert.match((await tier.whoami()).id, /^acct_/)
      await refused(tier.whois(newOrg()), 400, 'org_not_found')
      await refused(tier.subscribe(org, 'plan:gone@1'), 400, 'TERR1020')
      await refused(tier.report(org, 'feature:gone'), 400, 'feature_not_found')
    })

    test('what this version has besides', async () => {
      const org = newOrg()
      if (!is5) {
        // It was experimental, and no server that was released took it.
        const checkout = { success_url: 'https://app.test/', cancel_url: 'https://app.test/' }
        await refused(tier.subscribe(org, 'plan:pro@1', { checkout }), 400, 'invalid_request')
        return
      }
      const { url } = await tier.checkout(org, 'https://app.test/', { features: 'plan:pro@1' })
      assert.match(url, /^http/)
      assert.deepEqual(await tier.lookupPaymentMethods(org), { org, methods: [] })
      const clocked = await tier.withClock('older', new Date('2030-01-15T00:00:00Z'))
      await clocked.advance(new Date('2030-01-16T00:00:00Z'))
    })

    after(() => {
      const aliases = ['limits', 'limit', 'phase']
      const internal = ['constructor', 'debugLog', 'debug', 'tryGet', 'tryPost', 'apiGet', 'apiPost', ...aliases]
      const methods = Object.getOwnPropertyNames(Tier.prototype).filter(method => !internal.includes(method))
      assert.deepEqual(methods.filter(method => !called.has(method)), [], 'methods without a test')
    })
  })
}
