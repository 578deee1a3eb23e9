// The app's pages. They know the SDK's answers, but call nothing.
import { html } from './html.js'

// What the SDK's answers hold where there is no limit: the largest 64-bit integer, which JavaScript rounds.
const isUnlimited = limit => limit > Number.MAX_SAFE_INTEGER

const date = time =>
  time.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' })

// Prices are in the currency's minor unit, and may be fractions of it.
const money = (minor, currency) => {
  const style = { style: 'currency', currency }
  const { maximumFractionDigits: digits } = new Intl.NumberFormat('en', style).resolvedOptions()
  return new Intl.NumberFormat('en', { ...style, maximumFractionDigits: 12 })
    .format(minor / 10 ** digits)
}

const page = (title, user, body) => html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>${title} · Convert</title>
    <link rel="stylesheet" href="/style.css">
  </head>
  <body>
    <header>
      <a class="brand" href="/">°C → °F</a>
      <nav>
        <a href="/">Plans</a>
        ${user && html`<a href="/convert">Convert</a> <a href="/usage">Usage</a>`}
        ${user && html`<span class="who">${user.name}</span>
        <form method="post" action="/signout"><button class="link">Sign out</button></form>`}
      </nav>
    </header>
    <main>
      <h1>${title}</h1>
      ${body}
    </main>
  </body>
</html>
`

const tierText = (tiers, currency) =>
  tiers.map(({ upto, price = 0, base = 0 }, i) => {
    const cost = price ? `${money(price, currency)} each` : 'included'
    const flat = base ? ` plus ${money(base, currency)}` : ''
    if (upto) return `${i ? 'up to' : 'first'} ${upto} ${cost}${flat}`
    return `${i ? 'more' : 'all'} at ${cost}${flat}`
  })

const featureLine = (name, { title = name, base = 0, tiers }, currency) =>
  tiers
    ? html`<li>${title}: ${tierText(tiers, currency).join(', ')}</li>`
    : html`<li>${title}: ${money(base, currency)}</li>`

const planCard = (name, plan, { user, current, free }) => {
  const { title, currency = 'usd', interval = '@monthly', features } = plan
  const post = (action, label) => html`<form method="post" action="${action}">
      <input type="hidden" name="plan" value="${name}"><button>${label}</button>
    </form>`
  const fees = Object.values(features).reduce((sum, { base = 0 }) => sum + base, 0)
  return html`<section class="card" data-plan="${name}">
    <h2>${title}</h2>
    <p class="price">${money(fees, currency)} <small>${interval.replace('@', '')}</small></p>
    <ul>${Object.entries(features).map(([feature, definition]) =>
      featureLine(feature, definition, currency))}</ul>
    ${current && html`<p class="current">Your plan</p>`}
    ${user && !current && (name === free
      ? post('/downgrade', 'Choose')
      : [post('/upgrade', `Upgrade to ${title}`), post('/trial', 'Try for 14 days')])}
  </section>`
}

export const pricing = (model, user, phase, free) =>
  page('Plans', user, html`
    <div class="cards">${Object.entries(model.plans).map(([name, plan]) =>
      planCard(name, plan, { user, free, current: phase?.plans?.includes(name) }))}</div>
    ${!user && html`<form class="card signup" method="post" action="/signup">
      <h2>Sign up</h2>
      <p>It starts with the free plan; no card is needed.</p>
      <label>Name <input name="name" required maxlength="100"></label>
      <label>E-mail <input name="email" type="email" required maxlength="200"></label>
      <button>Sign up</button>
    </form>`}`)

export const convert = (user, { celsius, fahrenheit, stopped } = {}) =>
  page('Convert', user, html`
    <form class="card" method="post" action="/convert">
      <label>Celsius <input name="celsius" inputmode="decimal" required value="${celsius}"></label>
      <button>Convert</button>
    </form>
    ${fahrenheit !== undefined && html`<p class="result">${celsius} °C = <b>${fahrenheit} °F</b></p>`}
    ${stopped && html`<p class="stopped">Your plan has no conversions left. <a href="/">See the plans</a></p>`}`)

const usageRow = ({ feature, used, limit }) => html`<tr data-feature="${feature}">
    <td>${feature.replace('feature:', '')}</td>
    <td class="used">${used}</td>
    <td class="limit">${isUnlimited(limit) ? '∞' : limit}</td>
    <td>${!isUnlimited(limit) && html`<meter max="${limit}" value="${used}"></meter>`}</td>
  </tr>`

export const usage = (user, { usage: rows }, phase, now) =>
  page('Usage', user, html`
    ${phase
      ? html`<p id="plan">You are on <b>${(phase.plans ?? ['a plan of your own']).join(', ')}</b>${
          phase.trial && html`, on trial until ${date(phase.end ?? phase.current.end)}`}.
        This period ends on ${date(phase.current.end)}.</p>`
      : html`<p id="plan">You have no plan. <a href="/">Choose one</a></p>`}
    ${rows.length > 0 && html`<table>
      <thead><tr><th>Feature</th><th>Used</th><th>Limit</th><th></th></tr></thead>
      <tbody>${rows.map(usageRow)}</tbody>
    </table>`}
    ${phase && html`<form method="post" action="/cancel"><button class="danger">Cancel</button></form>`}
    ${now && html`<form class="clock" method="post" action="/advance">
      <p>This is a sandbox. Its time is <time>${date(now)}</time>.</p>
      <button>Let a month pass</button>
    </form>`}`)

export const failure = (user, title, message) =>
  page(title, user, html`<p class="stopped">${message}</p>`)
