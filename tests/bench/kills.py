"""Kills `tier serve --ledger` with SIGKILL at random moments under load, while calls to Stripe fail at random. Started by
`tests/bench/kills`, which builds the binary. `--soak MINUTES` kills nothing; it prints the server's memory, the size of the
ledger and the undelivered usage every 30 seconds.

A separate `tier sandbox` process stands in for Stripe. Clients report usage for all aggregates, including refunds and
clobbers, each report with its own idempotency key. They repeat a report with the same key until it is acknowledged. Only one
client reports for an org, so the expected totals are known. At the end, the injected faults are removed. Then three totals
must be equal for each org and feature: the acknowledged usage, the usage in the ledger and in `/v1/limits`, and the usage
recorded by Stripe. The upcoming invoices must be right to the cent, and each acknowledged key must be in the ledger exactly
once.

With `--generation meters`, plans use billing meters, and Stripe is sent meter events instead of usage records.

With `--ledger URL`, which names a PostgreSQL database without a ledger, `--replicas N` servers share that ledger. Clients
send requests to all of them, and one server is killed at a time. With `--database-kill` and `--database-start`, two
commands, the database is killed too. With `--hang SECONDS`, one kill in five instead suspends a server in the middle of its
work and resumes it after that time. By then, other servers have taken over its leases.

Prints these totals, and exits with an error if usage is lost or counted twice.
"""

import argparse
import collections
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

STRIPE_KEY = "sk_test_kills"
AGGREGATES = {"feature:calls": "sum", "feature:peak": "max", "feature:level": "last", "feature:disk": "perpetual"}
PRICES = {"feature:calls": 1, "feature:peak": 10, "feature:level": 100, "feature:disk": 1000}
# How usage is sent to Stripe, on which paths, and with which version of Stripe's API.
CLASSIC, METERS = "classic", "meters"
USAGE_PATHS = {CLASSIC: "/v1/subscription_items/*", METERS: "/v1/billing/*"}
API_VERSIONS = {CLASSIC: "2022-11-15", METERS: "2026-10-28.endive"}
# Faults of calls that send usage: action, before or after the call takes effect, probability.
USAGE_FAULTS = [
    ("drop", "before", 0.1),
    ("drop", "after", 0.1),
    ("500", "before", 0.05),
    ("500", "after", 0.05),
    ("cut_body", "after", 0.05),
]
# Faults of all calls: rule, probability.
FAULTS = [
    ({"method": "GET", "path": "/v1/*", "action": "503"}, 0.04),
    ({"method": "GET", "path": "/v1/*", "action": "html"}, 0.02),
    ({"method": "*", "path": "/v1/*", "action": "429"}, 0.03),
    ({"method": "POST", "path": "/v1/*", "action": "delay", "delay_ms": "300"}, 0.1),
]
# The seconds that delivering all usage may take once faults are removed.
LONGEST_DELIVERY = 300


