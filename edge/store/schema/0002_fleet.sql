-- The life of a charger: whose place it took, which serial is its own, when it was last there.

ALTER TABLE charger ADD COLUMN replaced_by INTEGER;            -- charger_no of the box that took its numbers
ALTER TABLE charger ADD COLUMN own_serial TEXT;                -- first said, or acknowledged by a person
ALTER TABLE charger ADD COLUMN other_serial TEXT;              -- said since under the same identity, not acknowledged
ALTER TABLE charger ADD COLUMN other_serial_wall_ms INTEGER;   -- when it was first said
ALTER TABLE charger ADD COLUMN last_seen_wall_ms INTEGER;      -- to a few minutes while it is connected
UPDATE charger SET own_serial = serial;
