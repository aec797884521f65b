-- The first schema. Deltas only from here on: a release adds, the one before ignores (docs/architecture.md).

CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

CREATE TABLE boot (
  boot_no INTEGER PRIMARY KEY,
  started_wall_ms INTEGER NOT NULL,
  started_mono_ms INTEGER NOT NULL,
  trust TEXT NOT NULL,                   -- how far the wall clock could be believed at the start
  sync_offset_ms INTEGER,                -- written once, when the clock becomes trusted
  end_reason TEXT
) STRICT;

CREATE TABLE uplink_epoch (              -- what the learned transaction ids belong to (architecture, law 9)
  epoch_no INTEGER PRIMARY KEY,
  station_no INTEGER NOT NULL DEFAULT 1,
  identity TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  version TEXT NOT NULL,
  opened_seq INTEGER NOT NULL,
  closed_seq INTEGER
) STRICT;

CREATE TABLE charger (
  charger_no INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,                   -- known | pending | retired
  origin TEXT NOT NULL,                  -- file | adopted | knocked
  version TEXT,
  vendor TEXT, model TEXT, serial TEXT, firmware TEXT,
  boot_wall_ms INTEGER,                  -- of its last BootNotification
  connectors INTEGER,                    -- how many it says it has, once that is known
  secret_hash BLOB,                      -- of an adopted charger's password
  desired TEXT,                          -- configuration keys that the cloud or a person set, as JSON
  last_seq INTEGER                       -- end of its chain in exchange, as of meta.settled_seq
) STRICT;

CREATE TABLE connector (
  connector_no INTEGER PRIMARY KEY,
  charger_no INTEGER NOT NULL REFERENCES charger,
  evse INTEGER NOT NULL,
  conn INTEGER NOT NULL,                 -- the charger's own number
  station_no INTEGER NOT NULL DEFAULT 1,
  up16_connector INTEGER,                -- NULL until the charger's connectors are counted; then for ever
  up2_evse INTEGER, up2_connector INTEGER,
  wish TEXT,                             -- Operative | Inoperative, to be applied when the charger is back
  status TEXT,                           -- last StatusNotification, as received
  status_wall_ms INTEGER,
  UNIQUE (charger_no, evse, conn),
  UNIQUE (station_no, up16_connector),
  UNIQUE (station_no, up2_evse, up2_connector)
) STRICT;

CREATE TABLE exchange (                  -- journal and outbox: one row per CALL, written once
  seq INTEGER PRIMARY KEY,
  boot_no INTEGER NOT NULL,
  at_mono_ms INTEGER NOT NULL,
  at_wall_ms INTEGER NOT NULL,
  peer INTEGER NOT NULL,                 -- charger_no of the charger that it concerns, 0 = the station
  kind INTEGER NOT NULL,                 -- edge/store/exchange.py, Kind
  relay INTEGER NOT NULL,                -- 1: the CSMS is to get it
  action TEXT, message_id TEXT, version TEXT,
  connector_no INTEGER,
  tx_no INTEGER,
  prev_tx INTEGER, prev_peer INTEGER,    -- the chains, backwards
  cause_seq INTEGER,
  text TEXT NOT NULL,
  answer TEXT,
  notes TEXT,
  digest BLOB NOT NULL
) STRICT;

CREATE TABLE tx (
  tx_no INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,                    -- transaction | meter (values outside of one) | orphan (a stop without a start)
  charger_no INTEGER,                    -- NULL: the station itself
  connector_no INTEGER,                  -- NULL: the station itself, or not known
  charger_tx TEXT,
  start_key BLOB,
  id_token TEXT,
  state TEXT NOT NULL,                   -- open | ended
  begin_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,             -- as of meta.settled_seq
  rows INTEGER NOT NULL DEFAULT 0,       -- of them to be relayed, as of meta.settled_seq
  acked_seq INTEGER NOT NULL DEFAULT 0,
  acked_rows INTEGER NOT NULL DEFAULT 0,
  parked_seq INTEGER,                    -- from here on parked
  due INTEGER NOT NULL DEFAULT 1,        -- 0: the CSMS has all of an ended one, or the rest is parked
  epoch_no INTEGER,
  upstream_tx TEXT,
  started_wall_ms INTEGER, ended_wall_ms INTEGER,
  meter_start_wh INTEGER, meter_stop_wh INTEGER,
  end_reason TEXT,
  remote_start INTEGER NOT NULL DEFAULT 0,
  started_offline INTEGER NOT NULL DEFAULT 0,
  decision TEXT, decision_source TEXT, decided_wall_ms INTEGER,
  csms_verdict TEXT, csms_verdict_wall_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX tx_start_key ON tx (start_key) WHERE start_key IS NOT NULL;
CREATE INDEX tx_charger_id ON tx (charger_no, charger_tx);
CREATE INDEX tx_open ON tx (connector_no) WHERE state = 'open';
CREATE INDEX tx_open_charger ON tx (charger_no) WHERE state = 'open' AND kind = 'transaction';
CREATE INDEX tx_due ON tx (connector_no, begin_seq) WHERE due = 1;
CREATE INDEX tx_parked ON tx (parked_seq) WHERE parked_seq IS NOT NULL;
CREATE INDEX tx_upstream ON tx (epoch_no, upstream_tx) WHERE upstream_tx IS NOT NULL;

CREATE TABLE delivery (                  -- only messages whose delivery is not plain: bound, failed or parked
  seq INTEGER PRIMARY KEY,
  state TEXT NOT NULL,                   -- bound | failed | parked
  epoch_no INTEGER,
  bound TEXT,                            -- the payload as it was sent, while the outcome is unknown
  attempts INTEGER NOT NULL DEFAULT 0,
  error_code TEXT, error_description TEXT, error_wall_ms INTEGER
) STRICT;

CREATE TABLE id_map (
  kind TEXT NOT NULL,
  station_no INTEGER NOT NULL,
  upstream_id TEXT NOT NULL,
  charger_no INTEGER NOT NULL,
  downstream_id TEXT NOT NULL,
  tx_no INTEGER,
  expires_wall_ms INTEGER,
  detail TEXT,
  PRIMARY KEY (kind, station_no, upstream_id, charger_no)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX id_map_down ON id_map (kind, charger_no, downstream_id);

CREATE TABLE token (
  id_token TEXT NOT NULL,                -- folded to lower case: idTag is a CiString (1.6 §3.2)
  source TEXT NOT NULL,                  -- list | cache
  shown TEXT NOT NULL,
  status TEXT NOT NULL,
  parent TEXT,
  expires_wall_ms INTEGER,
  learned_wall_ms INTEGER NOT NULL,
  PRIMARY KEY (id_token, source)
) STRICT, WITHOUT ROWID;
