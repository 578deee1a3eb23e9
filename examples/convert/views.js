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

// What people call a plan and a feature. A feature has its title in every plan that has it.
const planTitle = (model, name) => model.plans[name]?.title ?? name

const featureTitle = (model, name) => {
  const plans = Object.values(model.plans)
  return plans.map(({ features }) => features[name]?.title).find(Boolean) ?? name.replace('feature:', '')
}

const planTitles = (model, { plans }) =>
  plans?.map(name => planTitle(model, name)).join(', ') ?? 'a plan of your own'

// What a plan costs before any use.
const fees = ({ features }) => Object.values(features).reduce((sum, { base = 0 }) => sum + base, 0)

const page = (title, user, body) => html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title} · Convert</title>
    <link rel="stylesheet" href="/style.css">
  </head>
  <body>
    <header>
      <a class="brand" href="/">°C → °F</a>
      <nav>
        <a href="/">Plans</a>
        ${user && html`<a href="/convert">Convert</a> <a href="/usage">Usage</a> <a href="/account">Account</a>`}
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
  return html`<section class="card" data-plan="${name}">
    <h2>${title}</h2>
    <p class="price">${money(fees(plan), currency)} <small>${interval.replace('@', '')}</small></p>
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

// A meter is at its best when empty: it warns from four fifths on, and alarms when it is full.
const meter = (title, used, limit) =>
  html`<meter aria-label="${title} used" max="${limit}" low="${limit * 0.8}" high="${limit - 0.5}" optimum="0" value="${used}"></meter>`

const usageRow = (model, { feature, used, limit }) => html`<tr data-feature="${feature}">
    <th scope="row">${featureTitle(model, feature)}</th>
    <td class="used">${used}</td>
    <td class="limit">${isUnlimited(limit) ? '∞' : limit}</td>
    <td>${!isUnlimited(limit) && meter(featureTitle(model, feature), used, limit)}</td>
  </tr>`

export const usage = (user, model, { usage: rows }, phase, now) =>
  page('Usage', user, html`
    ${phase
      ? html`<p id="plan">You are on <b>${planTitles(model, phase)}</b>${
          phase.trial && html`, on trial until ${date(phase.end ?? phase.current.end)}`}.
        This period ends on ${date(phase.current.end)}.</p>`
      : html`<p id="plan">You have no plan. <a href="/">Choose one</a></p>`}
    ${rows.length > 0 && html`<table>
      <thead><tr><th scope="col">Feature</th><th scope="col">Used</th><th scope="col">Limit</th><th scope="col">Level</th></tr></thead>
      <tbody>${rows.map(row => usageRow(model, row))}</tbody>
    </table>`}
    ${now && html`<form class="clock" method="post" action="/advance">
      <p>This is a sandbox. Its time is <time>${date(now)}</time>.</p>
      <button>Let a month pass</button>
    </form>`}`)

const card = ({ card: { brand, last4, exp_month: month, exp_year: year } }) =>
  html`<li>${brand[0].toUpperCase()}${brand.slice(1)} ending in ${last4}, valid until ${month}/${year}</li>`

// Stripe's own preview: with what is used so far.
const nextBill = ({ created, currency, remaining }) =>
  html`<p id="bill">On ${date(new Date(created))}: ${money(remaining, currency)}, with what you have used so far.</p>`

const invoiceRow = ({ number, created, status, currency, total, url }) => html`<tr>
    <th scope="row">${url ? html`<a href="${url}">${number}</a>` : number ?? 'Draft'}</th>
    <td>${date(new Date(created))}</td>
    <td>${status}</td>
    <td class="amount">${money(total, currency)}</td>
  </tr>`

const invoiceTable = invoices => html`<table id="invoices">
    <thead><tr><th scope="col">Invoice</th><th scope="col">Date</th><th scope="col">Status</th><th scope="col" class="amount">Total</th></tr></thead>
    <tbody>${invoices.map(invoiceRow)}</tbody>
  </table>`

export const account = (user, model, methods, phase, { invoices, upcoming, next }) =>
  page('Account', user, html`
    <h2>Plan</h2>
    ${phase
      ? html`<p id="plan">${planTitles(model, phase)}</p>
        <p><a href="/cancel">Cancel the plan</a></p>`
      : html`<p id="plan">You have no plan. <a href="/">Choose one</a></p>`}
    <h2>Next bill</h2>
    ${upcoming ? nextBill(upcoming) : html`<p id="bill">There is none.</p>`}
    <h2>Card</h2>
    ${methods.length > 0
      ? html`<ul id="cards">${methods.map(card)}</ul>`
      : html`<p id="cards">There is none yet. You are asked for one when you upgrade.</p>`}
    <h2>Invoices</h2>
    ${invoices.length > 0 ? invoiceTable(invoices) : html`<p id="invoices">There are none yet.</p>`}
    ${next && html`<p>Older ones are not shown.</p>`}`)

export const cancel = (user, model, phase) =>
  page('Cancel', user, html`
    <p>You are about to cancel <b>${planTitles(model, phase)}</b>. It ends at once, and what you have used is billed.</p>
    <form method="post" action="/cancel"><button class="danger">Cancel the plan</button></form>
    <p><a href="/account">Keep it</a></p>`)

export const failure = (user, title, message) =>
  page(title, user, html`<p class="stopped">${message}</p>`)