def current_minute():
    """Returns the time at which the current minute began. Queries of meters need times in whole minutes."""
    return int(time.time()) // 60 * 60


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A `tier` process that listens on its own port."""

    def __init__(self, command, env, log):
        env = {**os.environ, **env}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=env)

    def wait_until_listening(self):
        """Waits until the process prints its address, and returns the object itself."""
        line = self.process.stdout.readline()
        if not re.search(r"127\.0\.0\.1:\d+", line):
            raise SystemExit(f"{self.process.args} did not say where it listens: {line!r}")
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Stripe:
    """The sandbox that stands in for Stripe. Tests call it directly, not through the server."""

    def __init__(self, tier, seed, log, generation=CLASSIC):
        self.port, self.seed, self.generation = free_port(), seed, generation
        self.url, self.start_time = f"http://127.0.0.1:{self.port}", current_minute()
        command = [tier, "sandbox", "--addr", f"127.0.0.1:{self.port}", "--search-lag", "0s", "--seed", str(seed)]
        self.process = Process(command, {}, log).wait_until_listening()

    def request(self, path, fields=None, method=None):
        data = urllib.parse.urlencode(fields).encode() if fields else None
        request = urllib.request.Request(self.url + path, data=data, method=method)
        if path.startswith("/v1/"):
            request.add_header("Authorization", f"Bearer {STRIPE_KEY}")
            request.add_header("Stripe-Version", API_VERSIONS[self.generation])
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "null")

    def inject_faults(self):
        sending = {"method": "POST", "path": USAGE_PATHS[self.generation]}
        usage_rules = [({**sending, "action": action, "when": when}, chance) for action, when, chance in USAGE_FAULTS]
        for number, (rule, probability) in enumerate(usage_rules + FAULTS):
            self.request("/_sandbox/faults", {**rule, "probability": probability, "seed": self.seed + number})

    def fault_hits(self):
        """Returns how many faults were injected."""
        return sum(rule["hits"] for rule in self.request("/_sandbox/faults")["faults"])

    def clear_faults(self):
        self.request("/_sandbox/faults", method="DELETE")

    def calls(self):
        """Returns the number of calls to each endpoint."""
        return self.request("/_sandbox/requests")["counts"]

    def list_all(self, path):
        """Yields all objects of a list, page by page."""
        after = ""
        while True:
            page = self.request(f"{path}?limit=100{after}")
            yield from page["data"]
            if not page["has_more"]:
                return
            after = f"&starting_after={page['data'][-1]['id']}"

    def items(self):
        """Returns where the usage of each (org, feature) is recorded, and the customer ID of each org. Usage is recorded for a
        subscription item, or for a meter and a customer.
        """
        orgs = {customer["id"]: customer["metadata"]["tier.org"] for customer in self.list_all("/v1/customers")}
        items, self.subscriptions = {}, {}
        for subscription in self.list_all("/v1/subscriptions"):
            self.subscriptions[subscription["customer"]] = subscription["id"]
            for item in subscription["items"]["data"]:
                feature = item["price"]["metadata"]["tier.feature"].split("@")[0]
                place = item["id"]
                if self.generation == METERS:
                    place = (item["price"]["recurring"]["meter"], subscription["customer"])
                items[orgs[subscription["customer"]], feature] = place
        return items, {org: customer for customer, org in orgs.items()}

    def recorded(self, item):
        """Returns the usage that Stripe has recorded for an item of `items`."""
        if self.generation == METERS:
            meter, customer = item
            times = f"start_time={self.start_time}&end_time={current_minute() + 60}"
            summaries = self.request(f"/v1/billing/meters/{meter}/event_summaries?customer={customer}&{times}")
            return int(sum(summary["aggregated_value"] for summary in summaries["data"]))
        summaries = self.request(f"/v1/subscription_items/{item}/usage_record_summaries?limit=1")
        return summaries["data"][0]["total_usage"]

    def upcoming(self, customer):
        """Returns the total of the customer's upcoming invoice."""
        if self.generation == METERS:
            return self.request("/v1/invoices/create_preview", {"subscription": self.subscriptions[customer]})["total"]
        return self.request(f"/v1/invoices/upcoming?customer={customer}")["total"]


class Tier:
    """A server that can be killed and restarted on the same port and ledger."""

    def __init__(self, binary, stripe, file, log, *flags):
        self.port, self.file, self.binary, self.log, self.flags = free_port(), file, binary, log, flags
        self.env = {
            "STRIPE_API_KEY": STRIPE_KEY,
            "STRIPE_BASE_API_URL": stripe.url,
            "TIER_STRIPE_GENERATION": stripe.generation,
        }
        self.start(wait_until_listening=True)

    def start(self, wait_until_listening):
        command = [self.binary, "serve", "--addr", f"127.0.0.1:{self.port}", "--ledger", self.file, "--deliver-after", "1s"]
        command.extend(self.flags)
        self.process = Process(command, self.env, self.log)
        if wait_until_listening:
            self.process.wait_until_listening()

    def restart(self, wait_until_listening):
        self.process.kill()
        self.start(wait_until_listening)

    def kill(self):
        self.process.kill()

    def ensure_running(self):
        pass

    def resident(self):
        """Returns the resident memory of the process in MiB, and its number of threads."""
        with open(f"/proc/{self.process.process.pid}/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        return int(lines["VmRSS"].split()[0]) / 1024, int(lines["Threads"])

    def run_ledger_command(self, *args):
        """Runs `tier ledger` on this server's ledger, and returns the completed process."""
        command = [self.binary, "ledger", *args, "--ledger", self.file]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.env})

    def call(self, path, body=None):
        """Repeats a request until it succeeds, and returns the answer's JSON. Exits if the request is refused."""
        for wait in range(200):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("POST" if body else "GET", path, json.dumps(body) if body else None)
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status == 200:
                    return json.loads(text or "null")
                if answer.status < 429:
                    raise SystemExit(f"{path} is refused: {answer.status} {text}")
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.1)
        raise SystemExit(f"{path} is not answered")


