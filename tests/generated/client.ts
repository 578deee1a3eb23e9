// The client that openapi-typescript makes, at work: it pushes, subscribes, reports and reads limits.
import assert from 'node:assert/strict'
import createClient from 'openapi-fetch'
import type { components, paths } from './generated/tier.js'

const tier = createClient<paths>({ baseUrl: process.argv[2] })
const org = 'org:typescript'

// Nothing but what is required has to be given, defaults neither.
const model: components['schemas']['PushRequest'] = {
  plans: {
    'plan:ts@1': {
      features: {
        'feature:seat': { base: 1000 },
        'feature:convert': { tiers: [{ upto: 10 }, { price: 0.5 }] },
      },
    },
  },
}
const pushed = await tier.POST('/v1/push', { body: model })
assert.deepEqual(
  pushed.data?.results?.map(result => result.status),
  ['ok', 'ok']
)

const subscribed = await tier.POST('/v1/subscribe', {
  body: { org, info: { email: 'ada@example.com' }, phases: [{ features: ['plan:ts@1'] }] },
  parseAs: 'text',
})
assert.equal(subscribed.data, '{}', JSON.stringify(subscribed.error))

const reported = await tier.POST('/v1/report', {
  body: { org, feature: 'feature:convert', n: 3 },
  params: { header: { 'Idempotency-Key': 'typescript-1' } },
  parseAs: 'text',
})
assert.equal(reported.data, '{}', JSON.stringify(reported.error))

const limits = await tier.GET('/v1/limits', { params: { query: { org } } })
const used = limits.data?.usage.find(row => row.feature === 'feature:convert')?.used
assert.equal(used, 3)

const phase = await tier.GET('/v1/phase', { params: { query: { org } } })
assert.deepEqual(phase.data?.plans, ['plan:ts@1'])

const refused = await tier.GET('/v1/limits', { params: { query: { org: 'org:nobody' } } })
assert.equal(refused.response.status, 400)
assert.equal(refused.error?.code, 'org_not_found')

console.log('typescript: pushed, subscribed, reported, read limits')
