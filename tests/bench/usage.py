"""Measures checks and reports under load. Started by `tests/bench/run usage`, which installs the requirements.

Checks: `GET /v1/limits` from memory, with logging on, while Stripe answers at once and while it answers after 100 ms. The
baseline is a plain axum server that answers the same bytes from a constant. Reports: `POST /v1/report`, without a ledger and
with one. With a ledger, an answer means that the report is on disk. Half of the reports have an idempotency key.
"""

import argparse
import os
import re
import subprocess
import tempfile
import urllib.request

from load import ORGS, Server, Stripe, call, cpu_seconds, resident_mib, start

FIVE_FEATURES = {
    "plans": {
        "plan:five@1": {
            "features": {
                f"feature:{name}": {"tiers": [{"upto": 1_000_000_000}]}
                for name in ("calls", "tokens", "bytes", "jobs", "seats")
            }
        }
    }
}

CHECK = """
    local requests, n = {}, 0
    init = function()
      for org = 0, ORGS - 1 do requests[org] = wrk.format('GET', (string.gsub(PATH, '{}', org))) end
    end
    request = function() n = (n + 1) % ORGS; return requests[n] end
"""
# The key is the last header, so that a request is built from only three strings.
REPORT = """
    local plain, keyed, bodies, n = {}, {}, {}, 0
    local nonce = tostring(os.time()) .. tostring(math.random(1000000000))
    init = function()
      for org = 0, ORGS - 1 do
        local body = '{"org":"org:' .. org .. '","feature":"feature:calls","n":1}'
        local head = 'POST /v1/report HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\nContent-Length: '
          .. #body .. '\\r\\n'
        plain[org] = head .. '\\r\\n' .. body
        keyed[org] = head .. 'Idempotency-Key: ' .. nonce .. '-'
        bodies[org] = '\\r\\n\\r\\n' .. body
      end
    end
    request = function()
      n = n + 1
      local org = n % ORGS
      if math.floor(n / ORGS) % 2 == 0 then return plain[org] end
      return keyed[org] .. n .. bodies[org]
    end
"""
DONE = """
    done = function(s, l)
      local errors = s.errors.status + s.errors.connect + s.errors.read + s.errors.timeout
      print(string.format('RESULT %d %d %d %d %d', s.requests, s.duration, l:percentile(50), l:percentile(99), errors))
    end
"""


def load(url, pid, script, connections, seconds):
    """Loads a server with a wrk script, and returns the measurements of the process `pid`."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        lua.write(script.replace("ORGS", str(ORGS)) + DONE)
        lua.flush()
        before = cpu_seconds(pid)
        output = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", lua.name, url],
            capture_output=True, text=True, check=True,
        ).stdout
        cpu = cpu_seconds(pid) - before
    requests, micros, p50, p99, errors = map(int, re.search(r"RESULT (.*)", output).group(1).split())
    return {
        "requests": requests,
        "rps": requests / (micros / 1e6),
        "p50": p50 / 1000,
        "p99": p99 / 1000,
        "cpu": cpu / max(requests, 1) * 1e6,
        "rss": resident_mib(pid),
        "errors": errors,
    }


def print_row(label, connections, r, calls):
    print(
        f"{label:42} {connections:5} {r['rps']:10.0f} {r['p50']:9.2f} {r['p99']:9.2f} {r['cpu']:9.1f} {r['rss']:8.1f}"
        f" {calls:7} {r['errors']:6}",
        flush=True,
    )


def post(base, path, text):
    urllib.request.urlopen(urllib.request.Request(base + path, data=text.encode()), timeout=30).read()


def prepare(server):
    """Creates plans and orgs, warms the caches, and records Stripe's answers in the responder."""
    call(server.url, "/v1/push", FIVE_FEATURES)
    for org in range(ORGS):
        call(server.url, "/v1/subscribe", {"org": f"org:{org}", "phases": [{"features": ["plan:five@1"]}]})
    for org in range(ORGS):
        call(server.url, f"/v1/limits?org=org:{org}")
        call(server.url, "/v1/report", {"org": f"org:{org}", "feature": "feature:calls", "n": 1})
    call(server.stripe.url, "/_record")
    for org in range(ORGS):
        call(server.url, "/v1/report", {"org": f"org:{org}", "feature": "feature:calls", "n": 1})


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=8, help="how long each load lasts")
    options.add_argument("--profile", default="dist", help="the folder in target/ whose binaries are measured")
    options.add_argument("--folder", help="where the ledger is kept, a folder on the disk to measure")
    options = options.parse_args()
    binaries = f"target/{options.profile}"
    tier = f"{binaries}/tier"

    sandbox, sandbox_url, _ = start([tier, "sandbox", "--addr", "127.0.0.1:0"])
    responder, responder_url, _ = start([f"{binaries}/examples/responder", sandbox_url])
    stripe = Stripe("responder", responder_url)
    print(f"{os.cpu_count()} cores, with the load on the same machine")
    print(f"{'':42} {'conns':>5} {'requests/s':>10} {'p50 ms':>9} {'p99 ms':>9} {'cpu µs':>9} {'rss MiB':>8}"
          f" {'calls':>7} {'errors':>6}")
    try:
        # The long maximum age keeps answers in memory, because only checks from memory are measured.
        serve = [tier, "serve", "--addr", "127.0.0.1:0", "--max-age", "1h"]
        server = Server("stateless", serve, stripe)
        prepare(server)
        answer = call(server.url, "/v1/limits?org=org:0")
        post(responder_url, "/_constant", answer)
        check = CHECK.replace("PATH", "'/v1/limits?org=org:{}'")
        constant = CHECK.replace("PATH", "'/_constant'")
        figures = {}
        for label, milliseconds in (("a check, Stripe at 0 ms", 0), ("a check, Stripe at 100 ms", 100)):
            post(responder_url, "/_latency", str(milliseconds))
            baseline = load(responder_url, responder.pid, constant, 64, options.seconds)
            print_row("a plain axum, the same bytes", 64, baseline, 0)
            stripe.calls()
            ours = load(server.url, server.process.pid, check, 64, options.seconds)
            print_row(label, 64, ours, stripe.calls())
            figures[label] = (ours["rps"] / baseline["rps"], ours["p99"] / baseline["p99"])
        post(responder_url, "/_latency", "0")
        ours = load(server.url, server.process.pid, REPORT, 256, options.seconds)
        print_row("a report, without a ledger", 256, ours, stripe.calls())
        server.stop()

        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            server = Server("ledger", [*serve, "--ledger", f"{folder}/tier.db"], stripe)
            for org in range(ORGS):
                call(server.url, "/v1/report", {"org": f"org:{org}", "feature": "feature:calls", "n": 1})
            for connections in (64, 256):
                stripe.calls()
                ours = load(server.url, server.process.pid, REPORT, connections, options.seconds)
                print_row("a report, with a ledger", connections, ours, stripe.calls())
            stripe.calls()
            ours = load(server.url, server.process.pid, check, 64, options.seconds)
            print_row("a check, with a ledger", 64, ours, stripe.calls())
            server.stop()
        for label, (rate, tail) in figures.items():
            print(f"{label}: {rate:.0%} of the requests/s of a plain axum, {tail:.1f} times its p99")
    finally:
        responder.terminate()
        sandbox.terminate()


if __name__ == "__main__":
    main()
