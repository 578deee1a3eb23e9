"""Measures the server under load. Started by `tests/bench/run`, which installs the requirements.

For each endpoint and number of connections, prints requests/s, latency, the CPU time per request and the memory of the
server process, and the number of Stripe calls per request. Two programs stand in for Stripe in turn: the responder, which
replays recorded answers at almost no cost, and the sandbox.
"""

import argparse
import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
import urllib.request

ORGS = 64
MODEL = {
    "plans": {
        "plan:pro@1": {
            "features": {
                "feature:convert": {"tiers": [{"upto": 1000}, {"price": 0.5}]},
                "feature:seat": {"base": 1000},
                "feature:export": {"tiers": [{"upto": 50, "price": 2}]},
            }
        }
    }
}
# Consecutive requests are about different orgs, so that they share little. `{}` is the number of the org.
ENDPOINTS = {
    "whois": ("/v1/whois?org=org:{}", None),
    "limits": ("/v1/limits?org=org:{}", None),
    "report": ("/v1/report", {"org": "org:{}", "feature": "feature:convert", "n": 1}),
    "phase": ("/v1/phase?org=org:{}", None),
    "push": ("/v1/push", MODEL),
}
TICK = os.sysconf("SC_CLK_TCK")


def start(command, env=None):
    """Starts a server. Returns its process, the URL of the address that it prints, and the seconds until it printed that."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})}
    )
    line = process.stdout.readline()
    found = re.search(r"(127\.0\.0\.1:\d+)", line)
    if not found:
        raise SystemExit(f"{command[0]} did not say where it listens: {line!r}")
    return process, f"http://{found.group(1)}", time.monotonic() - began


def call(base, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(base + path, data=data), timeout=30) as answer:
        return answer.read().decode()


def fill(text, org):
    return text.replace("{}", str(org))


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_mib(pid):
    status = open(f"/proc/{pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


class Stripe:
    """The responder or the sandbox, each of which counts calls."""

    def __init__(self, name, url):
        self.name, self.url = name, url

    def calls(self):
        """Returns the number of calls since the previous call of this function."""
        if self.name == "responder":
            return int(call(self.url, "/_calls"))
        counts = json.loads(call(self.url, "/_sandbox/requests"))["counts"]
        total = sum(counts.values())
        delta, self.seen = total - getattr(self, "seen", 0), total
        return delta


class Server:
    """A server under load, with the Stripe stand-in that it calls."""

    def __init__(self, label, command, stripe):
        env = {"STRIPE_API_KEY": "sk_test_bench", "STRIPE_BASE_API_URL": stripe.url}
        self.label, self.stripe = label, stripe
        self.process, self.url, self.ready = start(command, env)

    def prepare(self):
        """Creates what the endpoints need, through this server, so that its caches are warm."""
        call(self.url, "/v1/push", MODEL)
        for org in range(ORGS):
            call(self.url, "/v1/subscribe", {"org": f"org:{org}", "phases": [{"features": ["plan:pro@1"]}]})
        if self.stripe.name == "responder":
            call(self.stripe.url, "/_record")
        for path, body in ENDPOINTS.values():
            for org in range(ORGS):
                filled = body and json.loads(fill(json.dumps(body), org))
                call(self.url, fill(path, org), filled)

    def load(self, endpoint, connections, seconds):
        """Loads an endpoint with wrk, and returns the measurements."""
        path, body = ENDPOINTS[endpoint]
        method, text = ("POST", json.dumps(body)) if body else ("GET", "")
        script = f"""
            local requests, n = {{}}, 0
            init = function()
              for org = 0, {ORGS - 1} do
                local fill = function(text) return (text:gsub('{{}}', org)) end
                requests[org] = wrk.format('{method}', fill('{path}'), nil, fill([==[{text}]==]))
              end
            end
            request = function() n = (n + 1) % {ORGS}; return requests[n] end
        """
        script += (
            "done=function(s,l) print(string.format('RESULT %d %d %d %d %d', s.requests, s.duration,"
            " l:percentile(50), l:percentile(99), s.errors.status+s.errors.connect+s.errors.read+s.errors.timeout)) end\n"
        )
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
            lua.write(script)
            lua.flush()
            self.stripe.calls()
            before = cpu_seconds(self.process.pid)
            output = subprocess.run(
                ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", lua.name, self.url],
                capture_output=True, text=True, check=True,
            ).stdout
            cpu = cpu_seconds(self.process.pid) - before
        requests, micros, p50, p99, errors = map(int, re.search(r"RESULT (.*)", output).group(1).split())
        return {
            "rps": requests / (micros / 1e6),
            "p50": p50 / 1000,
            "p99": p99 / 1000,
            "cpu": cpu / max(requests, 1) * 1e6,
            "rss": resident_mib(self.process.pid),
            "calls": self.stripe.calls() / max(requests, 1),
            "errors": errors,
        }

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=35)


def first_answer_ms(command, stripe):
    """Returns the milliseconds from exec to the first answer to /healthz, whatever its status: the median of nine starts."""
    times = []
    for _ in range(9):
        began = time.monotonic()
        server = Server("start", command, stripe)
        with contextlib.suppress(urllib.error.HTTPError):
            call(server.url, "/healthz")
        times.append((time.monotonic() - began) * 1000)
        server.stop()
    return sorted(times)[4]


def idle_mib(command, stripe):
    """Returns the resident memory of an idle server in MiB."""
    server = Server("idle", command, stripe)
    time.sleep(0.5)
    mib = resident_mib(server.process.pid)
    server.stop()
    return mib


def print_row(label, stripe, endpoint, connections, r):
    print(
        f"{label:8} {stripe:10} {endpoint:8} {connections:5} {r['rps']:10.0f} {r['p50']:9.2f} {r['p99']:9.2f}"
        f" {r['cpu']:9.1f} {r['rss']:8.1f} {r['calls']:7.2f} {r['errors']:6}",
        flush=True,
    )


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=4, help="how long each load lasts")
    options.add_argument("--connections", default="1,16,64")
    options.add_argument("--endpoints", default=",".join(ENDPOINTS))
    options.add_argument(
        "--against",
        help="the command line of another server, with {port} for its port; it gets STRIPE_API_KEY and"
        " STRIPE_BASE_API_URL, and must print its address",
    )
    options = options.parse_args()
    tier = "target/dist/tier"
    ours = [tier, "serve", "--addr", "127.0.0.1:0"]

    sandbox, sandbox_url, _ = start([tier, "sandbox", "--addr", "127.0.0.1:0"])
    responder, responder_url, _ = start(["target/dist/examples/responder", sandbox_url])
    stripes = [Stripe("responder", responder_url), Stripe("sandbox", sandbox_url)]

    print(f"binary {os.path.getsize(tier) / 1e6:.1f} MB")
    print(f"first answer {first_answer_ms(ours, stripes[0]):.1f} ms after exec")
    print(f"idle {idle_mib(ours, stripes[0]):.1f} MiB resident\n")
    print("server   stripe     endpoint conns   requests/s    p50 ms    p99 ms    cpu µs  rss MiB   calls errors")
    try:
        for stripe in stripes:
            servers = [Server("ours", ours, stripe)]
            if options.against:
                servers.append(Server("theirs", shlex.split(options.against.format(port=18080)), stripe))
            for server in servers:
                server.prepare()
            for endpoint in options.endpoints.split(","):
                for connections in map(int, options.connections.split(",")):
                    results = [server.load(endpoint, connections, options.seconds) for server in servers]
                    for server, result in zip(servers, results):
                        print_row(server.label, stripe.name, endpoint, connections, result)
                    if len(results) == 2:
                        mine, other = results
                        print(
                            f"{'ratio':8} {'':10} {'':8} {'':5} {mine['rps'] / other['rps']:10.2f}"
                            f" {'':9} {'':9} {mine['cpu'] / max(other['cpu'], 0.01):9.2f}"
                        )
            for server in servers:
                server.stop()
    finally:
        responder.terminate()
        sandbox.terminate()


if __name__ == "__main__":
    main()
