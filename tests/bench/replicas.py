"""Measures the throughput, cost and recovery time of servers that share a ledger in PostgreSQL. Started by
`tests/bench/run replicas`, which installs the requirements.

Throughput: `POST /v1/report` at 1, 2 and 4 servers at once. Each answer follows its commit. Prints the CPU time of each
part: the servers, PostgreSQL, and the load including `tier sandbox`, which stands in for Stripe. All parts run on this
machine and compete for its cores. Half of the reports have an idempotency key. First, each server gets reports for all orgs,
so that transactions wait for each other's locks. Then each server gets reports for its own orgs only. Checks, which are
`GET /v1/limits` answered from memory, are measured at 1 and 2 servers.

Without HTTP: the same reports, one at a time and in requests of a thousand.

Recovery: a client repeats each report until it is acknowledged. Prints the longest time without an acknowledgment at one
server while another one is killed, the time until a restarted server acknowledges, and the time until servers acknowledge
after PostgreSQL was killed and restarted.
"""

import argparse
import http.client
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "postgres"))
sys.dont_write_bytecode = True
from kills import free_port  # noqa: E402
from load import ORGS, Server, Stripe, call, cpu_seconds, start  # noqa: E402
from servers import Postgres  # noqa: E402
from usage import CHECK, DONE, FIVE_FEATURES, REPORT  # noqa: E402

CONNECTIONS = 256
REPORT_ONE = '{"org":"org:1","feature":"feature:calls","n":1}'


class Load:
    """A wrk process that loads one server."""

    def __init__(self, url, script, connections, seconds):
        self.lua = tempfile.NamedTemporaryFile("w", suffix=".lua")
        self.lua.write(script.replace("ORGS", str(ORGS)) + DONE)
        self.lua.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", self.lua.name, url]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def result(self):
        text = self.process.communicate()[0]
        requests, micros, p50, p99, errors = map(int, re.search(r"RESULT (.*)", text).group(1).split())
        return {"rps": requests / (micros / 1e6), "requests": requests, "p50": p50 / 1000, "p99": p99 / 1000, "errors": errors}


def wal_bytes(database):
    """Returns how many bytes PostgreSQL has written to its WAL."""
    return int(database.sql("SELECT (pg_current_wal_lsn() - '0/0')::bigint"))


def child_cpu_seconds():
    """Returns the CPU time of the child processes that have ended, which include wrk."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def own_orgs(number, count):
    """Returns a wrk script that sends reports for every `count`th org, starting from `number`."""
    chosen = "local org = n % ORGS"
    assert chosen in REPORT
    return REPORT.replace(chosen, f"local org = n % {ORGS // count} * {count} + {number}")


def measure(label, servers, scripts, parts, seconds):
    """Loads the servers at once, each with its script, and prints the result. `parts` are PostgreSQL and the sandbox process."""
    database, stripe = parts
    used = lambda: (
        sum(cpu_seconds(server.process.pid) for server in servers),
        database.cpu_seconds(),
        child_cpu_seconds() + cpu_seconds(stripe.pid),
    )
    before, began = used(), time.monotonic()
    written = wal_bytes(database)
    each = CONNECTIONS // len(servers)
    loads = [Load(server.url, script, each, seconds) for server, script in zip(servers, scripts)]
    results = [load.result() for load in loads]
    passed = time.monotonic() - began
    cpu = [now - then for now, then in zip(used(), before)]
    written = wal_bytes(database) - written
    requests = sum(result["requests"] for result in results)
    costs = [f"{part / requests * 1e6:9.0f}" for part in cpu]
    shares = [f"{part / passed:6.2f}" for part in cpu]
    print(
        f"{label:28}{sum(result['rps'] for result in results):10.0f}{statistics.mean(r['p50'] for r in results):9.1f}"
        f"{max(result['p99'] for result in results):9.1f} {''.join(costs)} {''.join(shares)}{written / requests:9.0f}"
        f"{sum(result['errors'] for result in results):7}",
        flush=True,
    )


class RepeatingClient(threading.Thread):
    """Reports one unit at a time to one server, and records when each was acknowledged."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.host, self.stop, self.at = urllib.parse.urlparse(url).netloc, threading.Event(), []

    def run(self):
        connection = None
        while not self.stop.is_set():
            try:
                connection = connection or http.client.HTTPConnection(self.host, timeout=30)
                connection.request("POST", "/v1/report", REPORT_ONE)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.at.append(time.monotonic())
                    continue
            except (OSError, http.client.HTTPException):
                connection = None
            time.sleep(0.005)

    def longest_gap(self, since):
        """Returns the longest time between two consecutive acknowledgments, of which the second one is after `since`."""
        at = list(self.at)
        return max((later - one for one, later in zip(at, at[1:]) if later > since), default=float("inf"))

    def first_after(self, since):
        """Waits for the first acknowledgment after `since`, and returns the time between the two."""
        while not (later := [at for at in list(self.at) if at > since]):
            time.sleep(0.002)
        return later[0] - since

    def end(self):
        self.stop.set()
        self.join()