def expected_total(aggregate, used, report):
    """Returns the expected total after a report."""
    n = report["n"]
    if report.get("clobber"):
        return n
    if n < 0 or aggregate == "sum":
        return used + n
    return max(used, n) if aggregate == "max" else n


class Replicas:
    """Servers that share a ledger. One of them is killed at a time."""

    def __init__(self, servers, options):
        self.servers, self.options, self.random = servers, options, random.Random(options.seed)
        self.kills, self.hanging = 0, {}

    @property
    def port(self):
        """The port of a randomly chosen server."""
        return random.choice(self.servers).port

    @property
    def file(self):
        return self.servers[0].file

    def restart(self, wait_until_listening):
        """Kills and restarts a server or the database, or suspends a server, depending on the options."""
        self.kills += 1
        if self.options.database_kill and self.kills % 5 == 0:
            subprocess.run(self.options.database_kill, shell=True, check=True)
            time.sleep(self.random.uniform(0, 2))
            subprocess.run(self.options.database_start, shell=True, check=True)
            # A server exits if it cannot open its ledger.
            for server in self.servers:
                if server.process.process.poll() is not None:
                    server.restart(wait_until_listening)
            return
        running = [server for server in self.servers if not self.is_hanging(server)]
        if self.options.hang and self.kills % 5 == 2 and len(running) > 2:
            return self.hang(self.random.choice(running))
        self.random.choice(running).restart(wait_until_listening)

    def is_hanging(self, server):
        return server in self.hanging and self.hanging[server].is_alive()

    def hang(self, server):
        """Suspends a server, and resumes it after `options.hang` seconds."""
        pid = server.process.process.pid
        os.kill(pid, signal.SIGSTOP)
        self.hanging[server] = threading.Timer(self.options.hang, os.kill, (pid, signal.SIGCONT))
        self.hanging[server].start()

    def kill(self):
        for server in self.servers:
            server.kill()

    def ensure_running(self):
        """Waits until suspended servers have resumed, and restarts servers that have exited."""
        for timer in self.hanging.values():
            timer.join()
        if self.hanging:
            print(f"{len(self.hanging)} servers hung for {self.options.hang:.0f} s, and went on")
        for server in self.servers:
            if server.process.process.poll() is not None:
                server.restart(True)

    def run_ledger_command(self, *args):
        return self.servers[0].run_ledger_command(*args)

    def call(self, path, body=None):
        return self.random.choice(self.servers).call(path, body)


class Client(threading.Thread):
    """Reports usage of its own orgs, one request at a time."""

    def __init__(self, number, orgs, tier, seed):
        super().__init__(daemon=True)
        self.number, self.orgs, self.tier = number, orgs, tier
        self.random = random.Random(seed * 1000 + number)
        self.used = {(org, feature): 0 for org in orgs for feature in AGGREGATES}
        self.keys, self.stop, self.connection = set(), threading.Event(), None
        self.reports = self.repeats = 0
        self.refused = None

    def run(self):
        while not self.stop.is_set() and self.refused is None:
            self.report(*self.next_report())

    def next_report(self):
        """Returns an idempotency key and a random report, and updates the expected totals."""
        org, feature = self.random.choice(self.orgs), self.random.choice(list(AGGREGATES))
        report = {"org": org, "feature": feature, "n": self.random.randrange(1, 100)}
        kind = self.random.random()
        if kind < 0.2:
            # A refund may be as large as all usage so far.
            report["n"] = -self.random.randint(0, self.used[org, feature])
        elif kind < 0.3:
            report["clobber"] = True
        key = f"{self.number}-{len(self.keys)}"
        self.keys.add((org, key))
        self.used[org, feature] = expected_total(AGGREGATES[feature], self.used[org, feature], report)
        return key, report

    def report(self, key, report):
        """Sends a report until it is acknowledged or refused."""
        self.reports += 1
        while not self.acknowledged(json.dumps(report), {"Idempotency-Key": key}):
            self.repeats += 1
            time.sleep(0.02)

    def acknowledged(self, body, headers):
        """Sends a report once. Returns whether it was acknowledged or refused; if it was refused, `refused` says why."""
        try:
            if self.connection is None or self.random.random() < 0.1:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.tier.port, timeout=30)
            self.connection.request("POST", "/v1/report", body, headers)
            answer = self.connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            self.connection = None
            return False
        if 400 <= answer.status < 429:
            self.refused = f"{body}: {answer.status} {text}"
        return answer.status == 200 or self.refused is not None


