// Answers that only 2022-11-15 gives, or asks for in its own way: coupons, usage records, upcoming invoices, credit notes.

import { DAY, NEW_YEARS_EVE, WITH_CARD } from '../sandbox.mjs';
import { promotionCodes } from './catalogue.mjs';

/** Notes every shape: plain, expanded, deleted, trialing, discounted and upcoming. */
export async function earlier(stripe, note) {
  note('Stripe.Account', await stripe.accounts.retrieve());
  const prices = await catalogue(stripe, note);
  const clock = await stripe.testHelpers.testClocks.create({ frozen_time: NEW_YEARS_EVE });
  const customer = await stripe.customers.create({ test_clock: clock.id, coupon: 'half', ...WITH_CARD });
  const subscription = await subscribed(stripe, note, customer.id, prices);
  await upcoming(stripe, note, customer.id, subscription.id);
  note('Stripe.DeletedDiscount', await stripe.subscriptions.deleteDiscount(subscription.id));
  await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: NEW_YEARS_EVE + 31 * DAY });
  await invoices(stripe, note, customer.id);
  await scheduled(stripe, note, subscription.id, prices);
  await trialing(stripe, note, clock.id, prices);
}

async function catalogue(stripe, note) {
  await stripe.coupons.create({ id: 'half', percent_off: 50, duration: 'forever' });
  const code = await stripe.promotionCodes.create({ coupon: 'half', code: 'HALF' });
  note('Stripe.PromotionCode', code);
  await promotionCodes(stripe, note, code.id);
  const base = await stripe.prices.create({ currency: 'usd', unit_amount: 1000, recurring: { interval: 'month' }, product_data: { name: 'Base' } });
  const calls = {
    currency: 'usd',
    product_data: { name: 'Calls', unit_label: 'call' },
    billing_scheme: 'tiered',
    tiers: [
      { up_to: 10, unit_amount: 1, flat_amount: 100 },
      { up_to: 'inf', unit_amount_decimal: '0.5' },
    ],
    expand: ['product', 'tiers', 'currency_options'],
  };
  const metered = { interval: 'month', usage_type: 'metered' };
  note('Stripe.Price', await stripe.prices.create({ ...calls, tiers_mode: 'volume', recurring: { ...metered, aggregate_usage: 'last_ever' } }));
  const graduated = await stripe.prices.create({ ...calls, tiers_mode: 'graduated', recurring: metered });
  note('Stripe.Price', graduated);
  note('Stripe.ApiList<Stripe.Price>', await stripe.prices.list({ expand: ['data.tiers', 'data.product'] }));
  return { base: base.id, calls: graduated.id };
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
  await credited(stripe, note, invoice);
}

async function credited(stripe, note, { id: invoice, customer: { id: customer }, lines }) {
  const line = lines.data.find(({ amount }) => amount > 50);
  const credit = { invoice, lines: [{ type: 'invoice_line_item', invoice_line_item: line.id, amount: 50 }], credit_amount: 50 };
  note('Stripe.CreditNote', await stripe.creditNotes.preview(credit));
  note('Stripe.ApiList<Stripe.CreditNoteLineItem>', await stripe.creditNotes.listPreviewLineItems(credit));
  const made = await stripe.creditNotes.create({ ...credit, reason: 'duplicate', memo: 'M', expand: ['invoice', 'customer', 'customer_balance_transaction'] });
  note('Stripe.CreditNote', made);
  const refunding = { invoice, amount: 20, refund_amount: 20, expand: ['refund'] };
  note('Stripe.CreditNote', await stripe.creditNotes.create(refunding));
  note('Stripe.CreditNote', await stripe.creditNotes.update(made.id, { memo: 'N', metadata: { a: 'b' } }));
  note('Stripe.CreditNote', await stripe.creditNotes.retrieve(made.id));
  note('Stripe.ApiList<Stripe.CreditNote>', await stripe.creditNotes.list({ invoice }));
  note('Stripe.ApiList<Stripe.CreditNoteLineItem>', await stripe.creditNotes.listLineItems(made.id));
  await stripe.invoiceItems.create({ customer, currency: 'usd', amount: 900 });
  const open = await stripe.invoices.create({ customer, pending_invoice_items_behavior: 'include' });
  await stripe.invoices.finalizeInvoice(open.id);
  const mistaken = await stripe.creditNotes.create({ invoice: open.id, amount: 50 });
  note('Stripe.CreditNote', await stripe.creditNotes.voidCreditNote(mistaken.id));
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
