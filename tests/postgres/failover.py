"""Repeatedly fails PostgreSQL over to a synchronous standby under load. Started by `tests/postgres/failover`, which installs
the requirements and builds the binary.

Two PostgreSQL servers run on this machine, and each commit of the primary waits until the standby has stored it. Tier
servers share the ledger through a URL that names both. Clients report usage with idempotency keys to all Tier servers,
including refunds and clobbers, while calls to Stripe (`tier sandbox`) fail at random. Then the primary fails and the standby
is promoted while the load continues. The failed server is created again as the standby of the new primary, and is promoted
in the next round. A primary fails in one of three ways, in turn: it is killed, as in a power failure; it hangs, so that its
machine accepts connections but the database does not answer; or it is stopped, as for maintenance.

At the end, prints the acknowledged usage, the usage in the ledger and the usage that Stripe bills, as `tests/bench/kills.py`
does. Exits with an error if usage is lost or counted twice.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
sys.dont_write_bytecode = True
from kills import Client, Replicas, Stripe, Tier, check_totals, free_port, prepare  # noqa: E402
from servers import Postgres  # noqa: E402

# The number of reports that must be acknowledged between two failovers.
REPORTS_BETWEEN = 300
# The seconds within which reports must be acknowledged again after a failover.
LONGEST_FAILOVER = 120


class TimedClient(Client):
    """A client of one server that records when its last report was acknowledged."""

    acknowledged_at = 0.0

    def report(self, key, report):
        super().report(key, report)
        self.acknowledged_at = time.monotonic()


def wait_for(what, clients, condition, longest):
    """Waits until `condition` holds. Exits after `longest` seconds, or if a report is refused."""
    began = time.monotonic()
    while not condition():
        refused = [client.refused for client in clients if client.refused]
        if refused or time.monotonic() - began > longest:
            raise SystemExit(refused[0] if refused else f"{what}: not within {longest} s")
        time.sleep(0.01)


def fail_primary(primary, how):
    """Kills, suspends or stops the primary."""
    if how == "killed":
        primary.kill()
    elif how == "hanging":
        primary.signal(signal.SIGSTOP)
    else:
        primary.stop("fast")


def fail_over(number, how, primary, standby, clients, rng):
    """Fails the primary over to the standby, and prints how long that took. Returns the new primary and its standby."""
    reports = sum(client.reports for client in clients)
    wait_for("reports", clients, lambda: sum(client.reports for client in clients) >= reports + REPORTS_BETWEEN, LONGEST_FAILOVER)
    primary.wait_for_value("SELECT string_agg(sync_state, ' ') FROM pg_stat_replication", "sync")
    lost = time.monotonic()
    fail_primary(primary, how)
    # A failure is not noticed at once.
    time.sleep(rng.uniform(0, 2))
    standby.promote()
    promoted = time.monotonic()
    everywhere = lambda: all(client.acknowledged_at > promoted for client in clients)
    wait_for("reports at all servers", clients, everywhere, LONGEST_FAILOVER)
    first = min(client.acknowledged_at for client in clients) - promoted
    last = time.monotonic() - promoted
    print(
        f"{number:3} {how:8} promoted after {promoted - lost:4.1f} s; from then on, the first report that is acknowledged at "
        f"some server {first:4.1f} s, at all {last:4.1f} s",
        flush=True,
    )
    if how == "hanging":
        primary.kill()
    primary.follow(standby)
    return standby, primary


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("failovers", type=int, nargs="?", default=6, help="how often (6)")
    options.add_argument("--tier", required=True, help="the binary")
    options.add_argument("--programs", required=True, help="the folder of PostgreSQL's programs")
    options.add_argument("--folder", required=True, help="where the servers of PostgreSQL keep their files")
    options.add_argument("--replicas", type=int, default=2, help="how many servers of tier share the ledger (2)")
    options.add_argument("--orgs", type=int, default=12)
    options.add_argument("--clients", type=int, default=6)
    options.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of everything that is random")
    options.add_argument("--log", default=os.devnull, help="where the log of sandbox and servers is appended")
    options = options.parse_args()
    print(f"seed {options.seed}", flush=True)
    databases = [Postgres(options.programs, options.folder, name, free_port()) for name in ("one", "two")]
    try:
        databases[0].make()
        databases[1].follow(databases[0])
        with open(options.log, "a") as log:
            right = run(options, databases, log)
    finally:
        for database in databases:
            try:
                database.kill()
            except OSError:
                pass
    raise SystemExit(0 if right else 1)


def run(options, databases, log):
    hosts = ",".join(database.address for database in databases)
    url = f"postgres://tier@{hosts}/postgres?target_session_attrs=read-write"
    orgs = [f"org:{number}" for number in range(options.orgs)]
    stripe, servers = Stripe(options.tier, options.seed, log), []
    try:
        servers.extend(Tier(options.tier, stripe, url, log) for _ in range(options.replicas))
        all_servers = Replicas(servers, options)
        prepare(all_servers, orgs)
        clients = [
            TimedClient(i, orgs[i :: options.clients], servers[i % len(servers)], options.seed) for i in range(options.clients)
        ]
        stripe.inject_faults()
        for client in clients:
            client.start()
        primary, standby = databases
        rng = random.Random(options.seed)
        for number in range(options.failovers):
            how = ("killed", "hanging", "stopped")[number % 3]
            primary, standby = fail_over(number + 1, how, primary, standby, clients, rng)
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join()
        stripe.clear_faults()
        ended = [server for server in servers if server.process.process.poll() is not None]
        count = lambda name: sum(getattr(client, name) for client in clients)
        print(
            f"{options.failovers} failovers; {count('reports')} reports acknowledged, {count('repeats')} requests that were not, "
            "and were repeated"
        )
        print(f"{len(ended)} of {len(servers)} servers of tier ended")
        return check_totals(stripe, all_servers, clients, orgs) and not ended
    finally:
        for server in servers:
            server.kill()
        stripe.process.kill()


if __name__ == "__main__":
    main()
