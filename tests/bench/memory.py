"""Measures the memory of a server process. Started by `tests/bench/memory`, which builds the binary.

`bursts` prints the resident memory of an idle server, during and after many unfinished request bodies, after a burst of
complete bodies, and during and after many HTTP/2 answers that the client does not read. It also prints the CPU time per
request, which is more reliable than requests/s on a machine that does other work. With several `--tier` options it prints a
line for each binary, which is how allocators are compared.

`soak` loads a server with reads and writes for many orgs, and prints the resident memory every 30 seconds, in three phases.
First all orgs are subscribed. Then reports with an `Idempotency-Key` are sent until the server remembers as many keys as it
can. Then the load is mixed. In this phase the memory should not grow, and the last line prints how much it varied. A
separate `tier sandbox` process stands in for Stripe. Its memory is printed too, and grows, because the sandbox keeps all
usage.
"""

import argparse
import concurrent.futures
import json
import os
import re
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.error

from load import MODEL, Server, Stripe, call, resident_mib, start

KEY = "bench"
MIB = 1 << 20
PLANS = ["plan:pro@1", "plan:team@1"]


class OpenConnections:
    """Connections that stay open until `close` closes all of them."""

    def __init__(self, port):
        self.port, self.sockets = port, []

    def open(self, count, first_bytes):
        """Opens `count` connections, and sends `first_bytes` on each."""
        for _ in range(count):
            try:
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                self.sockets.append(connection)
                connection.sendall(first_bytes)
            except OSError:
                pass  # The server is at a limit and has closed the connection.

    def close(self):
        for connection in self.sockets:
            connection.close()
        self.sockets.clear()


def post(body_length, sent, key):
    """Returns a request whose body has only its first `sent` bytes."""
    head = f"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: {body_length}\r\n\r\n"
    return head.encode() + b" " * sent


