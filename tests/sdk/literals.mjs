// Writes live answers down as TypeScript literals of the types that Stripe's client declares. Then `tsc` finds
// every field that is missing, misnamed or of another type.

import { mkdirSync, writeFileSync } from 'node:fs';
import { start } from './sandbox.mjs';
import { billing } from './literals-billing.mjs';
import { catalogue } from './literals-catalogue.mjs';

const sandbox = await start();
const literals = [];

/** Notes an answer as a literal of the type. */
function note(type, answer) {
  // The client adds `lastResponse`, which JSON leaves out.
  literals.push(`export const literal${literals.length}: ${type} = ${JSON.stringify(answer, null, 2)};`);
}

try {
  await catalogue(sandbox.stripe('sk_test_catalogue'), note);
  await billing(sandbox.stripe('sk_test_billing'), note);
} finally {
  await sandbox.stop();
}
mkdirSync('generated', { recursive: true });
writeFileSync('generated/literals.ts', `import type Stripe from 'stripe';\n\n${literals.join('\n\n')}\n`);
console.log(`${literals.length} literals`);
