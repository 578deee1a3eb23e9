"""Measures the memory of the server as a process of its own. Started by `tests/bench/memory`, which builds it.

`bursts` prints what is resident when the server is idle, while and after strangers send bodies without an end, after a
burst of whole bodies, and while and after answers over HTTP/2 are left unread; and what CPU time a request costs, which
tells more than requests a second on a machine that does other things. With several `--tier`, one line for each binary: that is how allocators are compared.

`soak` loads a server with reads and writes of many orgs, and prints what is resident every half minute, in three phases:
all orgs are subscribed; reports with an `Idempotency-Key` are sent until as many keys are remembered as there is room for;
then mixed load. From there on nothing may grow, and the last line says by how much it did. Stripe is `tier sandbox`, a
process of its own, whose memory is printed too: it keeps all usage, and so grows.
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


class Held:
    """Connections that stay open until they are closed together."""

    def __init__(self, port):
        self.port, self.sockets = port, []

    def open(self, count, first_bytes):
        for _ in range(count):
            try:
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                self.sockets.append(connection)
                connection.sendall(first_bytes)
            except OSError:
                pass  # It was turned away, or told that there is no room.

    def close(self):
        for connection in self.sockets:
            connection.close()
        self.sockets.clear()


def post(body_length, sent, key):
    head = f"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: {body_length}\r\n\r\n"
    return head.encode() + b" " * sent


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def unread_streams(count, path):
    """An HTTP/2 connection that asks `count` times for a page and takes none of it: its window is 0."""
    literal = lambda text: bytes([len(text)]) + text.encode()
    fields = {":method": "GET", ":scheme": "http", ":authority": "localhost", ":path": path}
    head = b"".join(b"\x00" + literal(name) + literal(value) for name, value in fields.items())
    settings = frame(4, 0, 0, struct.pack(">HI", 4, 0))
    heads = b"".join(frame(1, 0x5, 1 + 2 * number, head) for number in range(count))
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + heads


def send_whole_bodies(port, count, parallel):
    """Whole bodies of 1 MiB, which are read and refused: they are no JSON."""

    def one(_):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            try:
                connection.sendall(post(MIB, MIB - 1, KEY) + b"x")
                connection.recv(4096)
            except OSError:
                pass  # No room.

    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        list(pool.map(one, range(count)))


def settled_mib(pid, seconds):
    """What is resident after a while with an occasional request, as a probe sends them."""
    time.sleep(seconds)
    return resident_mib(pid)


def probe(url, stop):
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
        figures = [bursts_of(tier, sandbox_url, extra) for extra in ([], ["--max-bodies", str(1100 * MIB)])]
        row = figures[0][:3] + figures[1][1:3] + figures[0][3:]
        costs = [cpu_micros(tier, sandbox_url, endpoint, options.seconds) for endpoint in ("whois", "limits")]
        print(f"{os.path.basename(tier):24}" + "".join(f"{mib:12.1f}" for mib in row)
              + "".join(f"{cost:10.1f}" for cost in costs), flush=True)
        sandbox.terminate()
    print("\nbodies: 1,000 unfinished ones of 1 MiB, with --max-bodies as it is, and (*) with 1,100 MiB")


def bursts_of(tier, stripe, extra):
    env = {"STRIPE_API_KEY": "sk_test_bench", "STRIPE_BASE_API_URL": stripe, "TIER_API_KEY": KEY}
    command = [tier, "serve", "--addr", "127.0.0.1:0", "--max-requests", "4096", "--max-requests-per-key", "4096"]
    server, url, _ = start(command + extra, env)
    port, stop = int(url.rsplit(":", 1)[1]), threading.Event()
    figures, held = [settled_mib(server.pid, 1)], Held(port)
    threading.Thread(target=probe, args=(url, stop), daemon=True).start()
    held.open(1000, post(MIB, MIB - 1, KEY))
    figures.append(settled_mib(server.pid, 1))
    held.close()
    figures.append(settled_mib(server.pid, 10))
    if not extra:
        send_whole_bodies(port, 512, 64)
        figures.append(settled_mib(server.pid, 10))
        held.open(1000, unread_streams(64, "/openapi.json"))
        figures.append(settled_mib(server.pid, 2))
        held.close()
        figures.append(settled_mib(server.pid, 10))
    stop.set()
    server.terminate()
    server.wait()
    return figures


def cpu_micros(tier, sandbox_url, endpoint, seconds):
    """Of a request, against answers that cost nothing, so that the server alone is measured; the best of three."""
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
    """Each org is subscribed once; the server's errors are the caller's to see."""

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
        print(f"{phase:10}{minutes:8.1f}{of_server:12.1f}{of_sandbox:13.1f}" + "".join(f"{count:>9}" for count in counts), flush=True)
        return of_server

    show("start")
    subscribe_all(url, options.orgs)
    show("subscribed")
    keys = 0
    while keys < options.keys:
        requests, refused, broken = soak_for(url, options, keyed_only=True)
        keys += int(requests) - int(refused)
        show("keys", (requests, refused, broken))
    began, figures = time.monotonic(), []
    while time.monotonic() - began < options.minutes * 60:
        figures.append(show("mixed", soak_for(url, options)))
    middle = (min(figures) + max(figures)) / 2
    print(f"mixed load for {options.minutes} minutes: {min(figures):.1f} to {max(figures):.1f} MiB, "
          f"±{(max(figures) - middle) / middle:.1%}")
    for process in (server, sandbox):
        process.terminate()


def soak_for(url, options, seconds=30, keyed_only=False):
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
    options.add_argument("--keys", type=int, default=110_000, help="soak: how many fill the memory of keys, with room for 100,000")
    options.add_argument("--connections", type=int, default=32, help="soak: how many")
    options = options.parse_args()
    options.tier = options.tier or ["target/dist/tier"]
    {"bursts": bursts, "soak": soak}[options.measure](options)


if __name__ == "__main__":
    main()
