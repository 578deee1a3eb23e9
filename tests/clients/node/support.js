// Starts the server and the sandbox as processes, and says how to reach them.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import Stripe from 'stripe'

// The binary under test; the run script builds it and names it.
export const TIER = process.env.TIER_BIN
if (!TIER) throw new Error('TIER_BIN must name the tier binary; use ./run')

// A child's environment: nothing of Tier or Stripe leaks in from ours.
export const cleanEnv = (extra = {}) => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(TIER|STRIPE)_/.test(name))
  ),
  ...extra,
})

// Runs the binary until it says where it listens.
const start = async (args, env) => {
  const child = spawn(TIER, args, {
    env: cleanEnv(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', chunk => (log += chunk))
  const exited = once(child, 'exit')
  const address = await new Promise((resolve, reject) => {
    let out = ''
    child.stdout.on('data', chunk => {
      out += chunk
      const found = /listening on (\S+)\n/.exec(out)
      if (found) resolve(found[1])
    })
    exited.then(([code]) => reject(new Error(`tier ${args.join(' ')}: exit ${code}\n${log}`)))
  })
  const stop = async () => {
    child.kill('SIGTERM')
    return (await exited)[0]
  }
  return { url: `http://${address}`, stop, log: () => log }
}

export const startSandbox = () => start(['sandbox', '--addr', '127.0.0.1:0'])

// Whether the servers keep usage in ledgers of their own.
export const WITH_LEDGER = process.env.WITH_LEDGER === '1'

let ledgers = 0
const serve = () => {
  const args = ['serve', '--addr', '127.0.0.1:0']
  if (!WITH_LEDGER) return args
  const folder = mkdtempSync(join(tmpdir(), 'tier-ledger-'))
  after(() => rmSync(folder, { recursive: true }))
  return [...args, '--deliver-after', '0s', '--ledger', join(folder, `${++ledgers}.db`)]
}

export const startServer = (sandbox, key, env = {}, flags = []) =>
  start([...serve(), ...flags], {
    STRIPE_API_KEY: key,
    STRIPE_BASE_API_URL: sandbox.url,
    // As with Stripe: a sandbox has none.
    TIER_DASHBOARD_URL: 'https://dashboard.stripe.com',
    ...env,
  })

// Both, for one test file; they end with it.
export const startBoth = async (key, env) => {
  const sandbox = await startSandbox()
  const server = await startServer(sandbox, key, env)
  after(async () => {
    const codes = [await server.stop(), await sandbox.stop()]
    if (codes.some(code => code !== 0)) throw new Error(`exit codes ${codes}`)
  })
  return { sandbox, server, stripe: stripeOf(sandbox, key) }
}

// A server with its sandbox inside, which tells it of what others change there.
export const startTogether = async () => {
  const port = await freePort()
  const server = await start([
    ...serve(),
    ...['--sandbox', '--sandbox-addr', `127.0.0.1:${port}`],
  ])
  after(async () => assert.equal(await server.stop(), 0))
  return { server, stripe: stripeOf({ url: `http://127.0.0.1:${port}` }, 'sk_test_sandbox') }
}

// A port that nobody listens on.
const freePort = async () => {
  const listener = net.createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address()
  listener.close()
  await once(listener, 'close')
  return port
}

// The official library, pointed at the sandbox.
export const stripeOf = (sandbox, key) => {
  const { hostname, port } = new URL(sandbox.url)
  return new Stripe(key, {
    apiVersion: '2022-11-15',
    host: hostname,
    port,
    protocol: 'http',
    telemetry: false,
  })
}

// Whether anybody listens there.
export const listens = port =>
  new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => (socket.destroy(), resolve(true)))
    socket.once('error', () => resolve(false))
  })

let orgs = 0
// A name that no other test uses.
export const newOrg = () => `org:test-${process.pid}-${++orgs}`

export const NO_LIMIT = Number('9223372036854775807')

export const model = {
  plans: {
    'plan:free@1': {
      title: 'Free',
      features: { 'feature:convert': { title: 'Conversions', tiers: [{ upto: 10 }] } },
    },
    'plan:pro@1': {
      title: 'Pro',
      features: {
        'feature:convert': { tiers: [{ upto: 100 }, { upto: 1000, price: 2.5, base: 900 }] },
        'feature:support': { base: 500 },
      },
    },
    'plan:pro@2': {
      title: 'Pro, dearer',
      features: { 'feature:convert': { tiers: [{ price: 3 }] }, 'feature:support': { base: 600 } },
    },
    'plan:gauges@1': {
      title: 'Gauges',
      features: {
        'feature:disk': { aggregate: 'perpetual', tiers: [{ upto: 50 }] },
        'feature:peak': { aggregate: 'max', mode: 'volume', tiers: [{ upto: 5, base: 100 }, {}] },
        'feature:seats': { aggregate: 'last', tiers: [{ upto: 3, price: 100 }] },
      },
    },
    'plan:year@1': {
      title: 'A year',
      currency: 'eur',
      interval: '@yearly',
      features: { 'feature:pack': { base: 9900, divide: { by: 100, rounding: 'up' } } },
    },
  },
}
export const featureCount = 9

export const PRO = ['feature:convert@plan:pro@1', 'feature:support@plan:pro@1']
