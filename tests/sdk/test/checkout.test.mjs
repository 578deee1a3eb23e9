// Checkout: sessions by the client, and their pages as a browser without JavaScript uses them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pay, start } from '../sandbox.mjs';

let sandbox, stripe;
before(async () => {
  sandbox = await start();
  stripe = sandbox.stripe();
});
after(() => sandbox.stop());

const SUCCESS = 'https://example.com/done?session={CHECKOUT_SESSION_ID}';

test('a subscription is bought', async () => {
  const customer = await stripe.customers.create({ name: '<b>Jane</b>' });
  const price = await stripe.prices.create({
    currency: 'usd',
    unit_amount: 500,
    recurring: { interval: 'month' },
    product_data: { name: 'Pro <plan>' },
  });
  const session = await stripe.checkout.sessions.create({
    customer: customer.id,
    mode: 'subscription',
    line_items: [{ price: price.id, quantity: 1 }],
    success_url: SUCCESS,
    cancel_url: 'https://example.com/back',
    subscription_data: { metadata: { 'tier.subscription': 'default' } },
  });
  assert.deepEqual([session.status, session.mode], ['open', 'subscription']);
  assert.ok(session.url.startsWith(sandbox.url), session.url);
  const page = await (await fetch(session.url)).text();
  assert.ok(!page.includes('<plan>') && page.includes('Pro &lt;plan&gt;'), page);
  assert.equal(await pay(session.url), SUCCESS.replace('{CHECKOUT_SESSION_ID}', session.id));
  const done = await stripe.checkout.sessions.retrieve(session.id, { expand: ['subscription', 'line_items'] });
  assert.deepEqual([done.status, done.payment_status], ['complete', 'paid']);
  assert.deepEqual(done.subscription.metadata, { 'tier.subscription': 'default' });
  assert.equal(done.line_items.data[0].price.id, price.id);
  assert.equal((await stripe.customers.listPaymentMethods(customer.id)).data.length, 1);
});

test('a card is set up', async () => {
  const customer = await stripe.customers.create({});
  const session = await stripe.checkout.sessions.create({
    customer: customer.id,
    mode: 'setup',
    payment_method_types: ['card'],
    success_url: SUCCESS,
  });
  await pay(session.url);
  const done = await stripe.checkout.sessions.retrieve(session.id, { expand: ['setup_intent'] });
  assert.equal(done.setup_intent.status, 'succeeded');
  assert.equal((await stripe.customers.listPaymentMethods(customer.id)).data.length, 1);
});

test('sessions are listed and expired', async () => {
  const other = sandbox.stripe('sk_test_sessions');
  const session = await other.checkout.sessions.create({ mode: 'setup', payment_method_types: ['card'], success_url: SUCCESS });
  assert.deepEqual((await other.checkout.sessions.list()).data.map((one) => one.id), [session.id]);
  assert.equal((await other.checkout.sessions.expire(session.id)).status, 'expired');
  assert.equal((await other.checkout.sessions.retrieve(session.id)).url, null);
});