def model():
    features = {
        feature: {"aggregate": aggregate, "tiers": [{"price": PRICES[feature]}]}
        for feature, aggregate in AGGREGATES.items()
    }
    return {"plans": {"plan:p@1": {"features": features}}}


def prepare(tier, orgs):
    tier.call("/v1/push", model())
    for org in orgs:
        tier.call("/v1/subscribe", {"org": org, "phases": [{"features": ["plan:p@1"]}]})


def kill_repeatedly(tier, options, rng, clients):
    """Kills and restarts the server at random intervals. Returns the number of kills, which is lower if a report is refused."""
    began, life = time.monotonic(), options.longest_life
    for number in range(1, options.kills + 1):
        time.sleep(life)
        # One restarted server in ten is killed during startup. The last one is not, because it must deliver the usage.
        wait_for_start = number == options.kills or rng.random() > 0.1
        life = rng.uniform(0.02, options.longest_life if wait_for_start else 0.2)
        tier.restart(wait_until_listening=wait_for_start)
        if any(client.refused for client in clients):
            return number
        if number % 10 == 0:
            reports = sum(client.reports for client in clients)
            print(f"{number:4} kills, {time.monotonic() - began:5.0f} s, {reports} reports", flush=True)
    return options.kills


def soak(options, tier, clients):
    """Runs the server under the same load and faults, and prints its memory and the size of its ledger at intervals."""
    print(
        f"{'seconds':>8}{'reports':>10}{'a second':>10}{'MiB':>8}{'threads':>9}{'file MiB':>10}{'entries':>10}"
        f"{'untold':>8}{'parked':>8}"
    )
    began, reported = time.monotonic(), 0
    while (passed := time.monotonic() - began) < options.soak * 60 and not any(client.refused for client in clients):
        time.sleep(min(options.every, options.soak * 60 - passed))
        reports = sum(client.reports for client in clients)
        status = json.loads(tier.run_ledger_command("status", "--json").stdout)
        memory, threads = tier.resident()
        size = sum(os.path.getsize(tier.file + end) for end in ("", "-wal") if os.path.exists(tier.file + end))
        per_second = (reports - reported) / (time.monotonic() - began - passed)
        print(
            f"{time.monotonic() - began:8.0f}{reports:10}{per_second:10.0f}{memory:8.1f}{threads:9}{size / 2**20:10.1f}"
            f"{status['entries']:10}{status['undelivered']:8}{status['parked']:8}",
            flush=True,
        )
        reported = reports


def compare(acknowledged, found):
    """Returns how many acknowledged units are not in `found`, and how many units in `found` were not acknowledged."""
    lost = sum(max(0, n - found[name]) for name, n in acknowledged.items())
    doubled = sum(max(0, found[name] - n) for name, n in acknowledged.items())
    return lost, doubled


def wait_for_recorded_usage(stripe, items, acknowledged):
    """Waits until Stripe has recorded the acknowledged usage, or for LONGEST_DELIVERY seconds. Returns the recorded usage and the
    time waited.
    """
    began = time.monotonic()
    while True:
        recorded = {name: stripe.recorded(items[name]) for name in acknowledged}
        waited = time.monotonic() - began
        if recorded == acknowledged or waited > LONGEST_DELIVERY:
            return recorded, waited
        time.sleep(2)


def read_ledger(tier, orgs):
    """Returns the usage that the server reports, and how often each idempotency key is in the ledger."""
    used = {}
    for org in orgs:
        for row in tier.call(f"/v1/limits?org={org}")["usage"]:
            used[org, row["feature"]] = row["used"]
    lines = [json.loads(line) for line in tier.run_ledger_command("export").stdout.splitlines()]
    org_of = {line["id"]: line["org"] for line in lines if line["type"] == "total"}
    entries = [line for line in lines if line["type"] == "entry" and line["key"]]
    keys = collections.Counter((org_of[entry["total_id"]], entry["key"]) for entry in entries)
    return used, keys


