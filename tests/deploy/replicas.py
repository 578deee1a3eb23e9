"""Starts the services of deploy/replicas.yml without Docker, kills a server under load and checks that all usage is billed.
Started by `tests/deploy/replicas`, which installs the requirements: replicas.py TIER PROGRAMS FOLDER, where PROGRAMS is the
folder of PostgreSQL's programs.
"""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "bench"), os.path.join(HERE, "..", "postgres")]
sys.dont_write_bytecode = True
from kills import Process, Stripe, free_port  # noqa: E402
from servers import Postgres  # noqa: E402

API_KEY, PASSWORD = "a-secret-of-the-test", "letters"
VARIABLES = {"STRIPE_API_KEY": "sk_test_kills", "TIER_API_KEY": API_KEY, "POSTGRES_PASSWORD": PASSWORD}
ORG, FEATURE, PRICE, REPORTS = "org:replicas", "feature:calls", 3, 600


def interpolate(text):
    """Replaces variables as Compose does: `${NAME:?error}`, `${NAME:-default}`, and `$$` for a dollar sign."""

    def value(found):
        if found.group(0) == "$$":
            return "$"
        name, default = found.group(1), found.group(2) or ""
        if name not in VARIABLES and not default.startswith(":-"):
            raise SystemExit(f"{name} is not given")
        return VARIABLES.get(name, default[2:])

    return re.sub(r"\$\$|\$\{(\w+)(:[?-][^}]*)?\}", value, str(text))


def call(port, path, body=None, key=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=70)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    if key:
        headers["Idempotency-Key"] = key
    connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def call_ok(port, path, body=None):
    """Makes a request that must succeed, and returns the JSON of the answer."""
    status, text = call(port, path, body)
    if status != 200:
        raise SystemExit(f"{path}: {status} {text}")
    return json.loads(text or "null")


class Nginx:
    def __init__(self, folder, port, servers, text):
        """`servers` maps each host name in the configuration to its address here."""
        for name, address in servers.items():
            if text.count(f"server {name}:8080 ") != 1:
                raise SystemExit(f"nginx has no server {name}")
            text = text.replace(f"{name}:8080", address)
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
        path = os.path.join(folder, "nginx.conf")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temp_paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        with open(path, "w") as file:
            file.write(f"pid {folder}/nginx.pid; error_log {folder}/nginx.log; daemon off; events {{}}\n")
            file.write(f"http {{ access_log off; {temp_paths}\n{text}\n}}\n")
        if os.getuid() == 0:
            # When started as root, nginx would run its workers as another user, who has no access to the folder.
            with open(path, "a") as file:
                file.write("user root;\n")
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", path])

    def end(self):
        self.process.terminate()
        self.process.wait()


class Client(threading.Thread):
    """Reports one unit at a time, and repeats each report until it is acknowledged."""

    def __init__(self, number, port):
        super().__init__(daemon=True)
        self.number, self.port, self.acknowledged, self.repeats, self.fault = number, port, 0, 0, None

    def run(self):
        report = {"org": ORG, "feature": FEATURE, "n": 1}
        while self.acknowledged < REPORTS // 4:
            try:
                status, text = call(self.port, "/v1/report", report, f"{self.number}-{self.acknowledged}")
            except (OSError, http.client.HTTPException):
                status, text = 503, ""
            if status == 200:
                self.acknowledged += 1
            elif status in (429, 502, 503, 504):
                self.repeats += 1
                time.sleep(0.02)
            else:
                self.fault = f"{status} {text}"
                return


