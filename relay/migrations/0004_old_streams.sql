-- Streams that ended long ago are forgotten; without an index that would read the whole table each minute.
CREATE INDEX streams_ended ON streams (closed_at) WHERE closed_at IS NOT NULL;
