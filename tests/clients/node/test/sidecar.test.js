// No TIER_BASE_URL: the SDK spawns `tier` from PATH, takes its first output as "ready", and ends it with SIGTERM.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { TIER, cleanEnv, listens, startSandbox } from '../support.js'

const sandbox = await startSandbox()
// A folder for PATH, in which the binary has the name that the SDK looks for.
const folder = mkdtempSync(path.join(tmpdir(), 'tier-'))
symlinkSync(TIER, path.join(folder, 'tier'))
after(() => {
  rmSync(folder, { recursive: true })
  return sandbox.stop()
})

const app = fileURLToPath(new URL('../fixtures/app.js', import.meta.url))

// Runs the app to its end. The SDK makes the port from the process id; if that one is taken, another process is tried.
const run = async env => {
  for (;;) {
    const ended = await runOnce(env)
    if (!/cannot listen on .*in use/.test(ended.err)) return ended
  }
}

const runOnce = async env => {
  const child = spawn(process.execPath, [app], {
    env: cleanEnv({
      PATH: `${folder}:${process.env.PATH}`,
      STRIPE_BASE_API_URL: sandbox.url,
      ...env,
    }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { out: '', err: '' }
  child.stdout.on('data', chunk => (output.out += chunk))
  child.stderr.on('data', chunk => (output.err += chunk))
  // `close` comes when the last process that holds the pipes is gone, the sidecar included.
  const code = await new Promise(resolve => child.once('close', resolve))
  return { code, pid: child.pid, ...output }
}

const gone = async (pid, port) => {
  while (existsSync(`/proc/${pid}`) || (await listens(port))) await sleep(20)
}

const startsServesAndEnds = async SDK => {
  const { code, pid, out, err } = await run({ STRIPE_API_KEY: `sk_test_sidecar_of_${SDK}`, SDK })
  assert.equal(code, 0, err)
  const seen = JSON.parse(out.trim().split('\n').pop())
  const port = 10_000 + (pid % 10_000)
  assert.match(seen.id, /^acct_/)
  assert.equal(seen.key_source, 'STRIPE_API_KEY')
  assert.equal(seen.ok, false)
  assert.equal(seen.url, `http://127.0.0.1:${port}`)
  assert.deepEqual(
    seen.sidecars.map(({ args }) => args),
    [['serve', '--addr', `127.0.0.1:${port}`]]
  )
  await gone(seen.sidecars[0].pid, port)
}

for (const sdk of ['tier', 'tier-5.9.0', 'tier-4.0.1']) {
  test(`${sdk}: it starts, serves, and ends with the app`, () => startsServesAndEnds(sdk))
}

test('in debug mode', async () => {
  const { code, out, err } = await run({ STRIPE_API_KEY: 'sk_test_secret_of_mine', TIER_DEBUG: '1' })
  assert.equal(code, 0, err)
  const seen = JSON.parse(out.trim().split('\n').findLast(line => line.startsWith('{"id"')))
  assert.equal(seen.sidecars[0].args[0], '-v')
  assert.match(err, /\/v1\/customers/, 'calls to Stripe are logged')
  assert.ok(!err.includes('secret_of_mine'), 'the key is not')
})

test('a live key without TIER_LIVE, and the reverse', async () => {
  const live = await run({ STRIPE_API_KEY: 'sk_live_1' })
  assert.notEqual(live.code, 0)
  assert.match(live.err, /--live is required if stripe key is a live key/)
  const notLive = await run({ STRIPE_API_KEY: 'sk_test_1', TIER_LIVE: '1' })
  assert.notEqual(notLive.code, 0)
  assert.match(notLive.err, /--live provided with test key/)
})

test('a live key with TIER_LIVE', async () => {
  const { code, err } = await run({ STRIPE_API_KEY: 'sk_live_1', TIER_LIVE: '1' })
  assert.notEqual(code, 0)
  assert.match(err, /TierError: invalid api key/, 'it serves; the sandbox knows no live key')
})
