-- What only one process may do at a time: who does it, and until when by the clock of the database.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    -- A new one whenever the lease is taken.
    holder TEXT NOT NULL,
    until BIGINT NOT NULL
) WITH (fillfactor = 50);
