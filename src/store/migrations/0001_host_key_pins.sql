-- Host keys of targets, pinned to the machine and never to an address: addresses are reused.
-- Only types that SQLite and PostgreSQL both know: one schema serves both.
CREATE TABLE host_key_pins (
    account     TEXT   NOT NULL, -- 12 digits
    region      TEXT   NOT NULL, -- eu-west-1
    instance_id TEXT   NOT NULL, -- i-0123456789abcdef0
    key_type    TEXT   NOT NULL, -- ssh-ed25519
    key_blob    TEXT   NOT NULL, -- RFC 4253 section 6.6 in base64, as known_hosts has it
    fingerprint TEXT   NOT NULL, -- SHA256:... of key_blob
    vouched_by  TEXT   NOT NULL, -- first-use, operator
    first_seen  BIGINT NOT NULL, -- milliseconds since 1970, UTC
    last_seen   BIGINT NOT NULL, -- milliseconds since 1970, UTC
    PRIMARY KEY (account, region, instance_id)
);
