// Answers that only 2026-10-28.endive gives, or asks for in its own way: meters, event destinations, previews.

import { DAY, NEW_YEARS_EVE, WITH_CARD } from '../sandbox.mjs';
import { promotionCodes } from './catalogue.mjs';

/** Notes every shape that the version has. */
export async function later(stripe, note) {
  note('Stripe.Account', await stripe.accounts.retrieveCurrent());
  await discounts(stripe, note);
  const meters = await usage(stripe, note);
  const clock = await stripe.testHelpers.testClocks.create({ frozen_time: NEW_YEARS_EVE });
  const customer = await stripe.customers.create({ test_clock: clock.id, ...WITH_CARD });
  const base = await stripe.prices.create({ currency: 'usd', unit_amount: 1000, recurring: { interval: 'month' }, product_data: { name: 'Base' } });
  const calls = await stripe.prices.create({
    currency: 'usd',
    recurring: { interval: 'month', usage_type: 'metered', meter: meters.calls },
    product_data: { name: 'Calls', unit_label: 'call' },
    billing_scheme: 'tiered',
    tiers_mode: 'graduated',
    tiers: [
      { up_to: 10, unit_amount: 1, flat_amount: 100 },
      { up_to: 'inf', unit_amount_decimal: '0.5' },
    ],
    expand: ['tiers', 'product', 'currency_options'],
  });
  note('Stripe.Price', calls);
  note('Stripe.ApiList<Stripe.Price>', await stripe.prices.list({ recurring: { meter: meters.calls }, expand: ['data.tiers'] }));
  await subscriptions(stripe, note, { clock, customer, base, calls });
  await events(stripe, note, meters, customer);
  await preview(stripe, note, { customer, base, calls });
  await invoices(stripe, note, { clock, customer });
  await schedules(stripe, note, { clock, base, calls });
  await checkout(stripe, note, base);
}

async function discounts(stripe, note) {
  await stripe.coupons.create({ id: 'ten', percent_off: 10, duration: 'forever' });
  const code = await stripe.promotionCodes.create({ promotion: { type: 'coupon', coupon: 'ten' }, expand: ['promotion.coupon'] });
  note('Stripe.PromotionCode', code);
  await promotionCodes(stripe, note, code.id);
}

async function usage(stripe, note) {
  const { meters } = stripe.billing;
  const calls = await meters.create({ display_name: 'Calls', event_name: 'calls', default_aggregation: { formula: 'sum' } });
  note('Stripe.Billing.Meter', calls);
  const level = await meters.create({
    display_name: 'Level',
    event_name: 'level',
    default_aggregation: { formula: 'last' },
    customer_mapping: { type: 'by_id', event_payload_key: 'org' },
    value_settings: { event_payload_key: 'n' },
    event_time_window: 'hour',
  });
  note('Stripe.Billing.Meter', await meters.update(level.id, { display_name: 'L' }));
  note('Stripe.Billing.Meter', await meters.deactivate(level.id));
  note('Stripe.Billing.Meter', await meters.reactivate(level.id));
  note('Stripe.Billing.Meter', await meters.retrieve(level.id));
  note('Stripe.ApiList<Stripe.Billing.Meter>', await meters.list({ status: 'active' }));
  return { calls: calls.id, level: level.id };
}

async function events(stripe, note, meters, customer) {
  const payload = { stripe_customer_id: customer.id, value: '20.5' };
  note('Stripe.Billing.MeterEvent', await stripe.billing.meterEvents.create({ event_name: 'calls', payload, identifier: 'one' }));
  note('Stripe.V2.Billing.MeterEvent', await stripe.v2.billing.meterEvents.create({ event_name: 'calls', payload, identifier: 'two', timestamp: new Date(NEW_YEARS_EVE * 1000).toISOString() }));
  note('Stripe.Billing.MeterEventAdjustment', await stripe.billing.meterEventAdjustments.create({ event_name: 'calls', type: 'cancel', cancel: { identifier: 'one' } }));
  note('Stripe.V2.Billing.MeterEventAdjustment', await stripe.v2.billing.meterEventAdjustments.create({ event_name: 'calls', type: 'cancel', cancel: { identifier: 'two' } }));
  await stripe.billing.meterEvents.create({ event_name: 'calls', payload, identifier: 'three' });
  await thin(stripe, note);
  const range = { customer: customer.id, start_time: NEW_YEARS_EVE, end_time: NEW_YEARS_EVE + DAY };
  note('Stripe.ApiList<Stripe.Billing.MeterEventSummary>', await stripe.billing.meters.listEventSummaries(meters.calls, range));
  note('Stripe.ApiList<Stripe.Billing.MeterEventSummary>', await stripe.billing.meters.listEventSummaries(meters.calls, { ...range, value_grouping_window: 'hour' }));
}

