// Customers, their cards, set-up intents, test clocks and events.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { all, refused, start } from '../sandbox.mjs';

let sandbox, stripe;
before(async () => {
  sandbox = await start();
  stripe = sandbox.stripe();
});
after(() => sandbox.stop());

test('customers', async () => {
  const made = await stripe.customers.create({ email: 'jane@example.com', metadata: { org: 'org:jane' } });
  const changed = await stripe.customers.update(made.id, { name: 'Jane', address: { country: 'DE' } });
  assert.equal(changed.address.country, 'DE');
  assert.equal((await stripe.customers.retrieve(made.id)).name, 'Jane');
  const found = await stripe.customers.search({ query: "metadata['org']:'ORG:JANE'" });
  assert.deepEqual(found.data.map((customer) => customer.id), [made.id]);
  assert.equal((await stripe.customers.search({ query: "email:'jane@example.com' AND metadata['org']:'x'" })).data.length, 0);
  for (let n = 0; n < 15; n++) await stripe.customers.create({ metadata: { n } });
  assert.equal((await all(stripe.customers.list({ limit: 4 }))).length, 16);
  assert.equal((await stripe.customers.del(made.id)).deleted, true);
  assert.equal((await stripe.customers.retrieve(made.id)).deleted, true);
  assert.equal((await refused(stripe.customers.create({ email: 'x' }))).code, 'email_invalid');
});

test('payment methods', async () => {
  const customer = await stripe.customers.create({ payment_method: 'pm_card_visa' });
  const made = await stripe.paymentMethods.create({
    type: 'card',
    card: { number: '5555555555554444', exp_month: 12, exp_year: new Date().getFullYear() + 1, cvc: '123' },
  });
  assert.equal((await stripe.paymentMethods.retrieve(made.id)).card.brand, 'mastercard');
  await stripe.paymentMethods.attach(made.id, { customer: customer.id });
  const listed = await stripe.customers.listPaymentMethods(customer.id, { type: 'card' });
  assert.equal(listed.data.length, 2);
  assert.equal((await stripe.paymentMethods.detach(made.id)).customer, null);
  assert.equal((await stripe.customers.listPaymentMethods(customer.id)).data.length, 1);
});

test('set-up intents', async () => {
  const customer = await stripe.customers.create({});
  const intent = await stripe.setupIntents.create({ customer: customer.id, payment_method_types: ['card'] });
  assert.equal(intent.status, 'requires_payment_method');
  const done = await stripe.setupIntents.confirm(intent.id, { payment_method: 'pm_card_visa' });
  assert.equal(done.status, 'succeeded');
  assert.equal((await stripe.setupIntents.retrieve(intent.id)).status, 'succeeded');
});

test('test clocks', async () => {
  const clocks = stripe.testHelpers.testClocks;
  const clock = await clocks.create({ frozen_time: 1577750400, name: 'C' });
  const customer = await stripe.customers.create({ test_clock: clock.id });
  assert.equal(customer.created, 1577750400);
  assert.equal((await clocks.advance(clock.id, { frozen_time: 1577750400 + 86400 })).status, 'advancing');
  const ready = await clocks.retrieve(clock.id);
  assert.deepEqual([ready.status, ready.frozen_time], ['ready', 1577750400 + 86400]);
  assert.equal((await clocks.list()).data.length, 1);
  assert.equal((await stripe.customers.list({ test_clock: clock.id })).data.length, 1);
  assert.equal((await clocks.del(clock.id)).deleted, true);
  assert.equal((await refused(stripe.customers.retrieve(customer.id))).statusCode, 404);
});

test('events', async () => {
  const customer = await stripe.customers.create({ name: 'E' });
  const events = await stripe.events.list({ type: 'customer.created', limit: 1 });
  assert.equal(events.data[0].data.object.id, customer.id);
  assert.equal((await stripe.events.retrieve(events.data[0].id)).type, 'customer.created');
});
