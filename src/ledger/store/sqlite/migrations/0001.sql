-- Times are milliseconds since 1970, UTC; set_timestamp and open_timestamp are Stripe's seconds. A digest is of the other
-- columns of its row, so that a row that was changed by anything but the ledger is noticed.

CREATE TABLE ledger (
    -- acct_…, and whether live or test: never another one's.
    account TEXT NOT NULL
);

CREATE TABLE totals (
    id INTEGER PRIMARY KEY,
    org TEXT NOT NULL,
    feature TEXT NOT NULL,
    item TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    period_start BIGINT NOT NULL,
    period_end BIGINT NOT NULL,
    item_start BIGINT NOT NULL,
    n BIGINT NOT NULL,
    level_at BIGINT,
    others BIGINT NOT NULL,
    adopted BIGINT NOT NULL,
    detached BIGINT,
    set_timestamp BIGINT,
    moved BIGINT NOT NULL,
    set_number BIGINT NOT NULL,
    open_n BIGINT,
    open_timestamp BIGINT,
    open_since BIGINT,
    told BIGINT NOT NULL,
    unsure BIGINT NOT NULL,
    check_summary BIGINT NOT NULL,
    changed BIGINT,
    sent BIGINT,
    parked_reason TEXT,
    parked_since BIGINT,
    settled BIGINT,
    digest BIGINT NOT NULL,
    UNIQUE (item, period_start)
);

CREATE INDEX totals_use ON totals (org, feature, period_start);

CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    total BIGINT NOT NULL REFERENCES totals (id),
    accepted BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    n BIGINT NOT NULL,
    after_n BIGINT NOT NULL,
    -- The caller's idempotency key, the org that it belongs to, and the digest of the request.
    key TEXT,
    key_org TEXT,
    key_body BLOB,
    digest BIGINT NOT NULL
);

-- The key as it was given, and first: keys that ascend with time are neighbours in the index.
CREATE UNIQUE INDEX entries_key ON entries (key, key_org) WHERE key IS NOT NULL;
CREATE INDEX entries_total ON entries (total);

-- What the entries of a day came to, for totals whose entries are no longer kept.
CREATE TABLE daily_totals (
    total BIGINT NOT NULL REFERENCES totals (id),
    -- Its first instant.
    day BIGINT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (total, day)
);

CREATE TABLE reservations (
    id TEXT PRIMARY KEY,
    org TEXT NOT NULL,
    feature TEXT NOT NULL,
    n BIGINT NOT NULL,
    made BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    state TEXT NOT NULL,
    committed BIGINT,
    digest BIGINT NOT NULL
);

CREATE INDEX reservations_held ON reservations (expires) WHERE state = 'held';

-- What meters are told, from when there are meters: a part of a total, repeated byte for byte until its outcome is known.
CREATE TABLE sealed_batches (
    total BIGINT NOT NULL REFERENCES totals (id),
    number BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    event_timestamp BIGINT NOT NULL,
    identifier TEXT NOT NULL UNIQUE,
    sealed BIGINT NOT NULL,
    outcome TEXT,
    PRIMARY KEY (total, number)
);
