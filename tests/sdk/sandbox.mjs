// Starts the sandbox and makes Stripe clients for it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import Stripe from 'stripe';
import Later from 'stripe-later';

/** The command that starts the sandbox; `run` sets it. */
const command = process.env.TIER_SANDBOX;

/** When most test clocks begin, in Unix seconds. */
export const NEW_YEARS_EVE = Date.UTC(2019, 11, 31) / 1000;
export const DAY = 86400;

/** What gives a new customer a card that pays. */
export const WITH_CARD = {
  payment_method: 'pm_card_visa',
  invoice_settings: { default_payment_method: 'pm_card_visa' },
};

/** A sandbox of its own, with more flags: `stripe(key)` and `later(key)` make clients, `stop()` ends it. */
export async function start(...flags) {
  const [program, ...args] = [...command.split(' '), ...flags];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const address = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the sandbox ended with ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /listening on (.*):(\d+)$/.exec(line);
      if (found) resolve({ host: found[1], port: Number(found[2]) });
    });
  });
  child.removeAllListeners('exit');
  const url = `http://${address.host}:${address.port}`;
  return {
    url,
    stripe: (key = 'sk_test_sdk', options = {}) =>
      new Stripe(key, {
        apiVersion: '2022-11-15',
        ...address,
        protocol: 'http',
        maxNetworkRetries: 0,
        telemetry: false,
        ...options,
      }),
    /** A client of 2026-10-28.endive. */
    later: (key = 'sk_test_later', options = {}) =>
      new Later(key, { ...address, protocol: 'http', maxNetworkRetries: 0, telemetry: false, ...options }),
    /** The endpoints that the sandbox has in a version. */
    async endpoints(version) {
      const answer = await fetch(`${url}/_sandbox/endpoints?api_version=${version}`);
      return (await answer.json()).endpoints;
    },
    async stop() {
      const exit = once(child, 'exit');
      child.kill();
      await exit;
    },
  };
}

/** A GET of an endpoint for which the client has no method. */
export function get(stripe, fullPath) {
  if (stripe.rawRequest) return stripe.rawRequest('GET', fullPath);
  const { StripeResource } = Stripe;
  const Resource = StripeResource.extend({ get: StripeResource.method({ method: 'GET', fullPath }) });
  return new Resource(stripe).get();
}

/** Sends the form for paying of a checkout page, and says where that leads. */
export async function pay(url) {
  const page = await (await fetch(url)).text();
  const [, action] = /<form[^>]*method="post"[^>]*action="([^"]*)"/.exec(page) ?? assert.fail(page);
  const answer = await fetch(new URL(action, url), { method: 'POST', redirect: 'manual' });
  assert.ok([302, 303].includes(answer.status), `${answer.status}`);
  return answer.headers.get('location');
}

/** What a promise is rejected with; a promise that is kept is an error. */
export async function refused(promise) {
  const answer = await promise.then(
    (value) => ({ value }),
    (error) => ({ error }),
  );
  if (!answer.error) throw new Error(`expected a refusal, got ${JSON.stringify(answer.value)}`);
  return answer.error;
}

/** All pages of a list, with the client's own pagination. */
export async function all(list) {
  const found = [];
  for await (const item of list) found.push(item);
  return found;
}
