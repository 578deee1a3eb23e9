-- The number of an org's plan: odd while a process changes the plan, and another one afterwards.
ALTER TABLE orgs ADD COLUMN plan BIGINT NOT NULL DEFAULT 0;
