"""A failover to a synchronous standby, again and again, under load. Started by `tests/postgres/failover`, which installs and builds.

Two PostgreSQL servers on this machine: each commit of the primary waits until the standby has it. Servers of tier share the ledger
under a URL that names both, and clients report usage with idempotency keys to all of them, refunds and clobbers too, while Stripe
(`tier sandbox`) fails at random. Then the primary is lost and the standby is promoted, while the load goes on. The lost one is made
anew as the standby of the other, and loses its place in the next round. It is lost in three ways in turn: killed as by a power
failure; hanging, so that its machine answers and the database does not; and stopped as for maintenance.

In the end it prints, as `tests/bench/kills.py` does, what was acknowledged, what is in the ledger and what Stripe bills, and ends
with an error if anything is lost or doubled.
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

# How many reports must be acknowledged before the next failover.
BETWEEN = 300
# How long a failover may take, in seconds, until reports are acknowledged again.
LONGEST = 120


class One(Client):
    """A client of one server, which notes when it was last acknowledged."""

    acknowledged_at = 0.0

    def report(self, key, report):
        super().report(key, report)
        self.acknowledged_at = time.monotonic()


def wait_for(what, clients, is_so, longest):
    began = time.monotonic()
    while not is_so():
        refused = [client.refused for client in clients if client.refused]
        if refused or time.monotonic() - began > longest:
            raise SystemExit(refused[0] if refused else f"{what}: not within {longest} s")
        time.sleep(0.01)


def lose(primary, how):
    if how == "killed":
        primary.kill()
    elif how == "hanging":
        primary.signal(signal.SIGSTOP)
    else:
        primary.stop("fast")


def fail_over(number, how, primary, standby, clients, chance):
    """Returns the new primary and its standby."""
    reports = sum(client.reports for client in clients)
    wait_for("reports", clients, lambda: sum(client.reports for client in clients) >= reports + BETWEEN, LONGEST)
    primary.until("SELECT string_agg(sync_state, ' ') FROM pg_stat_replication", "sync")
    lost = time.monotonic()
    lose(primary, how)
    # It takes a while until somebody notices.
    time.sleep(chance.uniform(0, 2))
    standby.promote()
    promoted = time.monotonic()
    wait_for("reports at all servers", clients, lambda: all(client.acknowledged_at > promoted for client in clients), LONGEST)
    first = min(client.acknowledged_at for client in clients) - promoted
    last = time.monotonic() - promoted
    print(
        f"{number:3} {how:8} promoted after {promoted - lost:4.1f} s; from then on, the first report that is acknowledged at some "
        f"server {first:4.1f} s, at all {last:4.1f} s",
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
        clients = [One(i, orgs[i :: options.clients], servers[i % len(servers)], options.seed) for i in range(options.clients)]
        stripe.inject_faults()
        for client in clients:
            client.start()
        primary, standby = databases
        chance = random.Random(options.seed)
        for number in range(options.failovers):
            how = ("killed", "hanging", "stopped")[number % 3]
            primary, standby = fail_over(number + 1, how, primary, standby, clients, chance)
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join()
        stripe.clear_faults()
        ended = [server for server in servers if server.process.process.poll() is not None]
        count = lambda name: sum(getattr(client, name) for client in clients)
        print(f"{options.failovers} failovers; {count('reports')} reports acknowledged, {count('repeats')} requests that were not, and were repeated")
        print(f"{len(ended)} of {len(servers)} servers of tier ended")
        return check_totals(stripe, all_servers, clients, orgs) and not ended
    finally:
        for server in servers:
            server.kill()
        stripe.process.kill()


if __name__ == "__main__":
    main()
