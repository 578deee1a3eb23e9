"""What a whole server answers while the database of its ledger is away. Started by `tests/postgres/run`, which installs what this
needs: away.py TIER URL KILL START, of which the last two are commands that kill the database and start it again.

Reports are refused, and checks are answered from memory, as stale after a while and not beyond `--max-stale`. Afterwards a report is
repeated with its key, and counts once.
"""

import os
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
sys.dont_write_bytecode = True
from kills import Stripe, Tier  # noqa: E402
from replicas import MODEL, ask, calls, done, expect, subscribe, until  # noqa: E402

REPORT = {"org": "org:a", "feature": "feature:calls", "n": 2}


def away(server, kill, start):
    done(ask(server, "/v1/push", MODEL))
    subscribe(server, "org:a", "plan:paid@1")
    done(ask(server, "/v1/report", {**REPORT, "n": 5}))
    expect("used before", calls(server, "org:a")[0]["used"], 5)
    subprocess.run(kill, shell=True, check=True)
    began = time.monotonic()
    status, _, body = ask(server, "/v1/report", REPORT, "a-key")
    expect("the answer to a report", (status, body["code"]), (503, "ledger_unavailable"))
    print(f"away: a report was refused after {time.monotonic() - began:.1f} s")
    expect("used meanwhile", calls(server, "org:a")[0]["used"], 5)
    began = time.monotonic()
    until("an answer is stale", lambda: calls(server, "org:a")[1].get("tier-stale") == "ledger-unavailable")
    stale = time.monotonic() - began
    until("an answer is too old", lambda: ask(server, "/v1/limits?org=org:a")[0] == 503)
    print(f"away: checks were stale after {stale:.0f} s, and refused after {time.monotonic() - began:.0f} s")
    subprocess.run(start, shell=True, check=True)
    until("a repeated report is accepted", lambda: ask(server, "/v1/report", REPORT, "a-key")[0] == 200)
    done(ask(server, "/v1/report", REPORT, "a-key"))
    # The server must first read the usage that other servers may have recorded.
    until("an answer is young enough", lambda: ask(server, "/v1/limits?org=org:a")[0] == 200)
    expect("used afterwards", calls(server, "org:a")[0]["used"], 7)
    print("away: all is right")


def main():
    tier, url, kill, start = sys.argv[1:]
    with tempfile.TemporaryFile("w+") as log:
        stripe = Stripe(tier, 1, log)
        server = Tier(tier, stripe, url, log, "--max-age", "10m", "--max-stale", "30s")
        try:
            away(server, kill, start)
        except BaseException:
            log.seek(0)
            print(log.read()[-20_000:])
            raise
        finally:
            for process in (server, stripe):
                process.process.kill()


if __name__ == "__main__":
    main()
