-- What was known of a machine when its host key was pinned, so that it can be told what changed since.
-- vouched_by may also be tag, console or ca from here on.
ALTER TABLE host_key_pins ADD COLUMN launch_time BIGINT; -- milliseconds since 1970, UTC; NULL where unknown
ALTER TABLE host_key_pins ADD COLUMN image TEXT;         -- ami-...; NULL where unknown
