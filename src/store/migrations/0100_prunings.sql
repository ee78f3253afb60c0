-- What was removed on purpose (`drawbridge prune`), so that what is left can still be verified.

-- One row for each node and run. Not derived.
CREATE TABLE prunings (
    node     TEXT   NOT NULL,
    at       BIGINT NOT NULL, -- when the run began
    through  BIGINT NOT NULL, -- the last line that is gone
    record   TEXT   NOT NULL, -- the signed statement, as `audit::PruneRecord` writes it
    PRIMARY KEY (node, at)
);

-- Recordings that are in no index any more, and whose files have yet to be removed.
CREATE TABLE discarded_recordings (
    id       TEXT   NOT NULL PRIMARY KEY, -- r-...
    node     TEXT,
    state    TEXT,
    location TEXT,
    bytes    BIGINT,
    stored   BIGINT, -- since when it is where it is
    since    BIGINT NOT NULL
);
