-- What a process has heard of and tells the others, such as an event of Stripe's.
CREATE TABLE notices (
    id TEXT PRIMARY KEY,
    notice TEXT NOT NULL,
    -- By the clock of the database.
    told_at BIGINT NOT NULL
);

CREATE INDEX notices_told ON notices (told_at);
