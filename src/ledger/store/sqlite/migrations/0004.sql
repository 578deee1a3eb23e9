-- Levels no longer leave an item before the plan changes.
ALTER TABLE totals DROP COLUMN detached;

-- Whether it ends by the time of a test clock.
ALTER TABLE reservations ADD COLUMN on_test_clock BIGINT NOT NULL DEFAULT 0;
