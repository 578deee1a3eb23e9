// Writes live answers down as TypeScript literals of the types that Stripe's client declares. Then `tsc` finds
// every field that is missing, misnamed or of another type. Fails if no answer of an endpoint was written down.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { all, start } from './sandbox.mjs';
import { accounts } from './literals/accounts.mjs';
import { catalogue } from './literals/catalogue.mjs';
import { checkout } from './literals/checkout.mjs';
import { clocks } from './literals/clocks.mjs';
import { customers } from './literals/customers.mjs';
import { earlier } from './literals/earlier.mjs';
import { invoices } from './literals/invoices.mjs';
import { later } from './literals/later.mjs';
import { Noted } from './literals/noted.mjs';
import { payments } from './literals/payments.mjs';
import { subscriptions } from './literals/subscriptions.mjs';
import { webhooks } from './literals/webhooks.mjs';

/** What is asked for alike in both versions. */
const topics = { accounts, catalogue, checkout, clocks, customers, invoices, payments, subscriptions, webhooks };

// What is sent where the client's types say otherwise: charges have refunds only if these are expanded.
const WIRE = `type Wire<T> = T extends (infer U)[] ? Wire<U>[] : T extends Stripe.Charge ? { [K in keyof T as Exclude<K, 'refunds'>]: Wire<T[K]> } & { refunds?: Wire<T['refunds']> } : T extends object ? { [K in keyof T]: Wire<T[K]> } : T;`;

// The later client makes decimals of texts. Its types leave out the number of a list's elements, and that an event has
// only the former values that changed, also inside objects.
const LATER_WIRE = `type Wire<T> = T extends Stripe.Decimal ? string : T extends (infer U)[] ? Wire<U>[] : T extends { object: 'list' } ? { [K in keyof T]: Wire<T[K]> } & { total_count?: number } : T extends object ? { [K in keyof T]: K extends 'previous_attributes' ? object : Wire<T[K]> } : T;`;

/** The answers of a version to its client. Each topic has an account of its own, whose events are noted, too. */
async function answers(version, client, topics) {
  const sandbox = await start('--api-version', version);
  try {
    const noted = new Noted(await sandbox.endpoints(version));
    for (const [name, topic] of Object.entries(topics)) {
      const key = `sk_test_${name}`;
      const stripe = sandbox[client](key);
      const note = noted.by(stripe);
      await topic(stripe, note, sandbox.stripe(key));
      note('Stripe.Event[]', await all(stripe.events.list({ limit: 100 })));
    }
    for (const endpoint of noted.unnoted) {
      process.exitCode = 1;
      console.error(`sdk: no answer of ${endpoint} in ${version}: call it in tests/sdk/literals/, and note the answer`);
    }
    return noted.answers;
  } finally {
    await sandbox.stop();
  }
}

/** Writes answers to a module of generated/, as literals of the types of the client `from`. `wire` declares `Wire`. */
function write(module, from, wire, answers) {
  const literals = answers.map(
    // The client adds `lastResponse`, which JSON leaves out.
    ([type, answer], n) => `export const literal${n}: Wire<${type}> = ${JSON.stringify(answer, null, 2)};`,
  );
  const text = [`import type Stripe from '${from}';`, wire, ...literals].join('\n\n');
  writeFileSync(`generated/${module}.ts`, `${text}\n`);
  console.log(`sdk: ${literals.length} answers to ${from}`);
}

// What an earlier run wrote would be checked, too.
rmSync('generated', { recursive: true, force: true });
mkdirSync('generated');
write('earlier', 'stripe', WIRE, await answers('2022-11-15', 'stripe', { ...topics, earlier }));
write('later', 'stripe-later', LATER_WIRE, await answers('2026-10-28.endive', 'later', { ...topics, later }));