def recovery(database, start_server, rounds):
    """Kills servers and the database under a light load, and prints the recovery times. Returns the running servers."""
    servers = [start_server(), start_server()]
    gaps, restarts, recoveries, ready = [], [], [], []
    for _ in range(rounds):
        other_client = RepeatingClient(servers[0].url)
        killed_client = RepeatingClient(servers[1].url)
        for client in (other_client, killed_client):
            client.start()
        time.sleep(1)
        killed = time.monotonic()
        servers[1].process.kill()
        servers[1].process.wait()
        killed_client.end()
        time.sleep(1)
        gaps.append(other_client.longest_gap(killed))
        began = time.monotonic()
        servers[1] = start_server()
        killed_client = RepeatingClient(servers[1].url)
        killed_client.start()
        restarts.append(killed_client.first_after(began))
        time.sleep(1)
        began = time.monotonic()
        database.kill()
        restart(database)
        up = time.monotonic()
        ready.append(up - began)
        recoveries.append(max(client.first_after(up) for client in (other_client, killed_client)))
        for client in (other_client, killed_client):
            client.end()
    for what, found in (
        ("a server is killed: longest time without an acknowledgment at the other one", gaps),
        ("it is started again: until its first acknowledgment", restarts),
        ("PostgreSQL is killed: until it accepts connections again", ready),
        ("from then on: until the first acknowledgment at every server", recoveries),
    ):
        print(f"{what}: {statistics.median(found) * 1000:.0f} ms, at most {max(found) * 1000:.0f} ms ({len(found)} times)")
    return servers


def restart(database):
    """Starts PostgreSQL after a kill. Repeats this for a while, because resources of the killed server may still be in use."""
    for _ in range(50):
        try:
            return database.start()
        except subprocess.CalledProcessError:
            time.sleep(0.1)
    raise SystemExit("PostgreSQL does not start again")


def without_http(profile, url):
    """Runs `cargo bench --bench ledger`, which prints how many reports the database acknowledges to one process without HTTP."""
    print("\nwithout HTTP, one process:", flush=True)
    features = ["--features", "postgres", "--bench", "ledger"]
    subprocess.run(["cargo", "bench", "--quiet", "--locked", "--profile", profile, *features, "--", url], check=True)
    print()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--programs", required=True, help="the folder of PostgreSQL's programs")
    options.add_argument("--folder", required=True, help="where PostgreSQL keeps its files, a folder on the disk to measure")
    options.add_argument("--seconds", type=int, default=8, help="how long each load lasts")
    options.add_argument("--rounds", type=int, default=5, help="how often servers and the database are killed")
    options.add_argument("--profile", default="dist", help="the folder in target/ whose binary is measured")
    options = options.parse_args()
    tier = f"target/{options.profile}/tier"
    database = Postgres(options.programs, options.folder, "measured", free_port())
    database.make()
    sandbox, sandbox_url, _ = start([tier, "sandbox", "--addr", "127.0.0.1:0"])
    stripe = Stripe("sandbox", sandbox_url)
    url = f"postgres://tier@{database.address}/postgres"
    serve = [tier, "serve", "--addr", "127.0.0.1:0", "--max-age", "1h", "--ledger", url]
    servers = []

    def start_server():
        servers.append(Server("shared", serve, stripe))
        return servers[-1]

    try:
        print(f"{os.cpu_count()} cores, {os.getloadavg()[0]:.1f} of them busy before; the load is on the same machine")
        print(f"{'':28}{'':>10}{'':>9}{'':>9} {'CPU µs a request':^27} {'cores in use':^18}{'log B':>9}{'':>7}")
        print(
            f"{'':28}{'requests/s':>10}{'p50 ms':>9}{'p99 ms':>9} {'tier':>9}{'postgres':>9}{'load':>9} "
            f"{'tier':>6}{'pg':>6}{'load':>6}{'/request':>9}{'errors':>7}"
        )
        prepare(start_server())
        parts = (database, sandbox)
        for count in (1, 2, 4):
            while len(servers) < count:
                warm(start_server())
            measure(f"reports, servers: {count}", servers, [REPORT] * count, parts, options.seconds)
        for count in (2, 4):
            scripts = [own_orgs(number, count) for number in range(count)]
            measure(f"  with orgs of their own: {count}", servers[:count], scripts, parts, options.seconds)
        check = CHECK.replace("PATH", "'/v1/limits?org=org:{}'")
        for count in (1, 2):
            measure(f"checks, servers: {count}", servers[:count], [check] * count, parts, options.seconds)
        for server in servers:
            server.stop()
        without_http(options.profile, url)
        recovery(database, start_server, options.rounds)
    finally:
        for process in [sandbox, *(server.process for server in servers)]:
            process.kill()
        database.kill()


def prepare(server):
    call(server.url, "/v1/push", FIVE_FEATURES)
    for org in range(ORGS):
        call(server.url, "/v1/subscribe", {"org": f"org:{org}", "phases": [{"features": ["plan:five@1"]}]})
    warm(server)


def warm(server):
    for org in range(ORGS):
        call(server.url, f"/v1/limits?org=org:{org}")
        call(server.url, "/v1/report", {"org": f"org:{org}", "feature": "feature:calls", "n": 1})


if __name__ == "__main__":
    main()
