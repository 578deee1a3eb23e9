"""Hooks for the run over seeded orgs: generated requests are about orgs, plans and features that exist."""

import itertools
import json
import os

import schemathesis

SEED = json.loads(os.environ["CONTRACT_SEED"])
counter = itertools.count()


def pick(values):
    """The next of `values`; all of them come up, in every run the same."""
    return values[next(counter) % len(values)]


@schemathesis.hook
def map_query(context, query):
    """Most questions are about an org that exists."""
    if query and "org" in query and next(counter) % 8:
        query["org"] = pick(SEED["orgs"])
    if query and "id" in query and next(counter) % 8:
        query["id"] = SEED["clock"]
    return query


@schemathesis.hook
def map_body(context, body):
    """Most commands are about an org, features and plans that exist."""
    if not isinstance(body, dict) or not next(counter) % 8:
        return body
    if "org" in body:
        body["org"] = pick(SEED["orgs"])
    if "feature" in body:
        body["feature"] = "feature:convert"
    for part in [body, *(body.get("phases") or [])]:
        if part.get("features"):
            part["features"] = [pick(SEED["plans"])]
    # What only Stripe knows, and no schema can say.
    body.pop("payment_method_id", None)
    for phase in body.get("phases") or []:
        phase.pop("coupon", None)
    return body


@schemathesis.hook
def map_headers(context, headers):
    """The seeded orgs live outside of test clocks."""
    if headers:
        headers.pop("Tier-Clock", None)
    return headers
