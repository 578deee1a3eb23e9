// Answers about customers, their balance and their discount.

import { get } from '../sandbox.mjs';

/** Notes every shape: plain, full, expanded, found and deleted. */
export async function customers(stripe, note, earlier) {
  note('Stripe.Customer', await stripe.customers.create({}));
  const full = await stripe.customers.create({
    email: 'jane@example.com',
    name: 'Jane',
    phone: '1',
    description: 'D',
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
    expand: ['invoice_settings.default_payment_method.customer', 'tax', 'sources', 'tax_ids', 'subscriptions'],
  }));
  note('Stripe.ApiList<Stripe.Customer>', await stripe.customers.list());
  note('Stripe.ApiSearchResult<Stripe.Customer>', await stripe.customers.search({ query: "metadata['k']:'v'" }));
  await balance(stripe, note, full.id);
  await discount(stripe, note, full.id, earlier);
  note('Stripe.DeletedCustomer', await stripe.customers.del(full.id));
  note('Stripe.Customer | Stripe.DeletedCustomer', await stripe.customers.retrieve(full.id));
}

async function balance(stripe, note, customer) {
  const made = await stripe.customers.createBalanceTransaction(customer, { amount: -500, currency: 'usd' });
  note('Stripe.CustomerBalanceTransaction', made);
  note('Stripe.CustomerBalanceTransaction', await stripe.customers.updateBalanceTransaction(customer, made.id, { description: 'D', metadata: { a: 'b' } }));
  note('Stripe.CustomerBalanceTransaction', await stripe.customers.retrieveBalanceTransaction(customer, made.id, { expand: ['customer'] }));
  note('Stripe.ApiList<Stripe.CustomerBalanceTransaction>', await stripe.customers.listBalanceTransactions(customer));
}

async function discount(stripe, note, customer, earlier) {
  await stripe.coupons.create({ id: 'ten', percent_off: 10, duration: 'forever' });
  // Later versions do not let a customer have a coupon, but show the ones there are.
  await earlier.customers.update(customer, { coupon: 'ten' });
  note('Stripe.Customer', await stripe.customers.retrieve(customer, { expand: ['discount.customer'] }));
  note('Stripe.Discount', await get(stripe, `/v1/customers/${customer}/discount`));
  note('Stripe.DeletedDiscount', await stripe.customers.deleteDiscount(customer));
}
