-- Work that goes on for hours through the firmware bridge, and how far each charger is with it.

-- Firmware: what is to be installed.

CREATE TABLE rollout (
  rollout_no      INTEGER PRIMARY KEY,
  origin          TEXT NOT NULL,      -- operator, csms
  state           TEXT NOT NULL,      -- fetching, running, done, failed, aborted
  wish            TEXT NOT NULL,      -- domain/rollouts.py, what and how, as JSON
  fetch           TEXT,               -- the bridge's name of the download
  sha256          TEXT,               -- of the file, once the bridge keeps it
  why             TEXT,               -- it failed, or waits
  code            TEXT,               -- of why the bridge did not bring the file, for programs
  begun_wall_ms   INTEGER NOT NULL,
  ended_wall_ms   INTEGER,
  told            TEXT                -- of one of the CSMS: the status that it has got last
) STRICT;
CREATE INDEX rollout_csms ON rollout (rollout_no) WHERE origin = 'csms';
CREATE INDEX rollout_open ON rollout (rollout_no) WHERE ended_wall_ms IS NULL;

CREATE TABLE rollout_charger (
  rollout_no      INTEGER NOT NULL,
  charger_no      INTEGER NOT NULL,
  place           INTEGER NOT NULL,   -- in the order in which they are asked
  step            TEXT NOT NULL,      -- domain/rollouts.py, Step
  since_wall_ms   INTEGER NOT NULL,
  asked_wall_ms   INTEGER NOT NULL DEFAULT 0,
  requests        INTEGER NOT NULL DEFAULT 0,
  version_before  TEXT,
  version         TEXT,
  why             TEXT,
  ticket          TEXT,               -- by which it takes the file from the bridge
  PRIMARY KEY (rollout_no, charger_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollout_charger_at_it ON rollout_charger (charger_no)
  WHERE step IN ('asked', 'restarted', 'downloading', 'downloaded', 'installing');

-- Diagnostics: logs of chargers, for a technician or for the CSMS.
CREATE TABLE collection (
  collection_no   INTEGER PRIMARY KEY,
  origin          TEXT NOT NULL,      -- operator, csms
  state           TEXT NOT NULL,      -- collecting, forwarding, done, failed, aborted
  wish            TEXT NOT NULL,      -- domain/collecting.py, what and where to, as JSON
  ticket          TEXT,               -- by which we leave our own log at the bridge
  own_log         TEXT,               -- what we have left, for the manifest, as JSON
  forward         TEXT,               -- the bridge's name of the upload
  why             TEXT,               -- it failed, or waits
  begun_wall_ms   INTEGER NOT NULL,
  ended_wall_ms   INTEGER,
  told            TEXT                -- of one of the CSMS: the status that it has got last
) STRICT;
CREATE INDEX collection_csms ON collection (collection_no) WHERE origin = 'csms';
CREATE INDEX collection_open ON collection (collection_no) WHERE ended_wall_ms IS NULL;

CREATE TABLE collection_charger (
  collection_no   INTEGER NOT NULL,
  charger_no      INTEGER NOT NULL,
  place           INTEGER NOT NULL,
  step            TEXT NOT NULL,      -- domain/collecting.py, Step
  since_wall_ms   INTEGER NOT NULL,
  requests        INTEGER NOT NULL DEFAULT 0,
  file_name       TEXT,               -- that it announced
  why             TEXT,
  ticket          TEXT,               -- by which it leaves its file at the bridge
  PRIMARY KEY (collection_no, charger_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX collection_ticket ON collection (collection_no) WHERE ticket IS NOT NULL;
CREATE INDEX collection_charger_at_it ON collection_charger (charger_no) WHERE step IN ('asked', 'uploading');
CREATE INDEX collection_charger_ticket ON collection_charger (collection_no) WHERE ticket IS NOT NULL;
