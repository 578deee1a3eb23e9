// Answers about the sessions of Checkout and of the customer portal.

import { pay } from '../sandbox.mjs';

/** Notes sessions that sell, that have sold, that set up a card, and that have expired. */
export async function checkout(stripe, note) {
  const base = await stripe.prices.create({ currency: 'usd', unit_amount: 1000, recurring: { interval: 'month' }, product_data: { name: 'Base' } });
  const customer = await stripe.customers.create({ email: 'jane@example.com' });
  const urls = { success_url: 'https://example.com/ok', cancel_url: 'https://example.com/back' };
  const session = await stripe.checkout.sessions.create({
    ...urls,
    customer: customer.id,
    mode: 'subscription',
    line_items: [{ price: base.id, quantity: 1 }],
    customer_update: { name: 'auto', address: 'auto' },
    tax_id_collection: { enabled: true },
    automatic_tax: { enabled: true },
    expand: ['customer', 'line_items'],
  });
  note('Stripe.Checkout.Session', session);
  note('Stripe.ApiList<Stripe.LineItem>', await stripe.checkout.sessions.listLineItems(session.id, { expand: ['data.price.product'] }));
  note('Stripe.Checkout.Session', await stripe.checkout.sessions.create({ ...urls, mode: 'setup', currency: 'usd', expand: ['setup_intent'] }));
  const sold = await stripe.checkout.sessions.create({
    ...urls,
    customer: customer.id,
    mode: 'subscription',
    line_items: [{ price: base.id, quantity: 2 }],
    allow_promotion_codes: true,
  });
  await pay(sold.url);
  note('Stripe.Checkout.Session', await stripe.checkout.sessions.retrieve(sold.id, { expand: ['subscription', 'invoice'] }));
  note('Stripe.ApiList<Stripe.Checkout.Session>', await stripe.checkout.sessions.list());
  note('Stripe.Checkout.Session', await stripe.checkout.sessions.expire(session.id));
  note('Stripe.Checkout.Session', await stripe.checkout.sessions.retrieve(session.id));
  const portal = { customer: customer.id, return_url: 'https://example.com/back', locale: 'de' };
  note('Stripe.BillingPortal.Session', await stripe.billingPortal.sessions.create(portal));
  note('Stripe.BillingPortal.Session', await stripe.billingPortal.sessions.create({ customer: customer.id, expand: ['configuration'] }));
}
