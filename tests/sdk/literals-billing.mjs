// Answers about subscriptions, schedules, usage, invoices and checkout.

const NEW_YEARS_EVE = Date.UTC(2019, 11, 31) / 1000;
const DAY = 86400;

/** Notes every shape: plain, expanded, deleted, trialing, discounted and upcoming. */
export async function billing(stripe, note) {
  const prices = await catalogue(stripe);
  const clock = await stripe.testHelpers.testClocks.create({ frozen_time: NEW_YEARS_EVE });
  const customer = await stripe.customers.create({
    test_clock: clock.id,
    payment_method: 'pm_card_visa',
    invoice_settings: { default_payment_method: 'pm_card_visa' },
  });
  const subscription = await subscribed(stripe, note, customer.id, prices);
  await upcoming(stripe, note, customer.id, subscription.id);
  await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: NEW_YEARS_EVE + 31 * DAY });
  await invoices(stripe, note, customer.id);
  await scheduled(stripe, note, subscription.id, prices);
  await trialing(stripe, note, clock.id, prices);
  await checkout(stripe, note, prices);
}

async function catalogue(stripe) {
  await stripe.coupons.create({ id: 'half', percent_off: 50, duration: 'forever' });
  const base = await stripe.prices.create({ currency: 'usd', unit_amount: 1000, recurring: { interval: 'month' }, product_data: { name: 'Base' } });
  const calls = await stripe.prices.create({
    currency: 'usd',
    recurring: { interval: 'month', usage_type: 'metered' },
    product_data: { name: 'Calls', unit_label: 'call' },
    billing_scheme: 'tiered',
    tiers_mode: 'graduated',
    tiers: [
      { up_to: 10, unit_amount: 1, flat_amount: 100 },
      { up_to: 'inf', unit_amount_decimal: '0.5' },
    ],
  });
  return { base: base.id, calls: calls.id };
}

async function subscribed(stripe, note, customer, { base, calls }) {
  const made = await stripe.subscriptions.create({
    customer,
    items: [{ price: base, quantity: 2, metadata: { a: 'b' } }, { price: calls }],
    coupon: 'half',
    metadata: { c: 'd' },
    expand: ['latest_invoice.subscription', 'customer', 'default_payment_method', 'items.data.price.product', 'items.data.price.tiers', 'discount.customer'],
  });
  note('Stripe.Subscription', made);
  note('Stripe.Subscription', await stripe.subscriptions.update(made.id, { items: [{ id: made.items.data[0].id, quantity: 3 }] }));
  note('Stripe.ApiList<Stripe.SubscriptionItem>', await stripe.subscriptionItems.list({ subscription: made.id }));
  const item = made.items.data[1].id;
  note('Stripe.UsageRecord', await stripe.subscriptionItems.createUsageRecord(item, { quantity: 20, timestamp: 'now' }));
  note('Stripe.ApiList<Stripe.UsageRecordSummary>', await stripe.subscriptionItems.listUsageRecordSummaries(item));
  return made;
}

async function upcoming(stripe, note, customer, subscription) {
  note('Stripe.UpcomingInvoice', await stripe.invoices.retrieveUpcoming({ customer }));
  note('Stripe.UpcomingInvoice', await stripe.invoices.retrieveUpcoming({ customer, subscription, expand: ['customer', 'subscription', 'lines.data.price.product'] }));
  note('Stripe.ApiList<Stripe.InvoiceLineItem>', await stripe.invoices.listUpcomingLines({ customer, limit: 100, expand: ['data.price.tiers'] }));
}

async function invoices(stripe, note, customer) {
  const list = await stripe.invoices.list({ customer });
  note('Stripe.ApiList<Stripe.Invoice>', list);
  const invoice = await stripe.invoices.retrieve(list.data[0].id, { expand: ['customer', 'subscription', 'lines.data.price.product', 'discounts'] });
  note('Stripe.Invoice', invoice);
  note('Stripe.ApiList<Stripe.InvoiceLineItem>', await stripe.invoices.listLineItems(invoice.id, { expand: ['data.discounts'] }));
}

async function scheduled(stripe, note, subscription, { base, calls }) {
  const schedule = await stripe.subscriptionSchedules.create({ from_subscription: subscription, expand: ['subscription', 'customer', 'phases.items.price', 'phases.coupon'] });
  note('Stripe.SubscriptionSchedule', schedule);
  const [running] = schedule.phases;
  note('Stripe.SubscriptionSchedule', await stripe.subscriptionSchedules.update(schedule.id, {
    phases: [
      { start_date: running.start_date, end_date: running.end_date, items: [{ price: base, quantity: 1 }, { price: calls }], coupon: 'half' },
      { items: [{ price: base, metadata: { a: 'b' } }], trial: true, iterations: 2, metadata: { e: 'f' } },
    ],
  }));
  note('Stripe.ApiList<Stripe.Subscription>', await stripe.subscriptions.list({ status: 'all', customer: schedule.customer.id, expand: ['data.schedule', 'data.discount.coupon'] }));
  note('Stripe.ApiList<Stripe.SubscriptionSchedule>', await stripe.subscriptionSchedules.list());
  note('Stripe.SubscriptionSchedule', await stripe.subscriptionSchedules.release(schedule.id, { expand: ['subscription'] }));
  note('Stripe.Subscription', await stripe.subscriptions.del(subscription, { invoice_now: true, prorate: true, expand: ['latest_invoice'] }));
}

async function trialing(stripe, note, clock, { base }) {
  const customer = await stripe.customers.create({ test_clock: clock, coupon: 'half' });
  const trial = await stripe.subscriptions.create({ customer: customer.id, items: [{ price: base }], trial_period_days: 14, expand: ['latest_invoice', 'pending_setup_intent', 'test_clock'] });
  note('Stripe.Subscription', trial);
  note('Stripe.UpcomingInvoice', await stripe.invoices.retrieveUpcoming({ customer: customer.id }));
  note('Stripe.Customer', await stripe.customers.retrieve(customer.id, { expand: ['subscriptions'] }));
  const schedule = await stripe.subscriptionSchedules.create({ customer: customer.id, start_date: 'now', phases: [{ items: [{ price: base }], trial: true }] });
  note('Stripe.SubscriptionSchedule', schedule);
  note('Stripe.SubscriptionSchedule', await stripe.subscriptionSchedules.cancel(schedule.id));
}

async function checkout(stripe, note, { base }) {
  const customer = await stripe.customers.create({ email: 'jane@example.com' });
  const urls = { success_url: 'https://example.com/ok', cancel_url: 'https://example.com/back' };
  const session = await stripe.checkout.sessions.create({
    ...urls,
    customer: customer.id,
    mode: 'subscription',
    line_items: [{ price: base, quantity: 1 }],
    customer_update: { name: 'auto', address: 'auto' },
    tax_id_collection: { enabled: true },
    automatic_tax: { enabled: true },
    expand: ['customer', 'line_items'],
  });
  note('Stripe.Checkout.Session', session);
  note('Stripe.Checkout.Session', await stripe.checkout.sessions.create({ ...urls, mode: 'setup', payment_method_types: ['card'], expand: ['setup_intent'] }));
  note('Stripe.ApiList<Stripe.Checkout.Session>', await stripe.checkout.sessions.list());
  note('Stripe.Checkout.Session', await stripe.checkout.sessions.expire(session.id));
}
