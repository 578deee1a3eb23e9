// Answers about connected accounts.

/** Notes an account: made, listed, retrieved and deleted. */
export async function accounts(stripe, note) {
  const made = await stripe.accounts.create({
    type: 'standard',
    email: 'a@example.com',
    business_profile: { name: 'Acme' },
    metadata: { a: 'b' },
  });
  note('Stripe.Account', made);
  note('Stripe.ApiList<Stripe.Account>', await stripe.accounts.list());
  note('Stripe.Account', await stripe.accounts.retrieve(made.id));
  note('Stripe.DeletedAccount', await stripe.accounts.del(made.id));
}
