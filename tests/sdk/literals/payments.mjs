// Answers about payment methods, setups, payments, charges, refunds and what they did to the balance.

import { get } from '../sandbox.mjs';

/** Notes every shape: those that wait, those that are done, and those that are undone. */
export async function payments(stripe, note) {
  const customer = await stripe.customers.create({ email: 'jane@example.com' });
  const card = await methods(stripe, note, customer.id);
  await setups(stripe, note, customer.id);
  await intents(stripe, note, customer.id, card);
  const paid = await stripe.paymentIntents.create({
    customer: customer.id,
    amount: 700,
    currency: 'usd',
    payment_method: card,
    confirm: true,
    off_session: true,
    expand: ['latest_charge', 'customer', 'payment_method'],
  });
  note('Stripe.PaymentIntent', paid);
  await charges(stripe, note, paid.latest_charge.id);
  await refunds(stripe, note, paid);
  const balance = await stripe.balanceTransactions.list();
  note('Stripe.ApiList<Stripe.BalanceTransaction>', balance);
  note('Stripe.BalanceTransaction', await stripe.balanceTransactions.retrieve(balance.data[0].id, { expand: ['source'] }));
}

async function methods(stripe, note, customer) {
  const made = await stripe.paymentMethods.create({
    type: 'card',
    card: { number: '5555555555554444', exp_month: 12, exp_year: new Date().getFullYear() + 1, cvc: '123' },
    billing_details: { name: 'Jane', address: { country: 'DE' } },
  });
  note('Stripe.PaymentMethod', made);
  note('Stripe.PaymentMethod', await stripe.paymentMethods.attach(made.id, { customer, expand: ['customer'] }));
  note('Stripe.PaymentMethod', await stripe.paymentMethods.update(made.id, { metadata: { a: 'b' } }));
  note('Stripe.PaymentMethod', await stripe.paymentMethods.retrieve(made.id));
  note('Stripe.ApiList<Stripe.PaymentMethod>', await stripe.paymentMethods.list({ customer, type: 'card' }));
  note('Stripe.PaymentMethod', await stripe.customers.retrievePaymentMethod(customer, made.id));
  note('Stripe.ApiList<Stripe.PaymentMethod>', await stripe.customers.listPaymentMethods(customer, { expand: ['data.customer'] }));
  note('Stripe.PaymentMethod', await stripe.paymentMethods.detach(made.id));
  const kept = await stripe.paymentMethods.attach('pm_card_visa', { customer });
  return kept.id;
}

async function setups(stripe, note, customer) {
  const intent = await stripe.setupIntents.create({ customer });
  note('Stripe.SetupIntent', intent);
  note('Stripe.SetupIntent', await stripe.setupIntents.confirm(intent.id, { payment_method: 'pm_card_amex', expand: ['customer', 'payment_method'] }));
  note('Stripe.SetupIntent', await stripe.setupIntents.retrieve(intent.id));
}

async function intents(stripe, note, customer, card) {
  const intent = await stripe.paymentIntents.create({ customer, amount: 500, currency: 'usd', capture_method: 'manual' });
  note('Stripe.PaymentIntent', intent);
  note('Stripe.PaymentIntent', await stripe.paymentIntents.update(intent.id, { description: 'D', metadata: { a: 'b' } }));
  note('Stripe.PaymentIntent', await stripe.paymentIntents.confirm(intent.id, { payment_method: card, return_url: 'https://example.com' }));
  note('Stripe.PaymentIntent', await stripe.paymentIntents.capture(intent.id));
  note('Stripe.PaymentIntent', await stripe.paymentIntents.retrieve(intent.id));
  const other = await stripe.paymentIntents.create({ customer, amount: 500, currency: 'usd', payment_method: 'pm_card_authenticationRequired', confirm: true, return_url: 'https://example.com' });
  note('Stripe.PaymentIntent', other);
  note('Stripe.PaymentIntent', await stripe.paymentIntents.cancel(other.id, { cancellation_reason: 'abandoned' }));
  note('Stripe.ApiList<Stripe.PaymentIntent>', await stripe.paymentIntents.list({ customer }));
}

async function charges(stripe, note, charge) {
  note('Stripe.Charge', await stripe.charges.retrieve(charge, { expand: ['balance_transaction', 'payment_intent', 'customer'] }));
  note('Stripe.Charge', await stripe.charges.update(charge, { description: 'D', metadata: { a: 'b' } }));
  note('Stripe.ApiList<Stripe.Charge>', await stripe.charges.list());
}

async function refunds(stripe, note, paid) {
  const refund = await stripe.refunds.create({ payment_intent: paid.id, amount: 100, reason: 'requested_by_customer', expand: ['charge', 'balance_transaction'] });
  note('Stripe.Refund', refund);
  note('Stripe.Refund', await stripe.refunds.update(refund.id, { metadata: { a: 'b' } }));
  note('Stripe.Refund', await stripe.refunds.retrieve(refund.id, { expand: ['payment_intent'] }));
  note('Stripe.ApiList<Stripe.Refund>', await stripe.refunds.list());
  note('Stripe.ApiList<Stripe.Refund>', await get(stripe, `/v1/charges/${paid.latest_charge.id}/refunds`));
  note('Stripe.Charge', await stripe.charges.retrieve(paid.latest_charge.id, { expand: ['refunds'] }));
}
