// Subscriptions, schedules, usage and invoices, on test clocks.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DAY, NEW_YEARS_EVE, WITH_CARD, all, refused, start } from '../sandbox.mjs';

let sandbox, stripe;
before(async () => {
  sandbox = await start();
  stripe = sandbox.stripe();
});
after(() => sandbox.stop());

/** A customer on a clock of its own, with a card. */
async function customer() {
  const clock = await stripe.testHelpers.testClocks.create({ frozen_time: NEW_YEARS_EVE });
  const made = await stripe.customers.create({ test_clock: clock.id, ...WITH_CARD });
  const advance = (to) => stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: to });
  return { id: made.id, clock: clock.id, advance };
}

const price = (params) =>
  stripe.prices.create({ currency: 'usd', recurring: { interval: 'month' }, product_data: { name: 'N' }, ...params });
const metered = (params) => price({ ...params, recurring: { interval: 'month', usage_type: 'metered', aggregate_usage: 'sum' } });

test('subscriptions are made, changed, listed and canceled', async () => {
  const { id } = await customer();
  const base = await price({ unit_amount: 1000 });
  const made = await stripe.subscriptions.create({ customer: id, items: [{ price: base.id, quantity: 2 }], metadata: { a: 'b' } });
  assert.equal(made.status, 'active');
  assert.equal(made.items.data[0].quantity, 2);
  assert.equal(made.current_period_start, NEW_YEARS_EVE);
  const found = await stripe.subscriptions.retrieve(made.id, { expand: ['latest_invoice', 'customer', 'default_payment_method'] });
  assert.deepEqual([found.latest_invoice.total, found.latest_invoice.status], [2000, 'paid']);
  assert.equal(found.customer.id, id);
  const changed = await stripe.subscriptions.update(made.id, { metadata: { a: '', c: 'd' }, cancel_at_period_end: true });
  assert.deepEqual(changed.metadata, { c: 'd' });
  assert.equal(changed.cancel_at, changed.current_period_end);
  const items = await stripe.subscriptionItems.list({ subscription: made.id });
  assert.equal(items.data[0].price.id, base.id);
  assert.deepEqual((await stripe.subscriptions.list({ customer: id })).data.map((one) => one.id), [made.id]);
  assert.equal((await stripe.subscriptions.list()).data.length, 0, 'those on clocks are hidden');
  assert.equal((await stripe.subscriptions.del(made.id)).status, 'canceled');
  assert.equal((await stripe.subscriptions.list({ customer: id })).data.length, 0);
  assert.equal((await stripe.subscriptions.list({ customer: id, status: 'canceled' })).data.length, 1);
});

test('usage is reported, summed up, previewed and billed', async () => {
  const { id, advance } = await customer();
  const calls = await metered({
    billing_scheme: 'tiered',
    tiers_mode: 'graduated',
    tiers: [
      { up_to: 1000, unit_amount: 0, flat_amount: 900 },
      { up_to: 'inf', unit_amount_decimal: '3.6', flat_amount: 0 },
    ],
  });
  const subscription = await stripe.subscriptions.create({ customer: id, items: [{ price: calls.id }] });
  const item = subscription.items.data[0].id;
  await stripe.subscriptionItems.createUsageRecord(item, { quantity: 1000, timestamp: 'now', action: 'increment' });
  const record = await stripe.subscriptionItems.createUsageRecord(item, { quantity: 31, timestamp: 'now' });
  assert.equal(record.object, 'usage_record');
  const summaries = await stripe.subscriptionItems.listUsageRecordSummaries(item);
  assert.equal(summaries.data[0].total_usage, 1031);
  const upcoming = await stripe.invoices.retrieveUpcoming({ customer: id });
  assert.equal(upcoming.total, 1012);
  assert.equal(upcoming.id, undefined);
  const lines = await all(stripe.invoices.listUpcomingLines({ customer: id, expand: ['data.price.tiers'], limit: 100 }));
  const shown = [[1000, 0], [0, 900], [31, 112], [0, 0]];
  assert.deepEqual(lines.map((line) => [line.quantity, line.amount]), shown);
  assert.equal(lines[0].price.tiers.length, 2);
  await advance(NEW_YEARS_EVE + 31 * DAY);
  const [renewal, first] = (await stripe.invoices.list({ customer: id })).data;
  assert.equal(renewal.total, 1012);
  assert.deepEqual(renewal.lines.data.map((line) => [line.quantity, line.amount]), shown);
  assert.deepEqual(first.lines.data.map((line) => [line.quantity, line.amount]), [[0, 0]]);
  assert.equal((await stripe.invoices.retrieve(renewal.id)).number, renewal.number);
  assert.equal((await all(stripe.invoices.listLineItems(renewal.id, { limit: 1 }))).length, 4);
});

test('schedules run their phases and let go', async () => {
  const { id, advance } = await customer();
  const [cheap, dear] = [await price({ unit_amount: 100 }), await price({ unit_amount: 900 })];
  const schedule = await stripe.subscriptionSchedules.create({
    customer: id,
    start_date: 'now',
    phases: [
      { items: [{ price: cheap.id }], trial: true, end_date: NEW_YEARS_EVE + 14 * DAY, metadata: { phase: 'first' } },
      { items: [{ price: dear.id }], metadata: { phase: 'second' } },
    ],
    expand: ['subscription', 'phases.items.price'],
  });
  assert.equal(schedule.status, 'active');
  assert.equal(schedule.subscription.status, 'trialing');
  assert.equal(schedule.phases[0].items[0].price.id, cheap.id);
  const listed = await stripe.subscriptions.list({ customer: id, expand: ['data.schedule'] });
  assert.equal(listed.data[0].schedule.id, schedule.id);
  assert.deepEqual(listed.data[0].metadata, { phase: 'first' });
  await advance(NEW_YEARS_EVE + 15 * DAY);
  const second = await stripe.subscriptions.retrieve(listed.data[0].id);
  assert.deepEqual([second.status, second.metadata.phase, second.items.data[0].price.id], ['active', 'second', dear.id]);
  const current = await stripe.subscriptionSchedules.retrieve(schedule.id);
  const updated = await stripe.subscriptionSchedules.update(schedule.id, {
    end_behavior: 'cancel',
    phases: [{ start_date: current.current_phase.start_date, end_date: NEW_YEARS_EVE + 60 * DAY, items: [{ price: cheap.id }] }],
  });
  assert.equal(updated.end_behavior, 'cancel');
  assert.equal((await stripe.subscriptionSchedules.list({ customer: id })).data.length, 1);
  const released = await stripe.subscriptionSchedules.release(schedule.id);
  assert.deepEqual([released.status, released.released_subscription], ['released', second.id]);
  assert.match((await refused(stripe.subscriptionSchedules.release(schedule.id))).message, /released/);
  const again = await stripe.subscriptionSchedules.create({ from_subscription: second.id });
  assert.equal(again.phases.length, 1);
  assert.equal((await stripe.subscriptionSchedules.cancel(again.id)).status, 'canceled');
  assert.equal((await stripe.subscriptions.retrieve(second.id)).status, 'canceled');
});

test('nothing upcoming is a 404', async () => {
  const { id } = await customer();
  const error = await refused(stripe.invoices.retrieveUpcoming({ customer: id }));
  assert.deepEqual([error.statusCode, error.code], [404, 'invoice_upcoming_none']);
});
