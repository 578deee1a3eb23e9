// The customer portal: a session by both clients, and its page as a browser without JavaScript uses it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start, WITH_CARD } from '../sandbox.mjs';

let sandbox;
before(async () => {
  sandbox = await start();
});
after(() => sandbox.stop());

/** Presses the button with this text. */
async function press(url, text) {
  const page = await (await fetch(url)).text();
  const form = new RegExp(`action="([^"]*)"[^<]*<button[^>]*name="([^"]*)"[^>]*value="([^"]*)"[^>]*>${text}<`).exec(page);
  const [, action, name, value] = form ?? assert.fail(page);
  const answer = await fetch(new URL(action, url), { method: 'POST', body: new URLSearchParams({ [name]: value }), redirect: 'manual' });
  assert.deepEqual([answer.status, answer.headers.get('location')], [303, new URL(url).pathname]);
}

for (const [client, mode] of [['stripe', 'classic'], ['later', 'flexible']]) {
  test(`a ${mode} subscription is canceled, and is not`, async () => {
    const stripe = sandbox[client](`sk_test_${mode}`);
    const customer = await stripe.customers.create(WITH_CARD);
    const price = await stripe.prices.create({ currency: 'usd', unit_amount: 500, recurring: { interval: 'month' }, product_data: { name: 'Pro' } });
    const { id } = await stripe.subscriptions.create({ customer: customer.id, items: [{ price: price.id }] });
    const { url } = await stripe.billingPortal.sessions.create({ customer: customer.id, return_url: 'https://example.com/back' });
    assert.ok(url.startsWith(sandbox.url), url);
    await press(url, 'Cancel subscription');
    const canceled = await stripe.subscriptions.retrieve(id);
    const end = canceled.current_period_end ?? canceled.items.data[0].current_period_end;
    assert.deepEqual([canceled.cancel_at, canceled.cancel_at_period_end], [end, mode === 'classic']);
    await press(url, 'Don.t cancel');
    const renewed = await stripe.subscriptions.retrieve(id);
    assert.deepEqual([renewed.cancel_at, renewed.cancel_at_period_end, renewed.canceled_at], [null, false, null]);
  });
}
