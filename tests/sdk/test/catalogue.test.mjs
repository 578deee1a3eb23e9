// Products, prices and coupons.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { all, refused, start } from '../sandbox.mjs';

let sandbox, stripe;
before(async () => {
  sandbox = await start();
  stripe = sandbox.stripe();
});
after(() => sandbox.stop());

test('products', async () => {
  const made = await stripe.products.create({ id: 'p1', name: 'One', active: false, metadata: { a: 'b' } });
  assert.equal(made.id, 'p1');
  const changed = await stripe.products.update('p1', { name: 'Eins', metadata: { a: '', c: 'd' } });
  assert.deepEqual(changed.metadata, { c: 'd' });
  assert.deepEqual({ ...(await stripe.products.retrieve('p1')) }, { ...changed });
  for (let n = 0; n < 12; n++) await stripe.products.create({ name: `N${n}` });
  assert.equal((await all(stripe.products.list({ limit: 5 }))).length, 13);
  assert.equal((await refused(stripe.products.create({ id: 'p1', name: 'One' }))).code, 'resource_already_exists');
});

test('prices', async () => {
  const made = await stripe.prices.create({
    lookup_key: 'key-1',
    currency: 'usd',
    product_data: { id: 'p2', name: 'Two', metadata: { 'a.b': 'c' } },
    recurring: { interval: 'month', usage_type: 'metered', aggregate_usage: 'max' },
    billing_scheme: 'tiered',
    tiers_mode: 'graduated',
    tiers: [
      { up_to: 10, unit_amount: 5, flat_amount: 100 },
      { up_to: 'inf', unit_amount_decimal: '0.5' },
    ],
    metadata: { 'tier.feature': 'feature:x@plan:y@1' },
    expand: ['tiers', 'product'],
  });
  assert.equal(made.product.name, 'Two');
  assert.deepEqual(made.tiers.map((tier) => tier.up_to), [10, null]);
  assert.equal(made.tiers[1].unit_amount_decimal, '0.5');
  const found = await stripe.prices.list({ lookup_keys: ['key-1', 'key-2'], expand: ['data.tiers'] });
  assert.deepEqual(found.data[0].tiers, made.tiers);
  const updated = await stripe.prices.update(made.id, { active: false, nickname: 'Nick' });
  assert.equal(updated.nickname, 'Nick');
  assert.equal((await stripe.prices.retrieve(made.id)).active, false);
  assert.equal((await stripe.prices.list({ active: true })).data.length, 0);
});

test('coupons', async () => {
  const made = await stripe.coupons.create({ id: 'ten', percent_off: 10, duration: 'forever' });
  assert.equal(made.percent_off, 10);
  assert.equal((await stripe.coupons.retrieve('ten')).duration, 'forever');
  assert.deepEqual((await stripe.coupons.list()).data.map((coupon) => coupon.id), ['ten']);
  assert.equal((await stripe.coupons.del('ten')).deleted, true);
  assert.equal((await refused(stripe.coupons.retrieve('ten'))).statusCode, 404);
});
