-- Digests of the keys that were seen to open the ledger's account: with one of them, Stripe need not be asked whose it is.
CREATE TABLE account_keys (digest TEXT PRIMARY KEY);

-- When the item is planned to go, if it is.
ALTER TABLE totals ADD COLUMN item_end BIGINT;
