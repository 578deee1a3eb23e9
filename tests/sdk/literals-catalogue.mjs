// Answers about accounts, the catalogue, customers and clocks.

/** Notes every shape, plain, expanded, listed and deleted. */
export async function catalogue(stripe, note) {
  await accounts(stripe, note);
  await products(stripe, note);
  await coupons(stripe, note);
  await customers(stripe, note);
  await clocks(stripe, note);
  note('Stripe.ApiList<Stripe.Event>', await stripe.events.list({ limit: 3 }));
  const [event] = (await stripe.events.list({ type: 'customer.updated' })).data;
  note('Stripe.Event', await stripe.events.retrieve(event.id));
}

async function accounts(stripe, note) {
  note('Stripe.Account', await stripe.accounts.retrieve());
  const made = await stripe.accounts.create({
    type: 'standard',
    email: 'a@example.com',
    business_profile: { name: 'Acme' },
    metadata: { a: 'b' },
  });
  note('Stripe.Account', made);
  note('Stripe.ApiList<Stripe.Account>', await stripe.accounts.list());
  note('Stripe.DeletedAccount', await stripe.accounts.del(made.id));
}

async function products(stripe, note) {
  const product = await stripe.products.create({ id: 'p', name: 'P', description: 'D', unit_label: 'call', images: ['https://example.com/p.png'] });
  note('Stripe.Product', product);
  const plain = await stripe.prices.create({ product: 'p', currency: 'usd', unit_amount: 5 });
  note('Stripe.Price', plain);
  note('Stripe.Product', await stripe.products.update('p', { default_price: plain.id, expand: ['default_price.product'] }));
  note('Stripe.ApiList<Stripe.Product>', await stripe.products.list());
  const tiered = {
    product: 'p',
    currency: 'usd',
    recurring: { interval: 'month', usage_type: 'metered', aggregate_usage: 'last_ever' },
    billing_scheme: 'tiered',
    tiers: [
      { up_to: 10, unit_amount: 5, flat_amount: 100 },
      { up_to: 'inf', unit_amount_decimal: '0.5' },
    ],
  };
  note('Stripe.Price', await stripe.prices.create({ ...tiered, tiers_mode: 'volume' }));
  const expand = ['product', 'tiers', 'currency_options'];
  note('Stripe.Price', await stripe.prices.create({ ...tiered, tiers_mode: 'graduated', expand }));
  const packs = { unit_amount_decimal: '1.25', transform_quantity: { divide_by: 3, round: 'up' } };
  note('Stripe.Price', await stripe.prices.create({ product: 'p', currency: 'usd', lookup_key: 'k', recurring: { interval: 'year' }, ...packs, expand: ['currency_options'] }));
  note('Stripe.ApiList<Stripe.Price>', await stripe.prices.list({ expand: ['data.tiers', 'data.product'] }));
}

async function coupons(stripe, note) {
  note('Stripe.Coupon', await stripe.coupons.create({ id: 'ten', percent_off: 12.5, duration: 'forever', name: 'Ten' }));
  note('Stripe.Coupon', await stripe.coupons.create({ id: 'five', amount_off: 500, currency: 'usd', duration: 'repeating', duration_in_months: 3 }));
  note('Stripe.ApiList<Stripe.Coupon>', await stripe.coupons.list());
  note('Stripe.DeletedCoupon', await stripe.coupons.del('five'));
}

async function customers(stripe, note) {
  note('Stripe.Customer', await stripe.customers.create({}));
  const full = await stripe.customers.create({
    email: 'jane@example.com',
    name: 'Jane',
    phone: '1',
    description: 'D',
    coupon: 'ten',
    payment_method: 'pm_card_visa',
    invoice_settings: { default_payment_method: 'pm_card_visa', footer: 'F' },
    address: { line1: '1', city: 'C', country: 'DE' },
    shipping: { name: 'J', address: { line1: '1' } },
    preferred_locales: ['de'],
    metadata: { k: 'v' },
  });
  note('Stripe.Customer', full);
  note('Stripe.Customer', await stripe.customers.update(full.id, {
    name: 'J',
    tax_exempt: 'reverse',
    expand: ['invoice_settings.default_payment_method.customer', 'discount.customer', 'tax', 'sources', 'tax_ids', 'subscriptions'],
  }));
  note('Stripe.ApiList<Stripe.Customer>', await stripe.customers.list());
  note('Stripe.ApiSearchResult<Stripe.Customer>', await stripe.customers.search({ query: "metadata['k']:'v'" }));
  const cards = await stripe.customers.listPaymentMethods(full.id, { expand: ['data.customer'] });
  note('Stripe.ApiList<Stripe.PaymentMethod>', cards);
  note('Stripe.PaymentMethod', await stripe.paymentMethods.detach(cards.data[0].id));
  const intent = await stripe.setupIntents.create({ customer: full.id });
  note('Stripe.SetupIntent', intent);
  note('Stripe.SetupIntent', await stripe.setupIntents.confirm(intent.id, { payment_method: 'pm_card_amex', expand: ['customer', 'payment_method'] }));
  note('Stripe.DeletedCustomer', await stripe.customers.del(full.id));
  note('Stripe.Customer | Stripe.DeletedCustomer', await stripe.customers.retrieve(full.id));
}

async function clocks(stripe, note) {
  const { testClocks } = stripe.testHelpers;
  const clock = await testClocks.create({ frozen_time: 1577750400 });
  note('Stripe.TestHelpers.TestClock', clock);
  note('Stripe.Customer', await stripe.customers.create({ test_clock: clock.id, expand: ['test_clock'] }));
  note('Stripe.TestHelpers.TestClock', await testClocks.advance(clock.id, { frozen_time: 1577750401 }));
  note('Stripe.ApiList<Stripe.TestHelpers.TestClock>', await testClocks.list());
  note('Stripe.TestHelpers.DeletedTestClock', await testClocks.del(clock.id));
}
