// Answers about products, prices and coupons.

/** Notes every shape: plain, expanded, listed, updated and deleted. */
export async function catalogue(stripe, note) {
  await products(stripe, note);
  await prices(stripe, note);
  await coupons(stripe, note);
}

async function products(stripe, note) {
  note('Stripe.Product', await stripe.products.create({ id: 'p', name: 'P', description: 'D', unit_label: 'call', images: ['https://example.com/p.png'] }));
  const plain = await stripe.prices.create({ product: 'p', currency: 'usd', unit_amount: 5 });
  note('Stripe.Price', plain);
  note('Stripe.Product', await stripe.products.update('p', { default_price: plain.id, expand: ['default_price.product'] }));
  note('Stripe.Product', await stripe.products.retrieve('p'));
  note('Stripe.ApiList<Stripe.Product>', await stripe.products.list());
  const unused = await stripe.products.create({ name: 'Unused' });
  note('Stripe.DeletedProduct', await stripe.products.del(unused.id));
}

async function prices(stripe, note) {
  const packs = await stripe.prices.create({
    product: 'p',
    currency: 'usd',
    lookup_key: 'k',
    recurring: { interval: 'year' },
    unit_amount_decimal: '1.25',
    transform_quantity: { divide_by: 3, round: 'up' },
    expand: ['currency_options'],
  });
  note('Stripe.Price', packs);
  note('Stripe.Price', await stripe.prices.update(packs.id, { nickname: 'N', metadata: { a: 'b' } }));
  note('Stripe.Price', await stripe.prices.retrieve(packs.id, { expand: ['product'] }));
  note('Stripe.ApiList<Stripe.Price>', await stripe.prices.list({ expand: ['data.product'] }));
}

async function coupons(stripe, note) {
  note('Stripe.Coupon', await stripe.coupons.create({ id: 'ten', percent_off: 12.5, duration: 'forever', name: 'Ten' }));
  note('Stripe.Coupon', await stripe.coupons.create({ id: 'five', amount_off: 500, currency: 'usd', duration: 'repeating', duration_in_months: 3 }));
  note('Stripe.Coupon', await stripe.coupons.update('five', { name: 'Five', metadata: { a: 'b' } }));
  note('Stripe.Coupon', await stripe.coupons.retrieve('five'));
  note('Stripe.ApiList<Stripe.Coupon>', await stripe.coupons.list());
  note('Stripe.DeletedCoupon', await stripe.coupons.del('five'));
}

/** Notes a promotion code that was made in the way of its version. */
export async function promotionCodes(stripe, note, code) {
  note('Stripe.PromotionCode', await stripe.promotionCodes.update(code, { metadata: { a: 'b' } }));
  note('Stripe.PromotionCode', await stripe.promotionCodes.retrieve(code));
  note('Stripe.ApiList<Stripe.PromotionCode>', await stripe.promotionCodes.list());
}
