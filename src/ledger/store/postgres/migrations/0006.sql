-- How often the open event of a meter was handed out, and the last comparison with what a meter has counted.
ALTER TABLE totals ADD COLUMN attempts BIGINT;
ALTER TABLE totals ADD COLUMN compared BIGINT;
ALTER TABLE totals ADD COLUMN compared_value BIGINT;
