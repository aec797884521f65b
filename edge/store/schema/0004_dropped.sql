-- Messages that the operator dropped: they stay in the journal and are never sent. `delivery.state` is 'dropped' then.

ALTER TABLE tx ADD COLUMN dropped_seq INTEGER;                 -- its start was dropped: nothing from here on is sent
ALTER TABLE tx ADD COLUMN dropped_rows INTEGER NOT NULL DEFAULT 0; -- single ones; acked_rows counts them, too
