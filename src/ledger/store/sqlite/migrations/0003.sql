-- What orgs were last seen to have in Stripe, so that a restart can go without it; of no meaning to the ledger.
CREATE TABLE snapshots (
    org TEXT PRIMARY KEY,
    read_at BIGINT NOT NULL,
    snapshot TEXT NOT NULL
);
