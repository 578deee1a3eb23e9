-- Times are milliseconds since 1970, UTC; set_timestamp and open_timestamp are Stripe's seconds. A digest is of the other
-- columns of its row, so that a row that was changed by anything but the ledger is noticed.

-- The account: acct_…, and whether live or test.
CREATE TABLE ledger (
    account TEXT NOT NULL
);

-- Digests of the keys that were seen to open the ledger's account.
CREATE TABLE account_keys (digest TEXT PRIMARY KEY);

-- The time of the database, which all processes share.
CREATE FUNCTION ledger_now() RETURNS BIGINT LANGUAGE SQL VOLATILE
    AS 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT';

-- The numbers of transactions, of which each has room for its entries and totals.
CREATE SEQUENCE transactions INCREMENT BY 16384 START WITH 16384;

-- What is locked to change an org's records. The version is the number of the last transaction that changed them.
CREATE TABLE orgs (
    org TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    -- By the clock of the database.
    changed_at BIGINT NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX orgs_changed ON orgs (changed_at);

-- The last transaction of each process, which asks for it after it lost the connection during a commit.
CREATE TABLE writers (
    writer TEXT PRIMARY KEY,
    last_transaction BIGINT NOT NULL,
    written_at BIGINT NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE totals (
    id BIGINT PRIMARY KEY,
    org TEXT NOT NULL,
    feature TEXT NOT NULL,
    item TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    period_start BIGINT NOT NULL,
    period_end BIGINT NOT NULL,
    item_start BIGINT NOT NULL,
    -- When the item is planned to go, if it is.
    item_end BIGINT,
    n BIGINT NOT NULL,
    level_at BIGINT,
    others BIGINT NOT NULL,
    adopted BIGINT NOT NULL,
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
) WITH (fillfactor = 70);

CREATE INDEX totals_use ON totals (org, feature, period_start);
CREATE INDEX totals_unsettled ON totals (period_end) WHERE settled IS NULL;

-- No foreign key: whoever writes an entry has written its total in the same transaction, and `tier ledger verify` looks.
CREATE TABLE entries (
    id BIGINT PRIMARY KEY,
    total BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    n BIGINT NOT NULL,
    after_n BIGINT NOT NULL,
    -- The caller's idempotency key, the org that it belongs to, and the digest of the request.
    key TEXT,
    key_org TEXT,
    key_body BYTEA,
    digest BIGINT NOT NULL
);

-- The key as it was given, and first: keys that ascend with time are neighbours in the index.
CREATE UNIQUE INDEX entries_key ON entries (key, key_org) WHERE key IS NOT NULL;
CREATE INDEX entries_total ON entries (total);

-- What the entries of a day came to, for totals whose entries are no longer kept.
CREATE TABLE daily_totals (
    total BIGINT NOT NULL,
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
    -- Whether it ends by the time of a test clock.
    on_test_clock BIGINT NOT NULL,
    state TEXT NOT NULL,
    committed BIGINT,
    digest BIGINT NOT NULL
);

CREATE INDEX reservations_held ON reservations (org) WHERE state = 'held';

-- What orgs were last seen to have in Stripe, so that a restart can go without it; of no meaning to the ledger.
CREATE TABLE snapshots (
    org TEXT PRIMARY KEY,
    read_at BIGINT NOT NULL,
    snapshot TEXT NOT NULL
);

-- What meters are told, from when there are meters: a part of a total, repeated byte for byte until its outcome is known.
CREATE TABLE sealed_batches (
    total BIGINT NOT NULL,
    number BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    event_timestamp BIGINT NOT NULL,
    identifier TEXT NOT NULL UNIQUE,
    sealed BIGINT NOT NULL,
    outcome TEXT,
    PRIMARY KEY (total, number)
);
