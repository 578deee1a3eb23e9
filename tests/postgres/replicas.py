"""Tests how servers that share a ledger in PostgreSQL learn of each other's changes, and which clock they use. Started by
`tests/postgres/run`, which installs the requirements: replicas.py TIER URL

- Clocks: one of three servers is five minutes ahead and one is five minutes behind (`faketime`). Usage reported at any of
  them is billed to the unit, and reservations expire by the clock of the database.
- Age: units are reported and the plan is changed at one server while another server is polled. A change that is missing from
  an answer must not be older than the age that the answer states.
- Events: after Stripe sends an event to one server, another server learns what has changed.
"""

import calendar
import glob
import hashlib
import hmac
import http.client
import json
import os
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
sys.dont_write_bytecode = True
from kills import Stripe, Tier  # noqa: E402

PRICE = 7
FREE = 500
MODEL = {
    "plans": {
        "plan:paid@1": {"features": {"feature:calls": {"tiers": [{"price": PRICE}]}}},
        "plan:free@1": {"features": {"feature:calls": {"tiers": [{"upto": FREE}]}}},
        "plan:more@1": {"features": {"feature:calls": {"tiers": [{"upto": 2 * FREE}]}}},
    }
}
WEBHOOK_SECRET = "whsec_of_the_test"
# The longest time to wait for a condition, in seconds, with a margin for a busy machine.
LONGEST_WAIT = 120


def ask(server, path, body=None, key=None):
    """Sends a request, and returns the status, the headers and the JSON of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Idempotency-Key": key} if key else {}
    connection.request("POST" if body is not None else "GET", path, body and json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, json.loads(text or "null")


def require_ok(answer):
    """Returns the JSON of an answer of `ask`. Exits if the request was refused."""
    status, _, body = answer
    if status != 200:
        raise SystemExit(f"refused: {status} {body}")
    return body


def wait_until(what, condition):
    """Waits until `condition` returns something true, and returns that."""
    began = time.monotonic()
    while not (answer := condition()):
        if time.monotonic() - began > LONGEST_WAIT:
            raise SystemExit(f"never: {what}")
        time.sleep(0.02)
    return answer


def subscribe(server, org, plan):
    require_ok(ask(server, "/v1/subscribe", {"org": org, "phases": [{"features": [plan]}]}))


def calls_usage(server, org):
    """Returns the usage row of `feature:calls` in an org's limits, and the headers of the answer."""
    _, headers, body = answer = ask(server, f"/v1/limits?org={org}")
    require_ok(answer)
    rows = [row for row in body["usage"] if row["feature"] == "feature:calls"]
    return rows[0], headers


def expect(what, got, expected):
    if got != expected:
        raise SystemExit(f"{what}: {got}, and not {expected}")


class SkewedBinary:
    """A script that runs `tier` with a clock that is off by some seconds. Durations are measured correctly."""

    def __init__(self, folder, tier, seconds):
        self.binary = os.path.join(folder, f"tier{seconds:+}")
        with open(self.binary, "w") as script:
            # The command `faketime` is not used, because killing the process would kill it instead of the server.
            (library,) = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
            clock = f"FAKETIME={seconds:+}s FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD={library}"
            script.write(f'#!/bin/sh\nexec env {clock} "{tier}" "$@"\n')
        os.chmod(self.binary, 0o755)


