"""Prints a line for each run in a folder. Fails on too few cases or successful answers, and on 5xx or missing answers."""

import collections
import json
import pathlib
import sys

MIN_CASES = 5_000
MIN_SUCCESS_SHARE = 0.30


def statuses(report):
    """Returns the number of answers with each status. Status 0 stands for a missing answer."""
    counted = collections.Counter()
    for line in report.open():
        scenario = json.loads(line).get("ScenarioFinished")
        if scenario is None:
            continue
        for interaction in scenario["recorder"].get("interactions", {}).values():
            response = interaction.get("response")
            counted[response["status_code"] if response else 0] += 1
    return counted


runs = {path.stem: statuses(path) for path in sorted(pathlib.Path(sys.argv[1]).glob("*.ndjson"))}
shares = {}
for name, counted in runs.items():
    cases = counted.total()
    shares[name] = sum(n for status, n in counted.items() if 200 <= status < 300) / max(cases, 1)
    detail = ", ".join(f"{n} of {status}" for status, n in sorted(counted.items()))
    print(f"contract {name}: {cases} cases, {shares[name]:.0%} of the answers 2xx ({detail})")

total = sum(counted.total() for counted in runs.values())
faults = []
if total < MIN_CASES:
    faults.append(f"only {total} cases, not {MIN_CASES}")
for name in ("seeded", "meters"):
    if shares.get(name, 0) < MIN_SUCCESS_SHARE:
        faults.append(f"{name}: only {shares.get(name, 0):.0%} got through, not {MIN_SUCCESS_SHARE:.0%}")
if any(status >= 500 or status == 0 for counted in runs.values() for status in counted):
    faults.append("answers of 5xx, or none")
for fault in faults:
    print(f"contract: {fault}", file=sys.stderr)
print(f"contract: {total} cases in {len(runs)} runs" + (", FAILED" if faults else ""))
sys.exit(bool(faults))
