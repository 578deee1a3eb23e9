"""Tests the answers of a server while the database of its ledger is unavailable. Started by `tests/postgres/run`, which
installs the requirements: away.py TIER URL KILL START, where KILL and START are commands that kill the database and start it
again.

During the outage, reports are refused, and checks are answered from memory. After a while these answers are marked as stale,
and after `--max-stale` they are refused. After the outage, a report is repeated with its idempotency key, and counts once.
"""

import os
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
sys.dont_write_bytecode = True
from kills import Stripe, Tier  # noqa: E402
from replicas import MODEL, ask, calls_usage, expect, require_ok, subscribe, wait_until  # noqa: E402

REPORT = {"org": "org:a", "feature": "feature:calls", "n": 2}


def run(server, kill, start):
    require_ok(ask(server, "/v1/push", MODEL))
    subscribe(server, "org:a", "plan:paid@1")
    require_ok(ask(server, "/v1/report", {**REPORT, "n": 5}))
    expect("used before", calls_usage(server, "org:a")[0]["used"], 5)
    subprocess.run(kill, shell=True, check=True)
    began = time.monotonic()
    status, _, body = ask(server, "/v1/report", REPORT, "a-key")
    expect("the answer to a report", (status, body["code"]), (503, "ledger_unavailable"))
    print(f"away: a report was refused after {time.monotonic() - began:.1f} s")
    expect("used meanwhile", calls_usage(server, "org:a")[0]["used"], 5)
    began = time.monotonic()
    wait_until("an answer is stale", lambda: calls_usage(server, "org:a")[1].get("tier-stale") == "ledger-unavailable")
    stale = time.monotonic() - began
    wait_until("an answer is too old", lambda: ask(server, "/v1/limits?org=org:a")[0] == 503)
    print(f"away: checks were stale after {stale:.0f} s, and refused after {time.monotonic() - began:.0f} s")
    subprocess.run(start, shell=True, check=True)
    wait_until("a repeated report is accepted", lambda: ask(server, "/v1/report", REPORT, "a-key")[0] == 200)
    require_ok(ask(server, "/v1/report", REPORT, "a-key"))
    # The server must first read usage that other servers may have recorded.
    wait_until("an answer is young enough", lambda: ask(server, "/v1/limits?org=org:a")[0] == 200)
    expect("used afterwards", calls_usage(server, "org:a")[0]["used"], 7)
    print("away: all is right")


def main():
    tier, url, kill, start = sys.argv[1:]
    with tempfile.TemporaryFile("w+") as log:
        stripe = Stripe(tier, 1, log)
        server = Tier(tier, stripe, url, log, "--max-age", "10m", "--max-stale", "30s")
        try:
            run(server, kill, start)
        except BaseException:
            log.seek(0)
            print(log.read()[-20_000:])
            raise
        finally:
            for process in (server, stripe):
                process.process.kill()


if __name__ == "__main__":
    main()
