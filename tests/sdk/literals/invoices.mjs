// Answers about invoices that are made by hand, and about the items on them.

import { WITH_CARD } from '../sandbox.mjs';

/** Notes an item, and an invoice in every status. */
export async function invoices(stripe, note) {
  const customer = await stripe.customers.create(WITH_CARD);
  await items(stripe, note, customer.id);
  const draft = await drafted(stripe, note, customer.id);
  note('Stripe.Invoice', await stripe.invoices.update(draft, { description: 'D', metadata: { a: 'b' } }));
  note('Stripe.DeletedInvoice', await stripe.invoices.del(draft));
  const open = await finalized(stripe, note, customer.id);
  note('Stripe.Invoice', await stripe.invoices.pay(open, { expand: ['customer', 'default_payment_method'] }));
  note('Stripe.ApiList<Stripe.InvoiceLineItem>', await stripe.invoices.listLineItems(open));
  const uncollectible = await finalized(stripe, note, customer.id);
  note('Stripe.Invoice', await stripe.invoices.markUncollectible(uncollectible));
  note('Stripe.Invoice', await stripe.invoices.pay(uncollectible, { paid_out_of_band: true }));
  note('Stripe.Invoice', await stripe.invoices.voidInvoice(await finalized(stripe, note, customer.id)));
  note('Stripe.Invoice', await stripe.invoices.retrieve(open, { expand: ['customer'] }));
  note('Stripe.ApiList<Stripe.Invoice>', await stripe.invoices.list({ customer: customer.id }));
}

async function items(stripe, note, customer) {
  const item = await stripe.invoiceItems.create({ customer, currency: 'usd', amount: 70, description: 'Extra', metadata: { a: 'b' } });
  note('Stripe.InvoiceItem', item);
  note('Stripe.InvoiceItem', await stripe.invoiceItems.update(item.id, { description: 'More', expand: ['customer'] }));
  note('Stripe.InvoiceItem', await stripe.invoiceItems.retrieve(item.id));
  note('Stripe.ApiList<Stripe.InvoiceItem>', await stripe.invoiceItems.list({ customer, pending: true }));
  note('Stripe.DeletedInvoiceItem', await stripe.invoiceItems.del(item.id));
}

async function drafted(stripe, note, customer) {
  await stripe.invoiceItems.create({ customer, currency: 'usd', amount: 900, description: 'Extra' });
  const draft = await stripe.invoices.create({ customer, pending_invoice_items_behavior: 'include' });
  note('Stripe.Invoice', draft);
  return draft.id;
}

async function finalized(stripe, note, customer) {
  const draft = await drafted(stripe, note, customer);
  note('Stripe.Invoice', await stripe.invoices.finalizeInvoice(draft));
  return draft;
}