def check_totals(stripe, tier, clients, orgs):
    """Prints how acknowledged, stored and billed usage differ. Returns whether all of it is correct."""
    acknowledged = {name: n for client in clients for name, n in client.used.items()}
    keys = {key for client in clients for key in client.keys}
    items, customers = stripe.items()
    recorded, waited = wait_for_recorded_usage(stripe, items, acknowledged)
    used, stored = read_ledger(tier, orgs)
    price = lambda org: sum(PRICES[feature] * acknowledged[org, feature] for feature in AGGREGATES)
    wrong_invoices = [org for org in orgs if stripe.upcoming(customers[org]) != price(org)]
    verified = tier.run_ledger_command("verify")
    print(f"everything told {waited:.0f} s after the last report")
    print(f"acknowledged {sum(acknowledged.values())} units, billed {sum(recorded.values())}")
    print(f"\n{'':28}{'lost':>10}{'doubled':>10}")
    figures = [
        ("units, ledger", *compare(acknowledged, used)),
        ("units, Stripe", *compare(acknowledged, recorded)),
        ("keys, ledger", len(keys - stored.keys()), sum(count - 1 for count in stored.values())),
    ]
    for name, lost, doubled in figures:
        print(f"{name:28}{lost:10}{doubled:10}")
    print(f"invoices of another amount: {len(wrong_invoices)} of {len(orgs)} {' '.join(wrong_invoices[:5])}")
    print(f"tier ledger verify: {'right' if verified.returncode == 0 else verified.stdout + verified.stderr}")
    unknown = stored.keys() - keys
    print(f"keys in the ledger that nobody sent: {len(unknown)}")
    right = not any(lost or doubled for _, lost, doubled in figures)
    return right and not wrong_invoices and not unknown and verified.returncode == 0


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("kills", type=int, nargs="?", default=100, help="how often the server is killed (100)")
    options.add_argument("--soak", type=float, metavar="MINUTES", help="kill nothing, and show what the server holds")
    options.add_argument("--every", type=float, default=30, help="soak: seconds between two lines (30)")
    options.add_argument("--ledger", metavar="URL", help="a database in place of a file")
    options.add_argument("--generation", choices=[CLASSIC, METERS], default=CLASSIC, help="of the metered prices (classic)")
    options.add_argument("--replicas", type=int, default=1, help="how many servers share it (1)")
    options.add_argument("--database-kill", metavar="COMMAND", help="kills the database, once in five kills")
    options.add_argument("--database-start", metavar="COMMAND", help="starts it again")
    options.add_argument(
        "--hang", type=float, default=0, metavar="SECONDS", help="how long a server hangs, once in five kills (0: never)"
    )
    options.add_argument("--tier", default=os.environ.get("TIER_BIN", "target/debug/tier"), help="the binary")
    options.add_argument("--orgs", type=int, default=60)
    options.add_argument("--clients", type=int, default=12)
    options.add_argument("--longest-life", type=float, default=5.0, help="seconds that a server lives at most (5)")
    options.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of everything that is random")
    options.add_argument("--log", default=os.devnull, help="where the log of sandbox and servers is appended")
    options = options.parse_args()
    print(f"seed {options.seed}", flush=True)
    orgs = [f"org:{number}" for number in range(options.orgs)]
    with tempfile.TemporaryDirectory() as folder, open(options.log, "a") as log:
        stripe = Stripe(options.tier, options.seed, log, options.generation)
        start = lambda: Tier(options.tier, stripe, options.ledger or f"{folder}/tier.db", log)
        tier = Replicas([start() for _ in range(options.replicas)], options) if options.replicas > 1 else start()
        try:
            prepare(tier, orgs)
            right = run(options, stripe, tier, orgs)
        finally:
            tier.kill()
            stripe.process.kill()
    raise SystemExit(0 if right else 1)


def run(options, stripe, tier, orgs):
    clients = [Client(i, orgs[i :: options.clients], tier, options.seed) for i in range(options.clients)]
    stripe.inject_faults()
    for client in clients:
        client.start()
    if options.soak:
        soak(options, tier, clients)
        kills = 0
    else:
        kills = kill_repeatedly(tier, options, random.Random(options.seed), clients)
    for client in clients:
        client.stop.set()
    for client in clients:
        client.join()
    faults = stripe.fault_hits()
    stripe.clear_faults()
    tier.ensure_running()
    calls = stripe.calls()
    usage_records = calls.get("POST /v1/subscription_items/:id/usage_records", 0)
    count = lambda name: sum(getattr(client, name) for client in clients)
    print(f"{kills} kills; {count('reports')} reports acknowledged, {count('repeats')} requests that were not, and were repeated")
    print(f"{sum(calls.values())} calls to Stripe, {usage_records} of them usage records; {faults} faults of Stripe")
    refused = [client.refused for client in clients if client.refused]
    if refused:
        raise SystemExit(f"refused: {refused[0]}")
    return check_totals(stripe, tier, clients, orgs)


if __name__ == "__main__":
    main()
