"""Creates plans, orgs and a test clock at a server, and prints their names as JSON."""

import json
import sys
import urllib.request

PLANS = {
    "plan:free@1": {"features": {"feature:convert": {"tiers": [{"upto": 10}]}}},
    "plan:pro@1": {
        "features": {
            "feature:base": {"base": 900},
            "feature:convert": {"tiers": [{"upto": 100}, {"price": 2.5}]},
        }
    },
}
ORGS = [f"org:seed-{n}" for n in range(12)]


def post(path, body):
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode())
    with urllib.request.urlopen(request) as response:
        return json.load(response)


post("/v1/push", {"plans": PLANS})
for n, org in enumerate(ORGS):
    plan = list(PLANS)[n % len(PLANS)]
    info = {"email": f"{n}@example.com", "name": f"Org {n}"}
    post("/v1/subscribe", {"org": org, "info": info, "phases": [{"features": [plan]}]})
    post("/v1/report", {"org": org, "feature": "feature:convert", "n": n})
clock = post("/v1/clock", {"name": "seed", "present": "2030-01-01T00:00:00Z"})

print(json.dumps({"orgs": ORGS, "plans": list(PLANS), "clock": clock["id"]}))