/** Event destinations, and the report of a meter that drops an event, which comes some seconds later. */
async function thin(stripe, note) {
  const { eventDestinations, events } = stripe.v2.core;
  const made = await eventDestinations.create({
    name: 'D',
    type: 'webhook_endpoint',
    event_payload: 'thin',
    enabled_events: ['v1.billing.meter.error_report_triggered', 'v1.billing.meter.no_meter_found'],
    webhook_endpoint: { url: 'http://127.0.0.1:9/' },
    include: ['webhook_endpoint.signing_secret', 'webhook_endpoint.url'],
  });
  note('Stripe.V2.Core.EventDestination', made);
  note('Stripe.V2.Core.EventDestination', await eventDestinations.update(made.id, { description: 'D', metadata: { a: 'b' } }));
  note('Stripe.V2.Core.EventDestination', await eventDestinations.retrieve(made.id, { include: ['webhook_endpoint.url'] }));
  note(`Omit<Stripe.V2.Core.Events.V2CoreEventDestinationPingEvent, 'fetchRelatedObject'>`, await eventDestinations.ping(made.id));
  note('Stripe.V2.Core.EventDestination', await eventDestinations.disable(made.id));
  note('Stripe.V2.Core.EventDestination', await eventDestinations.enable(made.id));
  note('Stripe.V2List<Stripe.V2.Core.EventDestination>', await eventDestinations.list({ limit: 1 }));
  await stripe.billing.meterEvents.create({ event_name: 'calls', payload: { stripe_customer_id: 'cus_none', value: '1' } });
  const types = ['v1.billing.meter.error_report_triggered'];
  let reports;
  do {
    await new Promise((resolve) => setTimeout(resolve, 200));
    reports = await events.list({ types });
  } while (reports.data.length === 0);
  const report = `Omit<Stripe.V2.Core.Events.V1BillingMeterErrorReportTriggeredEvent, 'fetchRelatedObject'>`;
  note(`Stripe.V2List<${report}>`, reports);
  const [first] = reports.data;
  note(report, await events.retrieve(first.id));
  note('Stripe.Billing.Meter', await first.fetchRelatedObject());
  note('Stripe.V2.DeletedObject', await eventDestinations.del(made.id));
}

async function subscriptions(stripe, note, { customer, base, calls }) {
  const made = await stripe.subscriptions.create({
    customer: customer.id,
    items: [{ price: base.id, quantity: 2, metadata: { a: 'b' } }, { price: calls.id }],
    discounts: [{ coupon: 'ten' }],
    metadata: { c: 'd' },
    expand: ['latest_invoice.payments', 'latest_invoice.confirmation_secret', 'customer', 'default_payment_method', 'items.data.price.product', 'items.data.price.tiers', 'discounts.source.coupon'],
  });
  note('Stripe.Subscription', made);
  const changed = await stripe.subscriptions.update(made.id, { items: [{ id: made.items.data[0].id, quantity: 3 }] });
  note('Stripe.Subscription', changed);
  note('Stripe.ApiList<Stripe.SubscriptionItem>', await stripe.subscriptionItems.list({ subscription: made.id }));
  note('Stripe.SubscriptionItem', await stripe.subscriptionItems.retrieve(made.items.data[1].id));
  note('Stripe.ApiList<Stripe.InvoiceItem>', await stripe.invoiceItems.list({ customer: customer.id, pending: true, expand: ['data.pricing.price_details.price'] }));
  const classic = await stripe.subscriptions.create({ customer: customer.id, items: [{ price: base.id }], billing_mode: { type: 'classic' } });
  note('Stripe.Subscription', classic);
  note('Stripe.Subscription', await stripe.subscriptions.migrate(classic.id, { billing_mode: { type: 'flexible' } }));
  note('Stripe.Subscription', await stripe.subscriptions.cancel(classic.id, { invoice_now: true, prorate: true, expand: ['latest_invoice'] }));
}

