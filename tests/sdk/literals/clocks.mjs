// Answers about test clocks.

/** Notes a clock: made, advanced, retrieved, listed and deleted; and a customer on it. */
export async function clocks(stripe, note) {
  const { testClocks } = stripe.testHelpers;
  const clock = await testClocks.create({ frozen_time: 1577750400, name: 'C' });
  note('Stripe.TestHelpers.TestClock', clock);
  note('Stripe.Customer', await stripe.customers.create({ test_clock: clock.id, expand: ['test_clock'] }));
  note('Stripe.TestHelpers.TestClock', await testClocks.advance(clock.id, { frozen_time: 1577750401 }));
  note('Stripe.TestHelpers.TestClock', await testClocks.retrieve(clock.id));
  note('Stripe.ApiList<Stripe.TestHelpers.TestClock>', await testClocks.list());
  note('Stripe.TestHelpers.DeletedTestClock', await testClocks.del(clock.id));
}
