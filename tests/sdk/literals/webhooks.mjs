// Answers about webhook endpoints, and about the events that they receive.

/** Notes an endpoint and an event. */
export async function webhooks(stripe, note) {
  const made = await stripe.webhookEndpoints.create({ url: 'https://example.com', enabled_events: ['*'], api_version: stripe.getApiField('version'), description: 'D' });
  note('Stripe.WebhookEndpoint', made);
  note('Stripe.WebhookEndpoint', await stripe.webhookEndpoints.update(made.id, { disabled: true, metadata: { a: 'b' } }));
  note('Stripe.WebhookEndpoint', await stripe.webhookEndpoints.retrieve(made.id));
  note('Stripe.ApiList<Stripe.WebhookEndpoint>', await stripe.webhookEndpoints.list());
  note('Stripe.DeletedWebhookEndpoint', await stripe.webhookEndpoints.del(made.id));
  const customer = await stripe.customers.create({ name: 'Jane' });
  await stripe.customers.update(customer.id, { name: 'J' });
  note('Stripe.ApiList<Stripe.Event>', await stripe.events.list({ limit: 3 }));
  const [event] = (await stripe.events.list({ type: 'customer.updated' })).data;
  note('Stripe.Event', await stripe.events.retrieve(event.id));
}
