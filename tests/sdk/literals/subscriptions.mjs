// Answers about subscriptions, their items and their schedules, as far as the versions call them alike.

import { DAY, NEW_YEARS_EVE, WITH_CARD } from '../sandbox.mjs';

/** Notes a subscription that is changed, one that is not paid, one that pauses after its trial, and schedules. */
export async function subscriptions(stripe, note) {
  const clock = await stripe.testHelpers.testClocks.create({ frozen_time: NEW_YEARS_EVE });
  const price = (unit_amount) => stripe.prices.create({ currency: 'usd', unit_amount, recurring: { interval: 'month' }, product_data: { name: 'P' } });
  const [base, extra] = [(await price(1000)).id, (await price(100)).id];
  const customer = (await stripe.customers.create({ test_clock: clock.id, ...WITH_CARD })).id;
  const made = await stripe.subscriptions.create({ customer, items: [{ price: base }] });
  note('Stripe.Subscription', made);
  await items(stripe, note, made, extra);
  note('Stripe.Subscription', await stripe.subscriptions.update(made.id, { cancel_at_period_end: true, pause_collection: { behavior: 'void' }, expand: ['customer'] }));
  note('Stripe.Subscription', await stripe.subscriptions.retrieve(made.id, { expand: ['latest_invoice', 'test_clock'] }));
  note('Stripe.ApiList<Stripe.Subscription>', await stripe.subscriptions.list({ customer, status: 'all', expand: ['data.customer'] }));
  note('Stripe.Subscription', await stripe.subscriptions.cancel(made.id));
  await schedules(stripe, note, customer, base);
  await unpaid(stripe, note, clock.id, base);
  await paused(stripe, note, clock.id, base);
}

async function items(stripe, note, { id: subscription }, price) {
  const item = await stripe.subscriptionItems.create({ subscription, price, quantity: 2, metadata: { a: 'b' } });
  note('Stripe.SubscriptionItem', item);
  note('Stripe.SubscriptionItem', await stripe.subscriptionItems.update(item.id, { quantity: 3 }));
  note('Stripe.SubscriptionItem', await stripe.subscriptionItems.retrieve(item.id, { expand: ['price.product'] }));
  note('Stripe.ApiList<Stripe.SubscriptionItem>', await stripe.subscriptionItems.list({ subscription }));
  note('Stripe.DeletedSubscriptionItem', await stripe.subscriptionItems.del(item.id));
}

async function schedules(stripe, note, customer, price) {
  const schedule = await stripe.subscriptionSchedules.create({ customer, start_date: NEW_YEARS_EVE + DAY, phases: [{ items: [{ price }], trial: true }] });
  note('Stripe.SubscriptionSchedule', schedule);
  note('Stripe.SubscriptionSchedule', await stripe.subscriptionSchedules.update(schedule.id, { end_behavior: 'cancel', metadata: { a: 'b' } }));
  note('Stripe.SubscriptionSchedule', await stripe.subscriptionSchedules.retrieve(schedule.id, { expand: ['customer'] }));
  note('Stripe.ApiList<Stripe.SubscriptionSchedule>', await stripe.subscriptionSchedules.list({ customer }));
  note('Stripe.SubscriptionSchedule', await stripe.subscriptionSchedules.cancel(schedule.id));
  const other = await stripe.subscriptionSchedules.create({ customer, start_date: 'now', phases: [{ items: [{ price }] }] });
  note('Stripe.SubscriptionSchedule', await stripe.subscriptionSchedules.release(other.id, { expand: ['customer'] }));
}

async function unpaid(stripe, note, clock, price) {
  const customer = await stripe.customers.create({ test_clock: clock });
  const card = await stripe.paymentMethods.attach('pm_card_chargeCustomerFail', { customer: customer.id });
  const incomplete = { customer: customer.id, items: [{ price }], default_payment_method: card.id, payment_behavior: 'allow_incomplete' };
  note('Stripe.Subscription', await stripe.subscriptions.create({ ...incomplete, expand: ['latest_invoice', 'pending_setup_intent'] }));
  note('Stripe.ApiList<Stripe.PaymentIntent>', await stripe.paymentIntents.list({ customer: customer.id, expand: ['data.latest_charge'] }));
}

async function paused(stripe, note, clock, price) {
  const customer = await stripe.customers.create({ test_clock: clock });
  const trial = await stripe.subscriptions.create({
    customer: customer.id,
    items: [{ price }],
    trial_period_days: 1,
    trial_settings: { end_behavior: { missing_payment_method: 'pause' } },
    expand: ['latest_invoice', 'pending_setup_intent', 'test_clock'],
  });
  note('Stripe.Subscription', trial);
  await stripe.testHelpers.testClocks.advance(clock, { frozen_time: NEW_YEARS_EVE + 2 * DAY });
  note('Stripe.Subscription', await stripe.subscriptions.retrieve(trial.id));
  const card = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
  await stripe.customers.update(customer.id, { invoice_settings: { default_payment_method: card.id } });
  note('Stripe.Subscription', await stripe.subscriptions.resume(trial.id, { billing_cycle_anchor: 'now' }));
}
