-- Sessions whose stop never came, what was corrected, and what is known of a charger's clock.

ALTER TABLE tx ADD COLUMN doubt TEXT;                          -- domain/reconciliation.py, Doubt, as JSON
ALTER TABLE tx ADD COLUMN end_rule TEXT;                       -- the evidence on which we ended it; NULL: by its own stop
ALTER TABLE tx ADD COLUMN continues INTEGER;                   -- the session that we had ended, and that went on as this
ALTER TABLE tx ADD COLUMN late_stop_seq INTEGER;               -- the real stop that came after ours
ALTER TABLE tx ADD COLUMN contradicted_wall_ms INTEGER;        -- when it came, if it says something else
ALTER TABLE tx ADD COLUMN odd_rule TEXT;                       -- why its registers are looked at as a whole
ALTER TABLE tx ADD COLUMN figures TEXT;                        -- how its energy was found, as JSON; NULL: as the charger says
ALTER TABLE tx ADD COLUMN clock TEXT;                          -- domain/clocks.py, Clock, if its times are moved
ALTER TABLE tx ADD COLUMN moved_by_ms INTEGER;                 -- by how much those of its start were
ALTER TABLE tx ADD COLUMN told_until_ms INTEGER;               -- the latest time that was told of it, moved
ALTER TABLE tx ADD COLUMN idle_ms INTEGER;                     -- billable idle time, once that is over
CREATE INDEX tx_contradicted ON tx (contradicted_wall_ms) WHERE contradicted_wall_ms IS NOT NULL;
CREATE INDEX tx_connector ON tx (connector_no, tx_no);
CREATE INDEX tx_unaccounted ON tx (tx_no) WHERE state = 'ended' AND idle_ms IS NULL AND kind = 'transaction';
CREATE INDEX tx_continues ON tx (continues) WHERE continues IS NOT NULL;
CREATE INDEX tx_doubted ON tx (tx_no) WHERE doubt IS NOT NULL AND state = 'open';

ALTER TABLE charger ADD COLUMN signs INTEGER;                  -- 1: it signs its values; 0: it does not; NULL: not known
ALTER TABLE charger ADD COLUMN clock_offset_ms INTEGER;        -- its clock less ours; NULL: not known
ALTER TABLE charger ADD COLUMN clock TEXT;                     -- domain/clocks.py, Clock