async function preview(stripe, note, { customer, base }) {
  const [subscription] = (await stripe.subscriptions.list({ customer: customer.id })).data;
  const shown = await stripe.invoices.createPreview({
    customer: customer.id,
    subscription: subscription.id,
    subscription_details: { items: [{ id: subscription.items.data[0].id, price: base.id, quantity: 1 }] },
  });
  note('Stripe.Invoice', shown);
  note('Stripe.ApiList<Stripe.InvoiceLineItem>', await stripe.invoices.listLineItems(shown.id));
}

async function invoices(stripe, note, { clock, customer }) {
  note('Stripe.TestHelpers.TestClock', await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: NEW_YEARS_EVE + 31 * DAY }));
  const list = await stripe.invoices.list({ customer: customer.id, expand: ['data.payments'] });
  note('Stripe.ApiList<Stripe.Invoice>', list);
  const invoice = await stripe.invoices.retrieve(list.data[0].id, {
    expand: ['customer', 'parent.subscription_details.subscription', 'discounts', 'payments.data.payment.payment_intent'],
  });
  note('Stripe.Invoice', invoice);
  note('Stripe.ApiList<Stripe.InvoiceLineItem>', await stripe.invoices.listLineItems(invoice.id, { expand: ['data.discounts', 'data.pricing.price_details.price'] }));
  const payments = await stripe.invoicePayments.list({ invoice: invoice.id, expand: ['data.invoice'] });
  note('Stripe.ApiList<Stripe.InvoicePayment>', payments);
  note('Stripe.InvoicePayment', await stripe.invoicePayments.retrieve(payments.data[0].id));
  note('Stripe.Invoice', await stripe.invoices.create({ customer: customer.id, auto_advance: true }));
  note('Stripe.DeletedDiscount', await stripe.subscriptions.deleteDiscount(invoice.parent.subscription_details.subscription.id));
}

async function schedules(stripe, note, { clock, base, calls }) {
  const customer = await stripe.customers.create({ test_clock: clock.id, ...WITH_CARD });
  const schedule = await stripe.subscriptionSchedules.create({
    customer: customer.id,
    start_date: 'now',
    phases: [
      { items: [{ price: base.id, quantity: 1 }, { price: calls.id }], discounts: [{ coupon: 'ten' }], duration: { interval: 'month' } },
      { items: [{ price: base.id, metadata: { a: 'b' } }], trial: true, metadata: { e: 'f' }, duration: { interval: 'week', interval_count: 2 } },
    ],
    expand: ['subscription', 'customer', 'phases.items.price', 'phases.discounts.coupon'],
  });
  note('Stripe.SubscriptionSchedule', schedule);
  const [running] = schedule.phases;
  note('Stripe.SubscriptionSchedule', await stripe.subscriptionSchedules.update(schedule.id, {
    phases: [
      { start_date: running.start_date, end_date: running.end_date, items: [{ price: base.id, quantity: 1 }, { price: calls.id }], discounts: [{ coupon: 'ten' }] },
      { items: [{ price: base.id, quantity: 2 }], duration: { interval: 'month' } },
    ],
  }));
  note('Stripe.SubscriptionSchedule', await stripe.subscriptionSchedules.release(schedule.id, { expand: ['subscription'] }));
}

async function checkout(stripe, note, base) {
  const customer = await stripe.customers.create({ email: 'jane@example.com' });
  const session = await stripe.checkout.sessions.create({
    success_url: 'https://example.com/ok',
    cancel_url: 'https://example.com/back',
    customer: customer.id,
    mode: 'subscription',
    ui_mode: 'hosted_page',
    line_items: [{ price: base.id, quantity: 1 }],
    subscription_data: { billing_mode: { type: 'flexible' } },
    expand: ['customer', 'line_items'],
  });
  note('Stripe.Checkout.Session', session);
}
