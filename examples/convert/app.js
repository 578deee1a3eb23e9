// Converts temperatures, and bills by use. Everything about plans, limits and money is asked of Tier.
//
// The server is found as the SDK finds it: TIER_BASE_URL and TIER_API_KEY, or a `tier` that the SDK starts itself.
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import express from 'express'
import tier, { isTierError } from 'tier'
import * as views from './views.js'

const FREE = 'plan:free@1'
const FEATURE = 'feature:convert'
const TRIAL_DAYS = 14
const MONTH = 31 * 86_400_000

// With the sandbox, every user gets a test clock, so that the usage page can let a month pass.
const sandbox = process.env.CONVERT_SANDBOX === '1'

// Who holds the cookie is the user. An app with accounts would look the org up in its own database.
const users = new Map()

const app = express()
app.disable('x-powered-by')
app.use(express.static(fileURLToPath(new URL('public', import.meta.url))))
app.use(express.urlencoded({ extended: false, limit: '10kb' }))
app.use((req, res, next) => {
  res.set('Content-Security-Policy', "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'")
  const [, session] = /(?:^|;\s*)session=([\w-]+)/.exec(req.headers.cookie ?? '') ?? []
  req.user = users.get(session)
  next()
})

const send = (res, page, status = 200) => res.status(status).type('html').send(page.toString())

// Pages below need a user.
const signedIn = (req, res, next) => (req.user ? next() : res.redirect(303, '/'))

// The plan in force, or nothing if there is none.
const phaseOf = ({ tier, org }) =>
  tier.lookupPhase(org).catch(error => {
    if (isTierError(error) && error.status === 404) return undefined
    throw error
  })

app.get('/', async (req, res) => {
  const { user } = req
  const [model, phase] = await Promise.all([tier.pull(), user && phaseOf(user)])
  send(res, views.pricing(model, user, phase, FREE))
})

app.post('/signup', async (req, res) => {
  const { name = '', email = '' } = req.body ?? {}
  const org = `org:${randomUUID()}`
  const now = new Date()
  const client = sandbox ? await tier.withClock(`convert ${org}`, now) : await tier.fromEnv()
  const info = { name, email, description: '', phone: '', metadata: {} }
  await client.subscribe(org, FREE, { info })
  const session = randomUUID()
  users.set(session, { org, name, tier: client, now: sandbox ? now : undefined })
  res.cookie('session', session, { httpOnly: true, sameSite: 'lax' }).redirect(303, '/convert')
})

app.post('/signout', (req, res) => res.clearCookie('session').redirect(303, '/'))

app.get('/convert', signedIn, (req, res) => send(res, views.convert(req.user)))

app.post('/convert', signedIn, async (req, res) => {
  const { org, tier } = req.user
  const celsius = Number(req.body?.celsius?.replace(',', '.') || NaN)
  if (!Number.isFinite(celsius)) {
    return send(res, views.failure(req.user, 'Convert', 'That is not a temperature.'), 400)
  }
  // If Tier cannot be reached, `ok` is true: a customer is not turned away for a fault of ours.
  const answer = await tier.can(org, FEATURE)
  if (!answer.ok) return send(res, views.convert(req.user, { celsius, stopped: true }), 402)
  await answer.report()
  const fahrenheit = Math.round((celsius * 9) / 5 * 100 + 3200) / 100
  send(res, views.convert(req.user, { celsius, fahrenheit }))
})

app.get('/usage', signedIn, async (req, res) => {
  const { user } = req
  const [model, limits, phase] = await Promise.all([
    tier.pull(),
    user.tier.lookupLimits(user.org),
    phaseOf(user),
  ])
  send(res, views.usage(user, model, limits, phase, user.now))
})

// What the org was billed, and what it is billed next. The SDK is older than this endpoint.
const invoicesOf = async ({ tier, org }) => {
  const url = new URL('/v1/invoices', tier.baseURL)
  url.search = new URLSearchParams({ org, include: 'upcoming' })
  const headers = {}
  if (tier.apiKey) headers.Authorization = `Bearer ${tier.apiKey}`
  if (tier.clockID) headers['Tier-Clock'] = tier.clockID
  const response = await fetch(url, { headers })
  if (!response.ok) throw new Error(`${url.pathname}: ${response.status} ${await response.text()}`)
  return response.json()
}

app.get('/account', signedIn, async (req, res) => {
  const { user } = req
  const [model, { methods }, phase, billed] = await Promise.all([
    tier.pull(),
    user.tier.lookupPaymentMethods(user.org),
    phaseOf(user),
    invoicesOf(user),
  ])
  send(res, views.account(user, model, methods, phase, billed))
})

app.post('/upgrade', signedIn, async (req, res) => {
  const here = `${req.protocol}://${req.get('host')}`
  const { url } = await req.user.tier.checkout(req.user.org, `${here}/usage`, {
    cancelUrl: `${here}/`,
    features: req.body?.plan,
  })
  res.redirect(303, url)
})

app.post('/trial', signedIn, async (req, res) => {
  // The SDK counts the days from `effective`, or else from this machine's time, which a test clock is not at.
  const options = { trialDays: TRIAL_DAYS, effective: req.user.now }
  await req.user.tier.subscribe(req.user.org, req.body?.plan, options)
  res.redirect(303, '/usage')
})

app.post('/downgrade', signedIn, async (req, res) => {
  await req.user.tier.subscribe(req.user.org, FREE)
  res.redirect(303, '/usage')
})

app.get('/cancel', signedIn, async (req, res) => {
  const { user } = req
  const [model, phase] = await Promise.all([tier.pull(), phaseOf(user)])
  if (!phase) return res.redirect(303, '/account')
  send(res, views.cancel(user, model, phase))
})

app.post('/cancel', signedIn, async (req, res) => {
  await req.user.tier.cancel(req.user.org)
  res.redirect(303, '/usage')
})

app.post('/advance', signedIn, async (req, res) => {
  const { user } = req
  if (user.now) {
    user.now = new Date(user.now.getTime() + MONTH)
    await user.tier.advance(user.now)
  }
  res.redirect(303, '/usage')
})

app.use((req, res) => send(res, views.failure(req.user, 'Not found', 'There is no such page.'), 404))

// Four parameters, or Express takes it for an ordinary handler.
app.use((error, req, res, next) => {
  if (res.headersSent) return next(error)
  if (isTierError(error)) {
    // 400 and 404 are about what the user asked for, and say what is wrong; the rest is ours.
    const theirs = error.status === 400 || error.status === 404
    console.error(`${error.path}: ${error.status} ${error.code}: ${error.message}`)
    const message = theirs ? error.message : 'Billing cannot be reached. Please try again.'
    return send(res, views.failure(req.user, 'That did not work', message), theirs ? 400 : 502)
  }
  const status = error.status >= 400 && error.status < 500 ? error.status : 500
  if (status === 500) console.error(error)
  send(res, views.failure(req.user, 'That did not work', 'Please try again.'), status)
})

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', error => {
  if (error) throw error
  console.log(`convert: http://127.0.0.1:${server.address().port}`)
})
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.close(() => process.exit(0)).closeAllConnections())
}
