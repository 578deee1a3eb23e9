"""Tests plan changes while two servers share a ledger in PostgreSQL and one `tier sandbox` in place of Stripe. Clients
report usage to both servers while the org's plan is changed repeatedly, at either server. Every acknowledged unit must be
billed once, at the price of the plan that was in force. One of the plans lacks the feature, so a report that a server
accepts for it, because that server does not yet know of the change, could never be billed. Started by `tests/postgres/run`:
plans.py TIER URL
"""

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

CHANGES = 9
CLIENTS = 6
ORG = "org:moving"
PRICES = {"plan:a@0": 1, "plan:b@0": 1000}
LACKING = "plan:c@0"
PLANS = [*PRICES, LACKING]


class Client(threading.Thread):
    """Reports one unit at a time, to the two servers in turn."""

    def __init__(self, number, servers):
        super().__init__(daemon=True)
        self.number, self.servers = number, servers
        self.stop, self.acknowledged, self.lacking, self.fault = threading.Event(), [], 0, None

    def run(self):
        report = json.dumps({"org": ORG, "feature": "feature:calls", "n": 1})
        for count in range(1_000_000):
            if self.stop.is_set():
                return
            began = time.monotonic()
            status, text = self.send(self.servers[(self.number + count) % 2], report, f"{self.number}-{count}")
            if status == 200:
                self.acknowledged.append((began, time.monotonic()))
            elif "feature_not_found" in text:
                self.lacking += 1
            else:
                self.fault = f"{status} {text}"
                return

    def answered(self):
        """Returns the number of reports that were acknowledged, or refused because the plan lacks the feature."""
        return len(self.acknowledged) + self.lacking

    def send(self, server, report, key):
        """Sends a report, again while the server is busy. Returns the status and the text of the last answer."""
        for _ in range(100):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request("POST", "/v1/report", report, {"Idempotency-Key": key})
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            # These statuses mean that too many requests wait for the same org.
            if answer.status not in (429, 503):
                break
            time.sleep(0.05)
        return answer.status, text


def subscribe(server, plan):
    """Subscribes the org to a plan. Returns the times at which the request was sent and answered."""
    began = time.monotonic()
    server.call("/v1/subscribe", {"org": ORG, "phases": [{"features": [plan]}]})
    return began, time.monotonic()


def billed(stripe):
    """Returns the units of each priced plan that are on invoices, including the upcoming one."""
    customer = next(one["id"] for one in stripe.list_all("/v1/customers") if one["metadata"].get("tier.org") == ORG)
    invoices = stripe.request(f"/v1/invoices?customer={customer}&limit=100")["data"]
    invoices.append(stripe.request(f"/v1/invoices/upcoming?customer={customer}"))
    units = dict.fromkeys(PRICES, 0)
    for line in (line for invoice in invoices for line in invoice["lines"]["data"]):
        # The feature of the plan that lacks `feature:calls` costs nothing.
        if line["quantity"] and line["amount"]:
            price, rest = divmod(line["amount"], line["quantity"])
            plan = next((plan for plan, own in PRICES.items() if own == price and rest == 0), None)
            if plan is None:
                raise SystemExit(f"a line of an unknown price: {line['amount']} for {line['quantity']}")
            units[plan] += line["quantity"]
    return units


def main():
    tier, url = sys.argv[1:]
    with tempfile.TemporaryFile("w+") as log:
        stripe = Stripe(tier, 1, log)
        servers = [Tier(tier, stripe, url, log) for _ in range(2)]
        try:
            right = run(stripe, servers)
            log.seek(0)
            if not right:
                print(log.read()[-20_000:])
        finally:
            for process in [*servers, stripe]:
                process.process.kill()
    raise SystemExit(0 if right else 1)


def run(stripe, servers):
    plans = {plan: {"features": {"feature:calls": {"tiers": [{"price": price}]}}} for plan, price in PRICES.items()}
    servers[0].call("/v1/push", {"plans": {**plans, LACKING: {"features": {"feature:other": {}}}}})
    changes = [(PLANS[0], *subscribe(servers[0], PLANS[0]))]
    clients = [Client(number, servers) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for number in range(1, CHANGES + 1):
        goal = sum(client.answered() for client in clients) + 30
        while sum(client.answered() for client in clients) < goal and not any(client.fault for client in clients):
            time.sleep(0.01)
        plan = PLANS[number % 3]
        changes.append((plan, *subscribe(servers[number // 2 % 2], plan)))
    for client in clients:
        client.stop.set()
    for client in clients:
        client.join()
    faults = [client.fault for client in clients if client.fault]
    acknowledged = [times for client in clients for times in client.acknowledged]
    # Units whose plan is certain: reported after a plan was in force, and acknowledged before the next change was requested.
    certain = dict.fromkeys(PLANS, 0)
    for (plan, _, since), (_, until, _) in zip(changes, [*changes[1:], (None, float("inf"), None)]):
        certain[plan] += sum(since <= sent and answered <= until for sent, answered in acknowledged)
    for _ in range(150):
        units = billed(stripe)
        if sum(units.values()) == len(acknowledged):
            break
        time.sleep(0.2)
    print(f"{CHANGES} changes of plan at two servers: {len(acknowledged)} units acknowledged, {sum(units.values())} billed")
    for plan in PLANS:
        print(f"{plan}: {certain[plan]} units certainly, {units.get(plan, 0)} billed")
    print(f"{sum(client.lacking for client in clients)} reports refused, because the plan lacks the feature")
    if faults:
        print(f"refused: {faults[0]}")
    at_their_price = all(units.get(plan, 0) >= certain[plan] for plan in PLANS)
    return not faults and sum(units.values()) == len(acknowledged) and at_their_price


if __name__ == "__main__":
    main()