def clocks(stripe, servers):
    """Tests servers whose clocks differ. `servers` are one with the right clock, one that is ahead and one that is behind."""
    right = servers[0]
    require_ok(ask(right, "/v1/push", MODEL))
    orgs = [f"org:clock{number}" for number in range(3)]
    for org, server in zip(orgs, servers):
        subscribe(server, org, "plan:paid@1")
    acknowledged = dict.fromkeys(orgs, 0)
    for number in range(120):
        org = orgs[number % 3]
        n = number % 11 + 1
        report = {"org": org, "feature": "feature:calls", "n": n}
        server = servers[number // 3 % 3]
        require_ok(ask(server, "/v1/report", report, key=f"clock-{number}"))
        # The same report at another server counts only once.
        require_ok(ask(servers[number % 2], "/v1/report", report, key=f"clock-{number}"))
        acknowledged[org] += n
    for server in servers:
        for org in orgs:
            wait_until(f"{org} at every server", lambda: calls_usage(server, org)[0]["used"] == acknowledged[org])
    items, customers = stripe.items()
    for org in orgs:
        item = items[org, "feature:calls"]
        wait_until(f"{org} at Stripe", lambda: stripe.recorded(item) == acknowledged[org])
        expect(f"the invoice of {org}", stripe.upcoming(customers[org]), PRICE * acknowledged[org])
    units = sum(acknowledged.values())
    print(f"clocks: {units} units acknowledged by servers that are right, ahead and behind = {units} billed")
    reservations(servers)


def reservations(servers):
    """Tests that reservations are limited and expire alike at all servers."""
    for number, server in enumerate(servers):
        org = f"org:held{number}"
        subscribe(server, org, "plan:free@1")
        wanted = {"org": org, "feature": "feature:calls", "n": 75, "ttl": "60s"}
        before = int(time.time())
        expires = reserve(server, wanted)["expires"]
        at = calendar.timegm(time.strptime(expires, "%Y-%m-%dT%H:%M:%SZ"))
        if not before + 60 <= at <= time.time() + 61:
            raise SystemExit(f"a reservation made at {before} for 60 s ends at {at}")
        # The limit of 500 allows six reservations of 75, whichever servers grant them, and no reservation ends early.
        others = [require_ok(ask(servers[more % 3], "/v1/reserve", wanted))["granted"] for more in range(19)]
        expect("how many are granted", 1 + sum(others), 6)
        # A reservation ends at the same time at all servers.
        short = {"org": org, "feature": "feature:calls", "n": 50, "ttl": "1s"}
        made = reserve(server, short)
        # The server that made the reservation is asked first, because it knows at once that the reservation has ended.
        for other in (server, *servers):
            wait_until("it has ended", lambda: calls_usage(other, org)[0]["used"] == 450)
            status, _, body = ask(other, "/v1/reserve/commit", {"id": made["id"]})
            expect("a commit after the end", (status, body["code"]), (409, "reservation_expired"))
        # Any server can commit a reservation.
        reservation = reserve(server, {**short, "ttl": "120s"})
        require_ok(ask(servers[(number + 1) % 3], "/v1/reserve/commit", {"id": reservation["id"]}))
        require_ok(ask(servers[(number + 2) % 3], "/v1/reserve/commit", {"id": reservation["id"]}))
    print("clocks: reservations of all three are granted up to the limit, and end by the time of the database")


def reserve(server, wanted):
    """Makes a reservation that must be granted, and returns it."""
    made = require_ok(ask(server, "/v1/reserve", wanted))
    expect("a reservation", made["granted"], True)
    return made


class PollingClient(threading.Thread):
    """Polls a server. Records when each request was sent, the usage and limit in the answer, and the age and source it states."""

    def __init__(self, server, org):
        super().__init__(daemon=True)
        self.server, self.org, self.stop = server, org, threading.Event()
        self.answers = []

    def run(self):
        while not self.stop.is_set():
            sent = time.monotonic()
            row, headers = calls_usage(self.server, self.org)
            self.answers.append((sent, row["used"], row["limit"], int(headers["Age"]), headers["Tier-Source"]))


def ages(one, other):
    """Tests the stated age of answers. `other` reads the changes of other servers every three seconds."""
    org = "org:age"
    subscribe(one, org, "plan:free@1")
    wait_until("it knows the org", lambda: calls_usage(other, org)[0]["limit"] == FREE)
    poller = PollingClient(other, org)
    poller.start()
    reported, changed, limit = [], [], FREE
    began = time.monotonic()
    while time.monotonic() - began < 20:
        require_ok(ask(one, "/v1/report", {"org": org, "feature": "feature:calls", "n": 1}))
        reported.append(time.monotonic())
        if len(reported) % 40 == 20:
            limit = 3 * FREE - limit
            subscribe(one, org, "plan:more@1" if limit > FREE else "plan:free@1")
            changed.append((time.monotonic(), limit))
            # The next change waits for this, so that an answer with another plan is certainly an old one.
            wait_until("the other one learns of the plan", lambda: poller.answers[-1][2] == limit)
        time.sleep(0.05)
    wait_until("all is known", lambda: poller.answers[-1][1] == len(reported))
    poller.stop.set()
    poller.join()
    missing = [(sent - reported[used], age) for sent, used, _, age, _ in poller.answers if used < len(reported)]
    longest = check_ages("usage", [(gap, age) for gap, age in missing if gap > 0])
    plans = [(FREE, 0), *((limit, at) for at, limit in changed)]
    old = []
    for (limit, since), (_, until_then) in zip(plans, plans[1:]):
        later = next((at for at, new in changed if at > until_then and new == limit), float("inf"))
        old += [
            (sent - until_then, age) for sent, _, found, age, _ in poller.answers if found == limit and until_then < sent < later
        ]
    longest_plan = check_ages("plan", old)
    sources = {source for *_, source in poller.answers}
    print(
        f"age: {len(poller.answers)} answers ({' '.join(sorted(sources))}), {len(missing)} without a unit that another server "
        f"had acknowledged, up to {longest:.1f} s before; {len(changed)} changes of plan, {len(old)} answers with the old one, "
        f"up to {longest_plan:.1f} s; none says that it is younger"
    )


def check_ages(what, lacking):
    """Checks answers that lack a change. Each is a pair of the time since the change and the age that the answer states.
    Returns the longest time since a change.
    """
    for gap, age in lacking:
        # An answer's age is in whole seconds.
        if gap >= age + 1:
            raise SystemExit(f"age: {what} of {gap:.2f} s ago is not in an answer of age {age}")
    if what == "usage" and not any(gap > 1 for gap, _ in lacking):
        raise SystemExit(f"age: nothing was late, so this shows nothing: {what}")
    return max((gap for gap, _ in lacking), default=0)


def events(stripe, one, other):
    """Tests that `other` learns of an event sent to `one`. By itself, `other` would ask Stripe only after an hour."""
    org = "org:event"
    subscribe(one, org, "plan:free@1")
    wait_until("it knows the org", lambda: calls_usage(other, org)[0]["limit"] == FREE)
    _, customers = stripe.items()
    subscription = next(found for found in stripe.list_all("/v1/subscriptions") if found["customer"] == customers[org])
    stripe.request(f"/v1/subscriptions/{subscription['id']}", method="DELETE")
    subscription = stripe.request(f"/v1/subscriptions/{subscription['id']}")
    event = {
        "id": "evt_of_the_test", "object": "event", "api_version": "2022-11-15", "created": int(time.time()), "livemode": False,
        "type": "customer.subscription.deleted", "data": {"object": subscription},
    }
    body = json.dumps(event)
    signed = f"{event['created']}.{body}".encode()
    signature = hmac.new(WEBHOOK_SECRET.encode(), signed, hashlib.sha256).hexdigest()
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)
    connection.request("POST", "/v1/stripe/webhook", body, {"Stripe-Signature": f"t={event['created']},v1={signature}"})
    answer = connection.getresponse()
    expect("the event", answer.status, 200)
    wait_until("the other one learns of it", lambda: not ask(other, f"/v1/limits?org={org}")[2]["usage"])
    print("events: what Stripe has told one server, the other one knows")


def main():
    tier, url = sys.argv[1:]
    os.environ["STRIPE_WEBHOOK_SECRET"] = WEBHOOK_SECRET
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        stripe, servers = Stripe(tier, 1, log), []
        try:
            for binary in (tier, SkewedBinary(folder, tier, 300).binary, SkewedBinary(folder, tier, -300).binary):
                servers.append(Tier(binary, stripe, url, log))
            clocks(stripe, servers)
            servers.append(Tier(tier, stripe, url, log, "--sync-every", "3s", "--max-age", "1h"))
            ages(servers[0], servers[-1])
            events(stripe, servers[0], servers[-1])
            print("replicas: all is right")
        except BaseException:
            log.seek(0)
            print(log.read()[-20_000:])
            raise
        finally:
            for process in [*servers, stripe]:
                process.process.kill()


if __name__ == "__main__":
    main()
