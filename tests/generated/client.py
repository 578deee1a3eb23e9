"""Tests the client that openapi-python-client generates: pushes, subscribes, reports and reads limits."""

import importlib
import pkgutil
import sys

from generated import tier_client
from generated.tier_client import Client, models
from generated.tier_client.api.pricing import push
from generated.tier_client.api.schedule import phase, subscribe
from generated.tier_client.api.usage import limits, report

ORG = "org:python"
MODEL = {
    "plans": {
        "plan:py@1": {
            "features": {
                "feature:seat": {"base": 1000},
                "feature:convert": {"tiers": [{"upto": 10}, {"price": 0.5}]},
            }
        }
    }
}

# Every module must be importable, whether it is used here or not.
for module in pkgutil.walk_packages(tier_client.__path__, tier_client.__name__ + "."):
    importlib.import_module(module.name)

client = Client(base_url=sys.argv[1])

pushed = push.sync(client=client, body=models.PushRequest.from_dict(MODEL))
assert isinstance(pushed, models.PushResults), pushed
assert [str(result.status) for result in pushed.results] == ["ok", "ok"], pushed

body = models.SubscribeRequest(
    org=ORG,
    info=models.InfoRequest(email="ada@example.com"),
    phases=[models.PhaseRequest(features=["plan:py@1"])],
)
assert subscribe.sync(client=client, body=body) == "{}"

body = models.ReportRequest(org=ORG, feature="feature:convert", n=3)
assert report.sync(client=client, body=body, idempotency_key="python-1") == "{}"

read = limits.sync(client=client, org=ORG)
assert isinstance(read, models.Limits), read
used = {row.feature: row.used for row in read.usage}
assert used == {"feature:convert": 3, "feature:seat": 1}, read

current = phase.sync(client=client, org=ORG)
assert isinstance(current, models.Phase) and current.plans == ["plan:py@1"], current

refused = limits.sync_detailed(client=client, org="org:nobody")
assert refused.status_code == 400, refused
assert isinstance(refused.parsed, models.Error), refused
assert refused.parsed.code == "org_not_found", refused

print("python: pushed, subscribed, reported, read limits")
