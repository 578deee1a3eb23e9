// Writes live answers down as TypeScript literals of the types that Stripe's client declares. Then `tsc` finds
// every field that is missing, misnamed or of another type.

import { mkdirSync, writeFileSync } from 'node:fs';
import { start } from './sandbox.mjs';
import { billing } from './literals-billing.mjs';
import { catalogue } from './literals-catalogue.mjs';
import { later } from './literals-later.mjs';

const sandbox = await start();
const literals = [];
const laterLiterals = [];

/** Notes an answer as a literal of the type. */
function note(type, answer) {
  // The client adds `lastResponse`, which JSON leaves out.
  literals.push(`export const literal${literals.length}: ${type} = ${JSON.stringify(answer, null, 2)};`);
}

/** Likewise, of the types of the later client. */
function noteLater(type, answer) {
  laterLiterals.push(`export const literal${laterLiterals.length}: Wire<${type}> = ${JSON.stringify(answer, null, 2)};`);
}

try {
  await catalogue(sandbox.stripe('sk_test_catalogue'), note);
  await billing(sandbox.stripe('sk_test_billing'), note);
  await later(sandbox.later('sk_test_later'), noteLater);
} finally {
  await sandbox.stop();
}
mkdirSync('generated', { recursive: true });
writeFileSync('generated/literals.ts', `import type Stripe from 'stripe';\n\n${literals.join('\n\n')}\n`);
// The client makes decimals of texts, and its types leave out the number of a list's elements.
const wire = `type Wire<T> = T extends Stripe.Decimal ? string : T extends (infer U)[] ? Wire<U>[] : T extends { object: 'list' } ? { [K in keyof T]: Wire<T[K]> } & { total_count?: number } : T extends object ? { [K in keyof T]: Wire<T[K]> } : T;`;
writeFileSync('generated/later.ts', `import type Stripe from 'stripe-later';\n\n${wire}\n\n${laterLiterals.join('\n\n')}\n`);
console.log(`${literals.length} literals, and ${laterLiterals.length} of the later version`);
