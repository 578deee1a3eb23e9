// A server that wants a key: the client sends it as the user of Basic authorization.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import tier, { Tier } from 'tier'
import { startBoth } from '../support.js'

const { server } = await startBoth('sk_test_key', { TIER_API_KEY: 'first-key, second-key' })

const refused = { status: 401, code: 'unauthorized', message: 'Unauthorized' }

test('with the key', async () => {
  for (const apiKey of ['first-key', 'second-key']) {
    assert.match((await new Tier({ baseURL: server.url, apiKey }).whoami()).id, /^acct_/)
  }
})

test('without, or with another', async () => {
  for (const apiKey of [undefined, '', 'third-key', 'first-key, second-key']) {
    const client = new Tier({ baseURL: server.url, apiKey })
    await assert.rejects(client.whoami(), refused)
    await assert.rejects(client.push({ plans: {} }), refused)
    const answer = await client.can('org:acme', 'feature:convert')
    assert.equal(answer.err.status, 401)
  }
})

test('from the environment', async () => {
  process.env.TIER_BASE_URL = server.url
  await assert.rejects(tier.whoami(), refused)
  process.env.TIER_API_KEY = 'second-key'
  assert.match((await tier.whoami()).id, /^acct_/)
  assert.equal((await tier.fromEnv()).apiKey, 'second-key')
})

test('with a clock', async () => {
  const client = new Tier({ baseURL: server.url, apiKey: 'first-key' })
  const clocked = await client.withClock('keyed', new Date('2030-01-01T00:00:00Z'))
  await clocked.advance(new Date('2030-01-02T00:00:00Z'))
})