def frame(kind, flags, stream, payload=b""):
    """Returns an HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def unread_streams(count, path):
    """Returns the bytes of an HTTP/2 connection that requests `path` `count` times with a flow-control window of 0, so that the
    server cannot send the answers."""
    literal = lambda text: bytes([len(text)]) + text.encode()
    fields = {":method": "GET", ":scheme": "http", ":authority": "localhost", ":path": path}
    head = b"".join(b"\x00" + literal(name) + literal(value) for name, value in fields.items())
    settings = frame(4, 0, 0, struct.pack(">HI", 4, 0))
    header_frames = b"".join(frame(1, 0x5, 1 + 2 * number, head) for number in range(count))
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + header_frames


def send_whole_bodies(port, count, parallel):
    """Sends complete bodies of 1 MiB, which the server reads and refuses, because they are not JSON."""

    def one(_):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            try:
                connection.sendall(post(MIB, MIB - 1, KEY) + b"x")
                connection.recv(4096)
            except OSError:
                pass  # The server is at a limit and has closed the connection.

    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        list(pool.map(one, range(count)))


def settled_mib(pid, seconds):
    """Waits for `seconds`, and returns the resident memory of the process in MiB."""
    time.sleep(seconds)
    return resident_mib(pid)


def probe(url, stop):
    """Requests /healthz twice a second, as a health probe does, until `stop` is set."""
    while not stop.wait(0.5):
        try:
            call(url, "/healthz")
        except (OSError, urllib.error.URLError):
            pass


def bursts(options):
    print("resident MiB; `after` is ten seconds later, with two probes a second\n")
    columns = ["idle", "bodies", "after", "bodies*", "after*", "burst after", "h2 unread", "after"]
    print(f"{'binary':24}" + "".join(f"{name:>12}" for name in columns) + f"{'whois µs':>10}{'limits µs':>10}")
    for tier in options.tier:
        sandbox, sandbox_url, _ = start([tier, "sandbox", "--addr", "127.0.0.1:0"])
        figures = [measure_bursts(tier, sandbox_url, extra) for extra in ([], ["--max-bodies", str(1100 * MIB)])]
        row = figures[0][:3] + figures[1][1:3] + figures[0][3:]
        costs = [cpu_micros(tier, sandbox_url, endpoint, options.seconds) for endpoint in ("whois", "limits")]
        print(f"{os.path.basename(tier):24}" + "".join(f"{mib:12.1f}" for mib in row)
              + "".join(f"{cost:10.1f}" for cost in costs), flush=True)
        sandbox.terminate()
    print("\nbodies: 1,000 unfinished ones of 1 MiB, with --max-bodies as it is, and (*) with 1,100 MiB")


def measure_bursts(tier, stripe, extra):
    """Returns the memory of one server, started with the options `extra`, before, during and after each burst."""
    env = {"STRIPE_API_KEY": "sk_test_bench", "STRIPE_BASE_API_URL": stripe, "TIER_API_KEY": KEY}
    command = [tier, "serve", "--addr", "127.0.0.1:0", "--max-requests", "4096", "--max-requests-per-key", "4096"]
    server, url, _ = start(command + extra, env)
    port, stop = int(url.rsplit(":", 1)[1]), threading.Event()
    figures, connections = [settled_mib(server.pid, 1)], OpenConnections(port)
    threading.Thread(target=probe, args=(url, stop), daemon=True).start()
    connections.open(1000, post(MIB, MIB - 1, KEY))
    figures.append(settled_mib(server.pid, 1))
    connections.close()
    figures.append(settled_mib(server.pid, 10))
    if not extra:
        send_whole_bodies(port, 512, 64)
        figures.append(settled_mib(server.pid, 10))
        connections.open(1000, unread_streams(64, "/openapi.json"))
        figures.append(settled_mib(server.pid, 2))
        connections.close()
        figures.append(settled_mib(server.pid, 10))
    stop.set()
    server.terminate()
    server.wait()
    return figures


def cpu_micros(tier, sandbox_url, endpoint, seconds):
    """Returns the CPU time of a request in microseconds, the lowest of three loads. The responder stands in for Stripe."""
    responder, responder_url, _ = start(["target/dist/examples/responder", sandbox_url])
    server = Server("ours", [tier, "serve", "--addr", "127.0.0.1:0"], Stripe("responder", responder_url))
    server.prepare()
    costs = [server.load(endpoint, 64, seconds)["cpu"] for _ in range(3)]
    server.stop()
    responder.terminate()
    return min(costs)


SOAK = """
local orgs, plans, keyed_only, n = %d, {'%s'}, %s, 0
local keys = %d .. '-' .. tostring({}):gsub('%%W', '') .. '-'
math.randomseed(%d)
request = function()
  n = n + 1
  local org = math.random(0, orgs - 1)
  local kind = keyed_only and 96 or math.random(100)
  if kind <= 45 then return wrk.format('GET', '/v1/limits?org=org:' .. org) end
  if kind <= 60 then return wrk.format('GET', '/v1/whois?org=org:' .. org) end
  if kind <= 65 then return wrk.format('GET', '/v1/phase?org=org:' .. org) end
  if kind <= 67 then return wrk.format('GET', '/v1/limits?org=org:unknown' .. n) end
  local headers = {['Content-Type'] = 'application/json'}
  if kind %% 2 == 0 then headers['Idempotency-Key'] = keys .. n end
  if kind <= 97 then
    return wrk.format('POST', '/v1/report', headers, '{"org":"org:' .. org .. '","feature":"feature:convert","n":1}')
  end
  local plan = plans[math.random(#plans)]
  return wrk.format('POST', '/v1/subscribe', headers, '{"org":"org:' .. org .. '","phases":[{"features":["' .. plan .. '"]}]}')
end
done = function(s)
  local e = s.errors
  print(string.format('RESULT %%d %%d %%d', s.requests, e.status, e.connect + e.read + e.timeout))
end
"""


def subscribe_all(url, orgs):
    """Subscribes each org once. Raises an exception if a request fails."""

    def one(org):
        call(url, "/v1/subscribe", {"org": f"org:{org}", "phases": [{"features": [PLANS[org % 2]]}]})

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(orgs)))


def soak(options):
    tier = options.tier[0]
    sandbox, sandbox_url, _ = start([tier, "sandbox", "--addr", "127.0.0.1:0", "--search-lag", "0s"])
    env = {"STRIPE_API_KEY": "sk_test_bench", "STRIPE_BASE_API_URL": sandbox_url}
    server, url, _ = start([tier, "serve", "--addr", "127.0.0.1:0"], env)
    model = {"plans": {plan: MODEL["plans"]["plan:pro@1"] for plan in PLANS}}
    call(url, "/v1/push", model)
    resident = lambda: (resident_mib(server.pid), resident_mib(sandbox.pid))
    print("phase      minutes  server MiB  sandbox MiB  requests  not 2xx  broken")
    began = time.monotonic()

    def show(phase, counts=()):
        minutes, (of_server, of_sandbox) = (time.monotonic() - began) / 60, resident()
        cells = "".join(f"{count:>9}" for count in counts)
        print(f"{phase:10}{minutes:8.1f}{of_server:12.1f}{of_sandbox:13.1f}" + cells, flush=True)
        return of_server

    show("start")
    subscribe_all(url, options.orgs)
    show("subscribed")
    keys = 0
    while keys < options.keys:
        requests, refused, broken = run_soak_load(url, options, keyed_only=True)
        keys += int(requests) - int(refused)
        show("keys", (requests, refused, broken))
    began, figures = time.monotonic(), []
    while time.monotonic() - began < options.minutes * 60:
        figures.append(show("mixed", run_soak_load(url, options)))
    middle = (min(figures) + max(figures)) / 2
    print(f"mixed load for {options.minutes} minutes: {min(figures):.1f} to {max(figures):.1f} MiB, "
          f"±{(max(figures) - middle) / middle:.1%}")
    for process in (server, sandbox):
        process.terminate()


def run_soak_load(url, options, seconds=30, keyed_only=False):
    """Returns the number of requests, of answers with an error status, and of connection errors."""
    seed = time.monotonic_ns() % 1_000_000_000
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        lua.write(SOAK % (options.orgs, "','".join(PLANS), str(keyed_only).lower(), seed, seed))
        lua.flush()
        command = ["wrk", "-t1", f"-c{options.connections}", f"-d{seconds}s", "--timeout", "30s", "-s", lua.name, url]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.search(r"RESULT (.*)", output).group(1).split()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("measure", choices=["bursts", "soak"])
    options.add_argument("--tier", action="append", help="the binary; repeatable")
    options.add_argument("--seconds", type=int, default=4, help="bursts: how long each load lasts")
    options.add_argument("--minutes", type=float, default=10, help="soak: how long")
    options.add_argument("--orgs", type=int, default=50_000, help="soak: how many")
    options.add_argument(
        "--keys", type=int, default=110_000, help="soak: how many fill the memory of keys, with room for 100,000"
    )
    options.add_argument("--connections", type=int, default=32, help="soak: how many")
    options = options.parse_args()
    options.tier = options.tier or ["target/dist/tier"]
    {"bursts": bursts, "soak": soak}[options.measure](options)


if __name__ == "__main__":
    main()
