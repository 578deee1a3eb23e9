"""Schemathesis hooks for the runs over seeded orgs: most generated requests name orgs, plans and features that exist."""

import itertools
import json
import os

import schemathesis

SEED = json.loads(os.environ["CONTRACT_SEED"])
counter = itertools.count()


def pick(values):
    """Returns one of `values`, in turn, so that all runs make the same requests."""
    return values[next(counter) % len(values)]


@schemathesis.hook
def map_query(context, query):
    """Makes most queries name an org and a clock that exist."""
    if query and "org" in query and next(counter) % 8:
        query["org"] = pick(SEED["orgs"])
    if query and "id" in query and next(counter) % 8:
        query["id"] = SEED["clock"]
    return query


@schemathesis.hook
def map_body(context, body):
    """Makes most bodies name an org, a feature and plans that exist."""
    if not isinstance(body, dict) or not next(counter) % 8:
        return body
    if "org" in body:
        body["org"] = pick(SEED["orgs"])
    if "feature" in body:
        body["feature"] = "feature:convert"
    for part in [body, *(body.get("phases") or [])]:
        if part.get("features"):
            part["features"] = [pick(SEED["plans"])]
    # Only Stripe knows which of these exist, so the schema cannot say.
    body.pop("payment_method_id", None)
    for phase in body.get("phases") or []:
        phase.pop("coupon", None)
    return body


@schemathesis.hook
def map_headers(context, headers):
    """Removes the `Tier-Clock` header, because the seeded orgs are not on a test clock."""
    if headers:
        headers.pop("Tier-Clock", None)
    return headers