def start(tier, stripe, compose, database, log):
    """Starts the servers with the environment in the file, except for the addresses of PostgreSQL, Stripe and the servers
    themselves. Returns the address and the process of each server by its name.
    """
    servers = {}
    for name, service in compose["services"].items():
        if not name.startswith("tier-"):
            continue
        env = {variable: interpolate(value) for variable, value in service["environment"].items()}
        expected = f"postgres://tier:{PASSWORD}@postgres/tier?sslmode=disable"
        if env["TIER_LEDGER"] != expected or env["TIER_LEDGER"].count("@postgres/") != 1:
            raise SystemExit(f"TIER_LEDGER is {env['TIER_LEDGER']}")
        env["TIER_LEDGER"] = env["TIER_LEDGER"].replace("@postgres/", f"@{database.address}/")
        env["STRIPE_BASE_API_URL"] = stripe.url
        # The image listens on 0.0.0.0:8080.
        env["TIER_ADDR"] = address = f"127.0.0.1:{free_port()}"
        process = Process([tier, *service["command"].split()], env, log).wait_until_listening()
        servers[name] = (address, process)
    return servers


def main():
    tier, programs, folder = sys.argv[1:]
    with open(os.path.join(HERE, "..", "..", "deploy", "replicas.yml")) as file:
        compose = yaml.safe_load(file)
    postgres_env = {name: interpolate(value) for name, value in compose["services"]["postgres"]["environment"].items()}
    database, port, log = Postgres(programs, folder, "data", free_port()), free_port(), open(os.path.join(folder, "log"), "w+")
    stripe, servers, nginx = Stripe(tier, 1, log), {}, None
    try:
        database.make()
        at_database = ["--host", "127.0.0.1", "--port", str(database.port)]
        database.run("createdb", *at_database, "--username", "tier", postgres_env["POSTGRES_USER"])
        database.run(*compose["services"]["postgres"]["healthcheck"]["test"][1:], *at_database)
        servers = start(tier, stripe, compose, database, log)
        addresses = {name: address for name, (address, _) in servers.items()}
        nginx = Nginx(folder, port, addresses, interpolate(compose["configs"]["nginx"]["content"]))
        run(stripe, port, servers)
    finally:
        if nginx:
            nginx.end()
        for process in [*(process for _, process in servers.values()), stripe.process]:
            process.kill()
        database.kill()


def run(stripe, port, servers):
    began = time.monotonic()
    while True:
        try:
            if call(port, "/v1/whoami")[0] == 200:
                break
        except OSError:
            pass
        if time.monotonic() - began > 60:
            raise SystemExit("nginx does not answer")
        time.sleep(0.05)
    call_ok(port, "/v1/push", {"plans": {"plan:p@1": {"features": {FEATURE: {"tiers": [{"price": PRICE}]}}}}})
    call_ok(port, "/v1/subscribe", {"org": ORG, "phases": [{"features": ["plan:p@1"]}]})
    clients = [Client(number, port) for number in range(4)]
    for client in clients:
        client.start()
    while sum(client.acknowledged for client in clients) < REPORTS // 3 and not any(client.fault for client in clients):
        time.sleep(0.01)
    servers["tier-1"][1].kill()
    for client in clients:
        client.join()
    if faults := [client.fault for client in clients if client.fault]:
        raise SystemExit(f"refused: {faults[0]}")
    acknowledged = sum(client.acknowledged for client in clients)
    items, customers = stripe.items()
    began = time.monotonic()
    # The server waits half a minute for further usage before it sends usage to Stripe.
    while (recorded := stripe.recorded(items[ORG, FEATURE])) != acknowledged and time.monotonic() - began < 180:
        time.sleep(0.5)
    used = call_ok(port, f"/v1/limits?org={ORG}")["usage"][0]["used"]
    upcoming = stripe.upcoming(customers[ORG])
    repeats = sum(client.repeats for client in clients)
    print(
        f"replicas.yml: {acknowledged} reports acknowledged through nginx while a server was killed, {repeats} requests repeated"
    )
    print(f"{used} units in the ledger, {recorded} at Stripe, and an invoice of {upcoming}")
    if (used, recorded, upcoming) != (acknowledged, acknowledged, PRICE * acknowledged):
        raise SystemExit("that is not what was acknowledged")


if __name__ == "__main__":
    main()
