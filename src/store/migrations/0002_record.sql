-- The record of what happened: the events as they were written, and what can be derived from them.
-- Only types and clauses that SQLite and PostgreSQL both know: one schema serves both. Times are
-- milliseconds since 1970, UTC. "Derived" means: can be made again from the lines of `events`.

-- How far each node's chain is in here.
CREATE TABLE nodes (
    node    TEXT   NOT NULL PRIMARY KEY,
    begins  BIGINT NOT NULL, -- the first line that was ever put in here
    seq     BIGINT NOT NULL, -- the last line
    hash    TEXT   NOT NULL, -- SHA-256 of the last line, lower-case hexadecimal
    durable BIGINT NOT NULL  -- the last line that is known to survive a power cut
);

CREATE TABLE events (
    node       TEXT   NOT NULL,
    seq        BIGINT NOT NULL, -- 1, 2, 3 ... of the node
    time       BIGINT NOT NULL,
    event      TEXT   NOT NULL,
    connection TEXT,
    session    TEXT,
    text       TEXT,            -- command, paths and the like in lower case, for looking things up
    line       TEXT   NOT NULL, -- as it is in the journal: the one truth
    PRIMARY KEY (node, seq)
);
CREATE INDEX events_by_time ON events (time, node, seq);
CREATE INDEX events_by_kind ON events (event, time, node, seq);
CREATE INDEX events_of_session ON events (session, node, seq) WHERE session IS NOT NULL;
CREATE INDEX events_of_connection ON events (connection, node, seq) WHERE connection IS NOT NULL;
CREATE INDEX events_with_text ON events (time, node, seq) WHERE text IS NOT NULL;

-- Derived.
CREATE TABLE connections (
    id             TEXT   NOT NULL PRIMARY KEY, -- c-...
    node           TEXT   NOT NULL,
    opened         BIGINT NOT NULL,
    ended          BIGINT,
    client_addr    TEXT   NOT NULL,
    client_port    BIGINT NOT NULL,
    client_version TEXT,
    user_name      TEXT,
    method         TEXT,
    fingerprint    TEXT,
    ending         TEXT,
    detail         TEXT
);
CREATE INDEX connections_by_time ON connections (opened, id);
CREATE INDEX connections_of_user ON connections (user_name, opened, id);
CREATE INDEX connections_open ON connections (node, id) WHERE ended IS NULL;

-- Derived. A row is a session that started; attempts that did not get so far are in `decisions`.
CREATE TABLE sessions (
    id              TEXT   NOT NULL PRIMARY KEY, -- s-...
    node            TEXT   NOT NULL,
    connection      TEXT,
    started         BIGINT NOT NULL,
    ended           BIGINT,
    user_name       TEXT   NOT NULL,
    client_addr     TEXT   NOT NULL,
    client_port     BIGINT NOT NULL,
    way             TEXT   NOT NULL,
    login           TEXT   NOT NULL,
    target_id       TEXT   NOT NULL,
    target_name     TEXT,
    target_account  TEXT   NOT NULL,
    target_region   TEXT   NOT NULL,
    target_ip       TEXT   NOT NULL,
    content         TEXT,
    action          TEXT,            -- of its first channel
    command         TEXT,            -- of its first channel, the beginning
    ending          TEXT,
    detail          TEXT,
    bytes_to_target BIGINT,
    bytes_to_client BIGINT,
    channels        BIGINT
);
CREATE INDEX sessions_by_time ON sessions (started, id);
CREATE INDEX sessions_of_user ON sessions (user_name, started, id);
CREATE INDEX sessions_to_target ON sessions (target_id, started, id);
CREATE INDEX sessions_to_target_name ON sessions (target_name, started, id);
CREATE INDEX sessions_as_login ON sessions (login, started, id);
CREATE INDEX sessions_with_ending ON sessions (ending, started, id);
CREATE INDEX sessions_of_node ON sessions (node, started, id);
CREATE INDEX sessions_of_connection ON sessions (connection, started, id);
CREATE INDEX sessions_live ON sessions (started, id) WHERE ended IS NULL;

-- Derived. Words of commands, paths and the like, each once, and whose they are: a session, or a
-- connection where it was no session.
CREATE TABLE words (
    word TEXT NOT NULL PRIMARY KEY
);
CREATE TABLE mentions (
    word    TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (word, subject)
);
CREATE INDEX mentions_of_subject ON mentions (subject);

-- Derived.
CREATE TABLE decisions (
    node        TEXT   NOT NULL,
    seq         BIGINT NOT NULL,
    time        BIGINT NOT NULL,
    connection  TEXT,
    session     TEXT,
    outcome     TEXT   NOT NULL, -- permit, refuse
    user_name   TEXT   NOT NULL,
    client_addr TEXT   NOT NULL,
    target_id   TEXT,
    target_name TEXT,
    login       TEXT,
    action      TEXT   NOT NULL,
    reason      TEXT,
    rules       TEXT   NOT NULL, -- a JSON array of texts
    PRIMARY KEY (node, seq)
);
CREATE INDEX decisions_by_time ON decisions (time, node, seq);
CREATE INDEX decisions_of_user ON decisions (user_name, time, node, seq);
CREATE INDEX decisions_of_session ON decisions (session, node, seq);

-- Half of it derived, the other half told by whoever keeps the files.
CREATE TABLE recordings (
    id               TEXT NOT NULL PRIMARY KEY, -- r-...
    session          TEXT,   -- derived, to the line
    connection       TEXT,
    node             TEXT,
    channel          BIGINT,
    started          BIGINT,
    ended            BIGINT,
    format           TEXT,
    bytes            BIGINT,
    compressed_bytes BIGINT,
    sha256           TEXT,
    complete         BIGINT,
    failure          TEXT,
    state            TEXT,   -- told, from here on: writing, spooled, stored, lost
    location         TEXT,
    told             BIGINT  -- when
);
CREATE INDEX recordings_of_session ON recordings (session, channel);
CREATE INDEX recordings_in_state ON recordings (state, id);

-- Derived: the last head of each node.
CREATE TABLE heads (
    node      TEXT   NOT NULL PRIMARY KEY,
    seq       BIGINT NOT NULL, -- the line of the head itself
    time      BIGINT NOT NULL,
    through   BIGINT NOT NULL,
    hash      TEXT   NOT NULL,
    key_print TEXT   NOT NULL,
    signature TEXT   NOT NULL
);

-- What one node asks of another.
CREATE TABLE orders (
    id          BIGINT NOT NULL PRIMARY KEY, -- later ones are greater than earlier ones
    node        TEXT   NOT NULL, -- who is to do it
    session     TEXT   NOT NULL, -- which it is about
    what        TEXT   NOT NULL, -- kill, watch
    ordered_by  TEXT   NOT NULL,
    client_addr TEXT,
    reason      TEXT,
    ordered     BIGINT NOT NULL,
    done        BIGINT
);
CREATE INDEX orders_open ON orders (node, id) WHERE done IS NULL;
