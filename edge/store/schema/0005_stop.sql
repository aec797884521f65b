-- The stop that ended a session, so that it is known again without a walk through all that came after it.

ALTER TABLE tx ADD COLUMN stop_seq INTEGER;                    -- NULL: it has not ended, or did under an older schema
