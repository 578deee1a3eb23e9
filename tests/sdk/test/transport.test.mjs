// Keys, errors, idempotency and retries, as Stripe's client sees them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { refused, start } from '../sandbox.mjs';

let sandbox;
before(async () => (sandbox = await start()));
after(() => sandbox.stop());

test('keys that are none are refused', async () => {
  const error = await refused(sandbox.stripe('nonsense').customers.list());
  assert.equal(error.type, 'StripeAuthenticationError');
  assert.equal(error.statusCode, 401);
  const live = await refused(sandbox.stripe('sk_live_123').customers.list());
  assert.match(live.message, /test keys only/);
});

test('errors have type, code, param and request id', async () => {
  const stripe = sandbox.stripe();
  const missing = await refused(stripe.customers.retrieve('cus_none'));
  assert.equal(missing.type, 'StripeInvalidRequestError');
  assert.equal(missing.code, 'resource_missing');
  assert.equal(missing.param, 'id');
  assert.match(missing.requestId, /^req_/);
  const unknown = await refused(stripe.customers.create({ foo: 1 }));
  assert.equal(unknown.code, 'parameter_unknown');
});

test('an idempotency key gives the first answer again', async () => {
  const stripe = sandbox.stripe('sk_test_keys');
  const options = { idempotencyKey: 'once' };
  const first = await stripe.customers.create({ email: 'a@example.com' }, options);
  const again = await stripe.customers.create({ email: 'a@example.com' }, options);
  assert.equal(again.id, first.id);
  assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
  const other = await refused(stripe.customers.create({ email: 'b@example.com' }, options));
  assert.equal(other.type, 'StripeIdempotencyError');
});

test('the client retries what the sandbox breaks', async () => {
  const key = 'sk_test_retries';
  const stripe = sandbox.stripe(key, { maxNetworkRetries: 2 });
  const fault = (form) =>
    fetch(`${sandbox.url}/_sandbox/faults`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: new URLSearchParams({ method: 'POST', path: '/v1/customers', count: '1', ...form }),
    });
  for (const form of [{ action: 'drop' }, { action: 'drop', when: 'after' }, { action: '500' }]) {
    await fault(form);
    await stripe.customers.create({ metadata: { fault: JSON.stringify(form) } });
  }
  const made = await stripe.customers.list();
  assert.equal(made.data.length, 3);
});

test('connected accounts are apart', async () => {
  const stripe = sandbox.stripe('sk_test_platform');
  const account = await stripe.accounts.create({ type: 'standard', business_profile: { name: 'Acme' } });
  await stripe.customers.create({}, { stripeAccount: account.id });
  assert.equal((await stripe.customers.list()).data.length, 0);
  assert.equal((await stripe.customers.list({}, { stripeAccount: account.id })).data.length, 1);
  assert.equal((await stripe.accounts.list()).data[0].id, account.id);
  assert.equal((await stripe.accounts.retrieve()).object, 'account');
  assert.equal((await stripe.accounts.del(account.id)).deleted, true);
  const gone = await refused(stripe.customers.list({}, { stripeAccount: account.id }));
  assert.equal(gone.statusCode, 403);
  assert.equal(gone.code, 'account_invalid');
});
