-- The meter and the customer of an item whose price has a meter, and what the minute of its last event has.
ALTER TABLE totals ADD COLUMN meter TEXT;
ALTER TABLE totals ADD COLUMN customer TEXT;
ALTER TABLE totals ADD COLUMN in_minute BIGINT;
-- A total has its one event that is under way; nothing was ever written here.
DROP TABLE sealed_batches;
