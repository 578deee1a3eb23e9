-- Digests of the keys that were seen to open the ledger's account: with one of them, Stripe need not be asked whose it is.
CREATE TABLE account_keys (digest TEXT PRIMARY KEY);
