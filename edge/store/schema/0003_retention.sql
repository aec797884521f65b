-- What is left of rows that were removed, as far as others still refer to them; values that were left out.

CREATE TABLE gap (                       -- edge/store/gaps.py
  seq INTEGER PRIMARY KEY,               -- of the row that was removed
  prev_tx INTEGER, prev_peer INTEGER,    -- where its chains go on; NULL: nothing older is left
  referrers INTEGER NOT NULL,            -- 1: the next of its transaction, 2: the next of its charger, 3: both
  digest BLOB NOT NULL                   -- the removed row's, over which the next one's goes
) STRICT;

ALTER TABLE tx ADD COLUMN thinned INTEGER NOT NULL DEFAULT 0;  -- meter values left out because the disk was filling
ALTER TABLE tx ADD COLUMN forget_wall_ms INTEGER;              -- its rows were removed: when it may go as well
CREATE INDEX tx_emptied ON tx (forget_wall_ms) WHERE forget_wall_ms IS NOT NULL;
