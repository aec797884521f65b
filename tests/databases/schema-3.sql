PRAGMA auto_vacuum = 2;
PRAGMA application_id = 1162102597;
PRAGMA user_version = 3;
BEGIN TRANSACTION;
CREATE TABLE boot (
  boot_no INTEGER PRIMARY KEY,
  started_wall_ms INTEGER NOT NULL,
  started_mono_ms INTEGER NOT NULL,
  trust TEXT NOT NULL,                   -- how far the wall clock could be believed at the start
  sync_offset_ms INTEGER,                -- written once, when the clock becomes trusted
  end_reason TEXT
) STRICT;
INSERT INTO "boot" VALUES(1,1795277129480,24078115,'system',NULL,NULL);
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
, replaced_by INTEGER, own_serial TEXT, other_serial TEXT, other_serial_wall_ms INTEGER, last_seen_wall_ms INTEGER) STRICT;
INSERT INTO "charger" VALUES(1,'CP-01','known','file','1.6','Simulated','Two-Outlet',NULL,'1.0.0',1795277129547,2,NULL,NULL,106,NULL,NULL,NULL,NULL,1795277129545);
INSERT INTO "charger" VALUES(2,'CP-02','known','file','1.6','Simulated','Two-Outlet',NULL,'1.0.0',1795277129577,2,NULL,NULL,112,NULL,NULL,NULL,NULL,1795277129575);
INSERT INTO "charger" VALUES(3,'CP-03','known','file','1.6','Simulated','Two-Outlet',NULL,'1.0.0',1795277129594,2,NULL,NULL,105,NULL,NULL,NULL,NULL,1795277129591);
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
INSERT INTO "connector" VALUES(1,1,1,1,1,1,1,1,NULL,'{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:45.829Z"}',1795277145834);
INSERT INTO "connector" VALUES(2,1,2,2,1,2,2,1,NULL,'{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:45.786Z"}',1795277145793);
INSERT INTO "connector" VALUES(3,2,1,1,1,3,3,1,NULL,'{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:45.814Z"}',1795277145820);
INSERT INTO "connector" VALUES(4,2,2,2,1,4,4,1,NULL,'{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-21T16:05:45.834Z"}',1795277145840);
INSERT INTO "connector" VALUES(5,3,1,1,1,5,5,1,NULL,'{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:29.603Z"}',1795277129604);
INSERT INTO "connector" VALUES(6,3,2,2,1,6,6,1,NULL,'{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-21T16:05:29.694Z"}',1795277129710);
CREATE TABLE delivery (                  -- only messages whose delivery is not plain: bound, failed or parked
  seq INTEGER PRIMARY KEY,
  state TEXT NOT NULL,                   -- bound | failed | parked
  epoch_no INTEGER,
  bound TEXT,                            -- the payload as it was sent, while the outcome is unknown
  attempts INTEGER NOT NULL DEFAULT 0,
  error_code TEXT, error_description TEXT, error_wall_ms INTEGER
) STRICT;
INSERT INTO "delivery" VALUES(71,'parked',1,'{"connectorId":2,"idTag":"PARKED-1","meterStart":2000,"timestamp":"2026-11-21T16:05:29.741Z"}',1,'PropertyConstraintViolation','refused by the test',1795277129750);
INSERT INTO "delivery" VALUES(81,'parked',1,'{"connectorId":2,"idTag":"PARKED-2","meterStart":4024,"timestamp":"2026-11-21T16:05:37.764Z"}',1,'PropertyConstraintViolation','refused by the test',1795277137772);
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
INSERT INTO "exchange" VALUES(20,1,24078236,1795277129601,3,3,0,'ChangeConfiguration','42ec13aa-53d3-464f-b766-a2a57d8d9125','1.6',NULL,NULL,NULL,19,NULL,'[2,"42ec13aa-53d3-464f-b766-a2a57d8d9125","ChangeConfiguration",{"key":"MeterValueSampleInterval","value":"30"}]','[3,"42ec13aa-53d3-464f-b766-a2a57d8d9125",{"status":"Accepted"}]',NULL,X'684AB5761CD477A0');
INSERT INTO "exchange" VALUES(21,1,24078239,1795277129604,3,1,0,'StatusNotification','a49b0d8c-4c2b-4fb5-b159-c11510dcecea','1.6',5,NULL,NULL,20,NULL,'[2,"a49b0d8c-4c2b-4fb5-b159-c11510dcecea","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:29.603Z"}]','[3,"a49b0d8c-4c2b-4fb5-b159-c11510dcecea",{}]',NULL,X'1C3F44C1C21632A7');
INSERT INTO "exchange" VALUES(22,1,24078241,1795277129607,3,1,0,'StatusNotification','bd5048bc-11e8-48b4-88d2-ed9b86342301','1.6',6,NULL,NULL,21,NULL,'[2,"bd5048bc-11e8-48b4-88d2-ed9b86342301","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:29.606Z"}]','[3,"bd5048bc-11e8-48b4-88d2-ed9b86342301",{}]',NULL,X'F8BBD96308D415FF');
INSERT INTO "exchange" VALUES(23,1,24078246,1795277129612,0,2,0,'ChangeConfiguration','2147e512-3456-400d-a5c1-07824fcd5658',NULL,NULL,NULL,NULL,1,NULL,'[2,"2147e512-3456-400d-a5c1-07824fcd5658","ChangeConfiguration",{"key":"TransactionMessageAttempts","value":"1"}]','[3,"2147e512-3456-400d-a5c1-07824fcd5658",{"status":"Accepted"}]',NULL,X'F1C96B76ACD885F5');
INSERT INTO "exchange" VALUES(24,1,24078251,1795277129617,0,2,0,'ChangeConfiguration','764a4be0-06a3-49de-b37e-29dc247a917a',NULL,NULL,NULL,NULL,23,NULL,'[2,"764a4be0-06a3-49de-b37e-29dc247a917a","ChangeConfiguration",{"key":"HeartbeatInterval","value":"300"}]','[3,"764a4be0-06a3-49de-b37e-29dc247a917a",{"status":"Accepted"}]',NULL,X'5C0483EB85024715');
INSERT INTO "exchange" VALUES(25,1,24078253,1795277129618,1,1,0,'Authorize','1242d132-8d20-4ae4-adfa-c0da5c68a3d4','1.6',NULL,NULL,NULL,8,NULL,'[2,"1242d132-8d20-4ae4-adfa-c0da5c68a3d4","Authorize",{"idTag":"GOOD"}]','[3,"1242d132-8d20-4ae4-adfa-c0da5c68a3d4",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'DE1CC9EFD4A6DA60');
INSERT INTO "exchange" VALUES(26,1,24078255,1795277129621,1,1,0,'Authorize','9a1fad1c-4dca-401c-8860-21c2d7b57292','1.6',NULL,NULL,NULL,25,NULL,'[2,"9a1fad1c-4dca-401c-8860-21c2d7b57292","Authorize",{"idTag":"BLOCKED"}]','[3,"9a1fad1c-4dca-401c-8860-21c2d7b57292",{"idTagInfo":{"status":"Blocked"}}]',NULL,X'EFE17A220C67653E');
INSERT INTO "exchange" VALUES(27,1,24078258,1795277129623,1,1,0,'StatusNotification','a5dca07e-660b-402c-9246-820fdb738394','1.6',1,NULL,NULL,26,NULL,'[2,"a5dca07e-660b-402c-9246-820fdb738394","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-21T16:05:29.622Z"}]','[3,"a5dca07e-660b-402c-9246-820fdb738394",{}]',NULL,X'208F246A19F631CF');
INSERT INTO "exchange" VALUES(39,1,24078285,1795277129651,1,1,0,'StatusNotification','bb41279d-2190-429a-91fd-992650b5ddb0','1.6',1,NULL,NULL,38,NULL,'[2,"bb41279d-2190-429a-91fd-992650b5ddb0","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-21T16:05:29.646Z"}]','[3,"bb41279d-2190-429a-91fd-992650b5ddb0",{}]',NULL,X'C77FF565A2643513');
INSERT INTO "exchange" VALUES(40,1,24078285,1795277129651,2,1,0,'StatusNotification','b52b3a79-1185-459d-be87-4989da7f251e','1.6',4,NULL,NULL,15,NULL,'[2,"b52b3a79-1185-459d-be87-4989da7f251e","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-21T16:05:29.649Z"}]','[3,"b52b3a79-1185-459d-be87-4989da7f251e",{}]',NULL,X'D8413F9B2D3C8123');
INSERT INTO "exchange" VALUES(42,1,24078290,1795277129656,1,1,0,'StatusNotification','207cbedf-e24d-4ffc-9cd5-30438f42afe4','1.6',1,NULL,NULL,41,NULL,'[2,"207cbedf-e24d-4ffc-9cd5-30438f42afe4","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:29.646Z"}]','[3,"207cbedf-e24d-4ffc-9cd5-30438f42afe4",{}]',NULL,X'ABDC2B2FFD4CCDEE');
INSERT INTO "exchange" VALUES(43,1,24078290,1795277129656,2,1,1,'StartTransaction','dc19f717-4582-4d87-9ad3-36a55981b707','1.6',4,2,NULL,40,NULL,'[2,"dc19f717-4582-4d87-9ad3-36a55981b707","StartTransaction",{"connectorId":2,"idTag":"DELIVERED-2","meterStart":2000,"timestamp":"2026-11-21T16:05:29.649Z"}]',NULL,NULL,X'D3AD0C11545A8B2D');
INSERT INTO "exchange" VALUES(44,1,24078296,1795277129661,2,6,0,'StartTransaction','f9f2fb3d-61b3-4c51-b531-5d5218e926fa','1.6',NULL,2,43,43,43,'[3,"f9f2fb3d-61b3-4c51-b531-5d5218e926fa",{"transactionId":2,"idTagInfo":{"status":"Accepted"}}]',NULL,'{"sent_ms":1795277129660}',X'EDEF57DAC03B389E');
INSERT INTO "exchange" VALUES(45,1,24078290,1795277129656,2,4,0,'StartTransaction',NULL,NULL,NULL,2,44,44,43,'{"decision":"accept","status":"Accepted","source":"csms"}','[3,"dc19f717-4582-4d87-9ad3-36a55981b707",{"transactionId":481653,"idTagInfo":{"status":"Accepted"}}]',NULL,X'A5A088434513122E');
INSERT INTO "exchange" VALUES(46,1,24078299,1795277129665,2,1,0,'StatusNotification','2ebe1caf-55f8-4300-884b-3df30f73a166','1.6',4,2,45,45,NULL,'[2,"2ebe1caf-55f8-4300-884b-3df30f73a166","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-21T16:05:29.649Z"}]','[3,"2ebe1caf-55f8-4300-884b-3df30f73a166",{}]',NULL,X'72F36346ED0B4A2B');
INSERT INTO "exchange" VALUES(47,1,24078301,1795277129667,2,1,1,'MeterValues','18297587-0bca-4e82-b045-832b27f2443f','1.6',4,2,46,46,NULL,'[2,"18297587-0bca-4e82-b045-832b27f2443f","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:29.663Z","sampledValue":[{"value":"3000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481653}]','[3,"18297587-0bca-4e82-b045-832b27f2443f",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.014 s"}]',X'7A40FC4CF593E72F');
INSERT INTO "exchange" VALUES(48,1,24078304,1795277129670,2,1,1,'MeterValues','ef2f7677-1034-4b6d-a83b-edc3b3d023f9','1.6',4,2,47,47,NULL,'[2,"ef2f7677-1034-4b6d-a83b-edc3b3d023f9","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:29.668Z","sampledValue":[{"value":"4000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481653}]','[3,"ef2f7677-1034-4b6d-a83b-edc3b3d023f9",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.005 s"}]',X'9BE6D6EED5F572E8');
INSERT INTO "exchange" VALUES(49,1,24078308,1795277129674,2,6,0,'MeterValues','aa15fa41-9abc-43f5-9437-2421d52d795f','1.6',NULL,2,48,48,47,'[3,"aa15fa41-9abc-43f5-9437-2421d52d795f",{}]',NULL,'{"sent_ms":1795277129671}',X'0CEB41CF236A0800');
INSERT INTO "exchange" VALUES(50,1,24078308,1795277129673,2,1,1,'MeterValues','5cc726cc-75a5-42b9-88b9-db7b7d82a3fa','1.6',4,2,49,49,NULL,'[2,"5cc726cc-75a5-42b9-88b9-db7b7d82a3fa","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:29.672Z","sampledValue":[{"value":"5000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481653}]','[3,"5cc726cc-75a5-42b9-88b9-db7b7d82a3fa",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.004 s"}]',X'9814708EC1FBC337');
INSERT INTO "exchange" VALUES(51,1,24078311,1795277129677,2,6,0,'MeterValues','d7d1716f-cf0d-4eb5-92b8-7eb807266ef8','1.6',NULL,2,50,50,48,'[3,"d7d1716f-cf0d-4eb5-92b8-7eb807266ef8",{}]',NULL,'{"sent_ms":1795277129674}',X'26D56A616C2EA8BC');
INSERT INTO "exchange" VALUES(52,1,24078313,1795277129678,2,1,1,'MeterValues','e3aae607-2c83-404d-844e-9e3af3a2ce3d','1.6',4,2,51,51,NULL,'[2,"e3aae607-2c83-404d-844e-9e3af3a2ce3d","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:29.677Z","sampledValue":[{"value":"6000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481653}]','[3,"e3aae607-2c83-404d-844e-9e3af3a2ce3d",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.005 s"}]',X'CB6519EC4D82B1D4');
INSERT INTO "exchange" VALUES(53,1,24078317,1795277129682,2,6,0,'MeterValues','da83f653-35ae-4079-bc3e-820c6c9d866e','1.6',NULL,2,52,52,50,'[3,"da83f653-35ae-4079-bc3e-820c6c9d866e",{}]',NULL,'{"sent_ms":1795277129679}',X'9B54A6BC04A69C05');
INSERT INTO "exchange" VALUES(54,1,24078317,1795277129682,2,1,1,'MeterValues','639d8b32-9b0e-4079-9e3e-a6efc0580eac','1.6',4,2,53,53,NULL,'[2,"639d8b32-9b0e-4079-9e3e-a6efc0580eac","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:29.681Z","sampledValue":[{"value":"7000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481653}]','[3,"639d8b32-9b0e-4079-9e3e-a6efc0580eac",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.004 s"}]',X'C0FC9896338AE803');
INSERT INTO "exchange" VALUES(55,1,24078321,1795277129686,2,6,0,'MeterValues','865c2731-5966-4bab-8eb9-ea57311435b0','1.6',NULL,2,54,54,52,'[3,"865c2731-5966-4bab-8eb9-ea57311435b0",{}]',NULL,'{"sent_ms":1795277129683}',X'274A5FF373B40397');
INSERT INTO "exchange" VALUES(56,1,24078322,1795277129688,2,1,1,'MeterValues','0ec0b564-2161-4424-82b3-4ee9aa179af1','1.6',4,2,55,55,NULL,'[2,"0ec0b564-2161-4424-82b3-4ee9aa179af1","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:29.686Z","sampledValue":[{"value":"8000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481653}]','[3,"0ec0b564-2161-4424-82b3-4ee9aa179af1",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.005 s"}]',X'AC96953DE6347B4F');
INSERT INTO "exchange" VALUES(57,1,24078326,1795277129691,2,6,0,'MeterValues','97a8cc04-d4cb-41c3-9196-9778ad435a3d','1.6',NULL,2,56,56,54,'[3,"97a8cc04-d4cb-41c3-9196-9778ad435a3d",{}]',NULL,'{"sent_ms":1795277129688}',X'4DB6CDA5466A4A2F');
INSERT INTO "exchange" VALUES(58,1,24078326,1795277129691,2,1,1,'StopTransaction','9cd483ff-3bd5-4179-bad7-a0c6725374c1','1.6',4,2,57,57,NULL,'[2,"9cd483ff-3bd5-4179-bad7-a0c6725374c1","StopTransaction",{"meterStop":8000,"timestamp":"2026-11-21T16:05:29.690Z","transactionId":481653,"reason":"Local","idTag":"DELIVERED-2"}]','[3,"9cd483ff-3bd5-4179-bad7-a0c6725374c1",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'F2C4CE5FC4A93767');
INSERT INTO "exchange" VALUES(59,1,24078330,1795277129696,2,6,0,'MeterValues','b062a62d-1c80-4f54-8e59-2011d2e27dbb','1.6',NULL,2,58,58,56,'[3,"b062a62d-1c80-4f54-8e59-2011d2e27dbb",{}]',NULL,'{"sent_ms":1795277129692}',X'D55A82C58558C576');
INSERT INTO "exchange" VALUES(60,1,24078330,1795277129696,2,1,0,'StatusNotification','9f82c265-52d3-40a3-a6eb-11c47f197308','1.6',4,NULL,NULL,59,NULL,'[2,"9f82c265-52d3-40a3-a6eb-11c47f197308","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-21T16:05:29.690Z"}]','[3,"9f82c265-52d3-40a3-a6eb-11c47f197308",{}]',NULL,X'ACFD249F85F44C03');
INSERT INTO "exchange" VALUES(61,1,24078330,1795277129696,3,1,0,'StatusNotification','91c6cea2-63df-4a71-a2ab-7dfe81084889','1.6',6,NULL,NULL,22,NULL,'[2,"91c6cea2-63df-4a71-a2ab-7dfe81084889","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-21T16:05:29.694Z"}]','[3,"91c6cea2-63df-4a71-a2ab-7dfe81084889",{}]',NULL,X'360CC1976DEF708D');
INSERT INTO "exchange" VALUES(62,1,24078334,1795277129699,2,6,0,'StopTransaction','0624fde8-9793-4ecd-ad8f-98e4099f2e83','1.6',NULL,2,59,60,58,'[3,"0624fde8-9793-4ecd-ad8f-98e4099f2e83",{"idTagInfo":{"status":"Accepted"}}]',NULL,'{"sent_ms":1795277129697}',X'8317585DE11AD457');
INSERT INTO "exchange" VALUES(63,1,24078335,1795277129701,2,1,0,'StatusNotification','86a24c1b-4fa0-464e-907c-e4c10beb9c8f','1.6',4,NULL,NULL,62,NULL,'[2,"86a24c1b-4fa0-464e-907c-e4c10beb9c8f","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:29.690Z"}]','[3,"86a24c1b-4fa0-464e-907c-e4c10beb9c8f",{}]',NULL,X'8C2D521C70C13DCD');
INSERT INTO "exchange" VALUES(64,1,24078335,1795277129701,3,1,1,'StartTransaction','cc61a475-b0f0-4c4b-b43c-41dfb83c79fd','1.6',6,3,NULL,61,NULL,'[2,"cc61a475-b0f0-4c4b-b43c-41dfb83c79fd","StartTransaction",{"connectorId":2,"idTag":"OPEN-KNOWN","meterStart":2000,"timestamp":"2026-11-21T16:05:29.694Z"}]',NULL,NULL,X'3F01F2C9021460CA');
INSERT INTO "exchange" VALUES(65,1,24078341,1795277129706,3,6,0,'StartTransaction','0804c1b9-ce81-4761-beef-e025e3b10acf','1.6',NULL,3,64,64,64,'[3,"0804c1b9-ce81-4761-beef-e025e3b10acf",{"transactionId":3,"idTagInfo":{"status":"Accepted"}}]',NULL,'{"sent_ms":1795277129705}',X'7455844158470155');
INSERT INTO "exchange" VALUES(66,1,24078335,1795277129701,3,4,0,'StartTransaction',NULL,NULL,NULL,3,65,65,64,'{"decision":"accept","status":"Accepted","source":"csms"}','[3,"cc61a475-b0f0-4c4b-b43c-41dfb83c79fd",{"transactionId":481654,"idTagInfo":{"status":"Accepted"}}]',NULL,X'527CB16AAFB390AD');
INSERT INTO "exchange" VALUES(67,1,24078345,1795277129710,3,1,0,'StatusNotification','f423d8e9-fb95-4065-bccf-c3f1ba32c556','1.6',6,3,66,66,NULL,'[2,"f423d8e9-fb95-4065-bccf-c3f1ba32c556","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-21T16:05:29.694Z"}]','[3,"f423d8e9-fb95-4065-bccf-c3f1ba32c556",{}]',NULL,X'DC1920485AA15380');
INSERT INTO "exchange" VALUES(68,1,24078347,1795277129712,3,1,1,'MeterValues','f666faee-f266-4cf3-bdd4-4d8a16b8f3ba','1.6',6,3,67,67,NULL,'[2,"f666faee-f266-4cf3-bdd4-4d8a16b8f3ba","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:29.709Z","sampledValue":[{"value":"2000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481654}]','[3,"f666faee-f266-4cf3-bdd4-4d8a16b8f3ba",{}]',NULL,X'0D07EE5388D82A48');
INSERT INTO "exchange" VALUES(69,1,24078352,1795277129718,3,6,0,'MeterValues','dcfe8d9a-4883-4c12-8917-fe0cf0e6a248','1.6',NULL,3,68,68,68,'[3,"dcfe8d9a-4883-4c12-8917-fe0cf0e6a248",{}]',NULL,'{"sent_ms":1795277129715}',X'607B137F7064CCC5');
INSERT INTO "exchange" VALUES(70,1,24078377,1795277129743,1,1,0,'StatusNotification','83181f16-4045-4d6a-963c-3d538fd838a8','1.6',2,NULL,NULL,42,NULL,'[2,"83181f16-4045-4d6a-963c-3d538fd838a8","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-21T16:05:29.741Z"}]','[3,"83181f16-4045-4d6a-963c-3d538fd838a8",{}]',NULL,X'C005A5FBB74E4745');
INSERT INTO "exchange" VALUES(71,1,24078380,1795277129745,1,1,1,'StartTransaction','b3bd5fb9-2773-4c0a-bd87-3f2346f49aab','1.6',2,4,NULL,70,NULL,'[2,"b3bd5fb9-2773-4c0a-bd87-3f2346f49aab","StartTransaction",{"connectorId":2,"idTag":"PARKED-1","meterStart":2000,"timestamp":"2026-11-21T16:05:29.741Z"}]',NULL,NULL,X'0F23B9EBB6FB7D76');
INSERT INTO "exchange" VALUES(72,1,24078384,1795277129750,1,6,0,'StartTransaction','8687c1a8-10fc-4536-b978-ddea705a8449','1.6',NULL,4,71,71,71,'[4,"8687c1a8-10fc-4536-b978-ddea705a8449","PropertyConstraintViolation","refused by the test",{}]',NULL,'{"sent_ms":1795277129748}',X'B0A78DDEC0868812');
INSERT INTO "exchange" VALUES(73,1,24078380,1795277129745,1,4,0,'StartTransaction',NULL,NULL,NULL,4,72,72,71,'{"decision":"accept","status":"Accepted","source":"policy"}','[3,"b3bd5fb9-2773-4c0a-bd87-3f2346f49aab",{"transactionId":481655,"idTagInfo":{"status":"Accepted"}}]',NULL,X'24A0874C50BBB5B3');
INSERT INTO "exchange" VALUES(74,1,24086386,1795277137752,1,1,0,'StatusNotification','29c121d1-b41e-4d27-a0eb-f2551aca963d','1.6',2,4,73,73,NULL,'[2,"29c121d1-b41e-4d27-a0eb-f2551aca963d","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-21T16:05:29.741Z"}]','[3,"29c121d1-b41e-4d27-a0eb-f2551aca963d",{}]',NULL,X'0D532C2AAC23D390');
INSERT INTO "exchange" VALUES(75,1,24086389,1795277137754,1,1,1,'MeterValues','6cbce342-e35d-4adb-8c3b-b31eccc7d56f','1.6',2,4,74,74,NULL,'[2,"6cbce342-e35d-4adb-8c3b-b31eccc7d56f","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:37.750Z","sampledValue":[{"value":"3024","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481655}]','[3,"6cbce342-e35d-4adb-8c3b-b31eccc7d56f",{}]',NULL,X'B511A1540062677A');
INSERT INTO "exchange" VALUES(76,1,24086391,1795277137756,1,1,1,'MeterValues','5e30af95-c6f2-4a01-bc8a-cf49ab33147d','1.6',2,4,75,75,NULL,'[2,"5e30af95-c6f2-4a01-bc8a-cf49ab33147d","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:37.755Z","sampledValue":[{"value":"4024","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481655}]','[3,"5e30af95-c6f2-4a01-bc8a-cf49ab33147d",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.005 s"}]',X'39E71BF88C8677D9');
INSERT INTO "exchange" VALUES(77,1,24086393,1795277137758,1,1,1,'StopTransaction','ba23f24a-a593-4bfc-812b-4fed00e40831','1.6',2,4,76,76,NULL,'[2,"ba23f24a-a593-4bfc-812b-4fed00e40831","StopTransaction",{"meterStop":4024,"timestamp":"2026-11-21T16:05:37.757Z","transactionId":481655,"reason":"Local","idTag":"PARKED-1"}]','[3,"ba23f24a-a593-4bfc-812b-4fed00e40831",{}]',NULL,X'48BC1C2A98E9573E');
INSERT INTO "exchange" VALUES(78,1,24086395,1795277137760,1,1,0,'StatusNotification','b8798458-4008-4bda-b071-f1629f3e8085','1.6',2,NULL,NULL,77,NULL,'[2,"b8798458-4008-4bda-b071-f1629f3e8085","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-21T16:05:37.757Z"}]','[3,"b8798458-4008-4bda-b071-f1629f3e8085",{}]',NULL,X'AE9261D35867F8BD');
INSERT INTO "exchange" VALUES(79,1,24086397,1795277137763,1,1,0,'StatusNotification','1355cf71-55e5-46ad-b25a-b6585159556e','1.6',2,NULL,NULL,78,NULL,'[2,"1355cf71-55e5-46ad-b25a-b6585159556e","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:37.757Z"}]','[3,"1355cf71-55e5-46ad-b25a-b6585159556e",{}]',NULL,X'C8541AC1A5CBA14E');
INSERT INTO "exchange" VALUES(80,1,24086400,1795277137765,1,1,0,'StatusNotification','82128090-499d-4d76-8f13-3842dbd0c645','1.6',2,NULL,NULL,79,NULL,'[2,"82128090-499d-4d76-8f13-3842dbd0c645","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-21T16:05:37.764Z"}]','[3,"82128090-499d-4d76-8f13-3842dbd0c645",{}]',NULL,X'A0F539CBF3329788');
INSERT INTO "exchange" VALUES(81,1,24086402,1795277137768,1,1,1,'StartTransaction','dd56a7d2-78a4-4ac1-bf08-b9bc612a42d9','1.6',2,5,NULL,80,NULL,'[2,"dd56a7d2-78a4-4ac1-bf08-b9bc612a42d9","StartTransaction",{"connectorId":2,"idTag":"PARKED-2","meterStart":4024,"timestamp":"2026-11-21T16:05:37.764Z"}]',NULL,NULL,X'E70DD7593DF5F2A2');
INSERT INTO "exchange" VALUES(82,1,24086406,1795277137772,1,6,0,'StartTransaction','75addfbe-dac8-42ab-b32f-99a685e07c06','1.6',NULL,5,81,81,81,'[4,"75addfbe-dac8-42ab-b32f-99a685e07c06","PropertyConstraintViolation","refused by the test",{}]',NULL,'{"sent_ms":1795277137771}',X'C3F2C6055CCC2FD4');
INSERT INTO "exchange" VALUES(83,1,24086402,1795277137768,1,4,0,'StartTransaction',NULL,NULL,NULL,5,82,82,81,'{"decision":"accept","status":"Accepted","source":"policy"}','[3,"dd56a7d2-78a4-4ac1-bf08-b9bc612a42d9",{"transactionId":481656,"idTagInfo":{"status":"Accepted"}}]',NULL,X'C160B35F58B1FCE3');
INSERT INTO "exchange" VALUES(84,1,24094415,1795277145780,1,1,0,'StatusNotification','afc03625-71c3-4b8f-8e3a-714ee73ae9fa','1.6',2,5,83,83,NULL,'[2,"afc03625-71c3-4b8f-8e3a-714ee73ae9fa","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-21T16:05:37.764Z"}]','[3,"afc03625-71c3-4b8f-8e3a-714ee73ae9fa",{}]',NULL,X'1E1BBBB9AEA01467');
INSERT INTO "exchange" VALUES(85,1,24094418,1795277145783,1,1,1,'MeterValues','11858fc9-a254-4d47-b110-b34ec79d1770','1.6',2,5,84,84,NULL,'[2,"11858fc9-a254-4d47-b110-b34ec79d1770","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:45.778Z","sampledValue":[{"value":"5049","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481656}]','[3,"11858fc9-a254-4d47-b110-b34ec79d1770",{}]',NULL,X'0B9AE70D18E95877');
INSERT INTO "exchange" VALUES(86,1,24094422,1795277145788,1,1,1,'StopTransaction','179ac394-06fd-4ba3-87a4-075b9d38f981','1.6',2,5,85,85,NULL,'[2,"179ac394-06fd-4ba3-87a4-075b9d38f981","StopTransaction",{"meterStop":5049,"timestamp":"2026-11-21T16:05:45.786Z","transactionId":481656,"reason":"Local","idTag":"PARKED-2"}]','[3,"179ac394-06fd-4ba3-87a4-075b9d38f981",{}]',NULL,X'746D09130D96E33F');
INSERT INTO "exchange" VALUES(87,1,24094425,1795277145790,1,1,0,'StatusNotification','5133f352-9486-4f8c-9f30-d6487780cb30','1.6',2,NULL,NULL,86,NULL,'[2,"5133f352-9486-4f8c-9f30-d6487780cb30","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-21T16:05:45.786Z"}]','[3,"5133f352-9486-4f8c-9f30-d6487780cb30",{}]',NULL,X'47BEB27B2EBBCA20');
INSERT INTO "exchange" VALUES(88,1,24094427,1795277145793,1,1,0,'StatusNotification','9f6a8f9f-bb94-4c08-bfe3-605404dc1eb6','1.6',2,NULL,NULL,87,NULL,'[2,"9f6a8f9f-bb94-4c08-bfe3-605404dc1eb6","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:45.786Z"}]','[3,"9f6a8f9f-bb94-4c08-bfe3-605404dc1eb6",{}]',NULL,X'82277C5F8A4EA963');
INSERT INTO "exchange" VALUES(89,1,24094434,1795277145799,0,7,0,NULL,NULL,NULL,NULL,NULL,NULL,24,NULL,'{"uplink":"offline"}',NULL,NULL,X'8EBC5AFBF4518357');
INSERT INTO "exchange" VALUES(90,1,24094437,1795277145803,2,1,0,'StatusNotification','188c9e0e-6167-412c-a413-20e6caf8799c','1.6',3,NULL,NULL,63,NULL,'[2,"188c9e0e-6167-412c-a413-20e6caf8799c","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-21T16:05:45.801Z"}]','[3,"188c9e0e-6167-412c-a413-20e6caf8799c",{}]',NULL,X'98776C316F9E6F86');
INSERT INTO "exchange" VALUES(91,1,24094439,1795277145805,2,1,1,'StartTransaction','14c18195-c31c-4754-bafd-c7dc4f98f639','1.6',3,6,NULL,90,NULL,'[2,"14c18195-c31c-4754-bafd-c7dc4f98f639","StartTransaction",{"connectorId":1,"idTag":"WAITING-1","meterStart":1000,"timestamp":"2026-11-21T16:05:45.802Z"}]','[3,"14c18195-c31c-4754-bafd-c7dc4f98f639",{"transactionId":481657,"idTagInfo":{"status":"Accepted"}}]',NULL,X'68345E53553E723B');
INSERT INTO "exchange" VALUES(92,1,24094441,1795277145807,2,1,0,'StatusNotification','d43311c3-5f2b-4116-8230-9e69d5a582a9','1.6',3,6,91,91,NULL,'[2,"d43311c3-5f2b-4116-8230-9e69d5a582a9","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-21T16:05:45.802Z"}]','[3,"d43311c3-5f2b-4116-8230-9e69d5a582a9",{}]',NULL,X'459F8615ADA785BE');
INSERT INTO "exchange" VALUES(93,1,24094443,1795277145809,2,1,1,'MeterValues','505d0968-e225-43ca-863a-f2242fe33dc7','1.6',3,6,92,92,NULL,'[2,"505d0968-e225-43ca-863a-f2242fe33dc7","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-11-21T16:05:45.805Z","sampledValue":[{"value":"2000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481657}]','[3,"505d0968-e225-43ca-863a-f2242fe33dc7",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.003 s"}]',X'6CDAB7BF46650543');
INSERT INTO "exchange" VALUES(95,1,24094448,1795277145813,2,1,1,'MeterValues','53eb340f-4311-4214-8453-1363b2786246','1.6',3,6,94,94,NULL,'[2,"53eb340f-4311-4214-8453-1363b2786246","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-11-21T16:05:45.812Z","sampledValue":[{"value":"4000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481657}]','[3,"53eb340f-4311-4214-8453-1363b2786246",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.002 s"}]',X'7D91F43BD1C221AD');
INSERT INTO "exchange" VALUES(96,1,24094450,1795277145815,2,1,1,'StopTransaction','0b665cc3-1ec6-4346-87a8-152a3e29dc47','1.6',3,6,95,95,NULL,'[2,"0b665cc3-1ec6-4346-87a8-152a3e29dc47","StopTransaction",{"meterStop":4000,"timestamp":"2026-11-21T16:05:45.814Z","transactionId":481657,"reason":"Local","idTag":"WAITING-1"}]','[3,"0b665cc3-1ec6-4346-87a8-152a3e29dc47",{}]',NULL,X'F6C4769974E781CA');
INSERT INTO "exchange" VALUES(97,1,24094452,1795277145818,2,1,0,'StatusNotification','153aa8bf-e1d3-451e-bac9-2a07b03e2ed6','1.6',3,NULL,NULL,96,NULL,'[2,"153aa8bf-e1d3-451e-bac9-2a07b03e2ed6","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-21T16:05:45.814Z"}]','[3,"153aa8bf-e1d3-451e-bac9-2a07b03e2ed6",{}]',NULL,X'8E6B4CCF33096DE0');
INSERT INTO "exchange" VALUES(98,1,24094452,1795277145818,1,1,0,'StatusNotification','7d102832-c53a-4737-9a0f-e7e3c959c4e3','1.6',1,NULL,NULL,88,NULL,'[2,"7d102832-c53a-4737-9a0f-e7e3c959c4e3","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-21T16:05:45.816Z"}]','[3,"7d102832-c53a-4737-9a0f-e7e3c959c4e3",{}]',NULL,X'8E2A48F754588DF3');
INSERT INTO "exchange" VALUES(99,1,24094455,1795277145820,2,1,0,'StatusNotification','af09b228-49b8-4d6b-8c55-70e41711ad16','1.6',3,NULL,NULL,97,NULL,'[2,"af09b228-49b8-4d6b-8c55-70e41711ad16","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:45.814Z"}]','[3,"af09b228-49b8-4d6b-8c55-70e41711ad16",{}]',NULL,X'90209AEF87DA6739');
INSERT INTO "exchange" VALUES(100,1,24094458,1795277145823,1,1,1,'StartTransaction','a0b78e1c-4ae0-4a5b-a1c4-183074ae5296','1.6',1,7,NULL,98,NULL,'[2,"a0b78e1c-4ae0-4a5b-a1c4-183074ae5296","StartTransaction",{"connectorId":1,"idTag":"WAITING-2","meterStart":4000,"timestamp":"2026-11-21T16:05:45.816Z"}]','[3,"a0b78e1c-4ae0-4a5b-a1c4-183074ae5296",{"transactionId":481658,"idTagInfo":{"status":"Accepted"}}]',NULL,X'79D9FC4682D47F15');
INSERT INTO "exchange" VALUES(101,1,24094460,1795277145825,1,1,0,'StatusNotification','1f7cef11-8112-4654-922f-d66ed6a42ff5','1.6',1,7,100,100,NULL,'[2,"1f7cef11-8112-4654-922f-d66ed6a42ff5","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-21T16:05:45.816Z"}]','[3,"1f7cef11-8112-4654-922f-d66ed6a42ff5",{}]',NULL,X'412736B66450ECBA');
INSERT INTO "exchange" VALUES(102,1,24094462,1795277145828,1,1,1,'MeterValues','de7291ac-2403-43e1-a5de-432300ded550','1.6',1,7,101,101,NULL,'[2,"de7291ac-2403-43e1-a5de-432300ded550","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-11-21T16:05:45.824Z","sampledValue":[{"value":"5000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481658}]','[3,"de7291ac-2403-43e1-a5de-432300ded550",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.008 s"}]',X'1A921F7C454DCE11');
INSERT INTO "exchange" VALUES(103,1,24094464,1795277145830,1,1,1,'StopTransaction','bc5aeb21-4576-420f-ac6c-61eb83a92785','1.6',1,7,102,102,NULL,'[2,"bc5aeb21-4576-420f-ac6c-61eb83a92785","StopTransaction",{"meterStop":5000,"timestamp":"2026-11-21T16:05:45.829Z","transactionId":481658,"reason":"Local","idTag":"WAITING-2"}]','[3,"bc5aeb21-4576-420f-ac6c-61eb83a92785",{}]',NULL,X'AFA882F471B97AE4');
INSERT INTO "exchange" VALUES(104,1,24094466,1795277145832,1,1,0,'StatusNotification','1172a3a7-a43f-4281-b591-ec73bf7ce6f0','1.6',1,NULL,NULL,103,NULL,'[2,"1172a3a7-a43f-4281-b591-ec73bf7ce6f0","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-21T16:05:45.829Z"}]','[3,"1172a3a7-a43f-4281-b591-ec73bf7ce6f0",{}]',NULL,X'1BF80583413C03E1');
INSERT INTO "exchange" VALUES(105,1,24094466,1795277145832,3,1,1,'MeterValues','57fafcbf-43c3-4bb3-9a2a-96feeb8a902c','1.6',6,3,69,69,NULL,'[2,"57fafcbf-43c3-4bb3-9a2a-96feeb8a902c","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:45.831Z","sampledValue":[{"value":"2049","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481654}]','[3,"57fafcbf-43c3-4bb3-9a2a-96feeb8a902c",{}]',NULL,X'2EBBC8A74C55382D');
INSERT INTO "exchange" VALUES(106,1,24094468,1795277145834,1,1,0,'StatusNotification','26eeedd0-9603-4aab-a6d8-71e07cf0ab26','1.6',1,NULL,NULL,104,NULL,'[2,"26eeedd0-9603-4aab-a6d8-71e07cf0ab26","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-21T16:05:45.829Z"}]','[3,"26eeedd0-9603-4aab-a6d8-71e07cf0ab26",{}]',NULL,X'EAD3F3D78EF5F37D');
INSERT INTO "exchange" VALUES(107,1,24094470,1795277145836,2,1,0,'StatusNotification','767b194c-667c-48cc-8717-403512f89bd0','1.6',4,NULL,NULL,99,NULL,'[2,"767b194c-667c-48cc-8717-403512f89bd0","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-21T16:05:45.834Z"}]','[3,"767b194c-667c-48cc-8717-403512f89bd0",{}]',NULL,X'EEFC9EDFF02D9117');
INSERT INTO "exchange" VALUES(108,1,24094472,1795277145838,2,1,1,'StartTransaction','f59c4a5c-109d-45f9-aa08-6acc4df2b013','1.6',4,8,NULL,107,NULL,'[2,"f59c4a5c-109d-45f9-aa08-6acc4df2b013","StartTransaction",{"connectorId":2,"idTag":"OPEN-UNSENT","meterStart":8000,"timestamp":"2026-11-21T16:05:45.834Z"}]','[3,"f59c4a5c-109d-45f9-aa08-6acc4df2b013",{"transactionId":481659,"idTagInfo":{"status":"Accepted"}}]',NULL,X'8814D953FDAB447B');
INSERT INTO "exchange" VALUES(109,1,24094474,1795277145840,2,1,0,'StatusNotification','4210bb3b-0197-44bd-8564-d06bc0069f0c','1.6',4,8,108,108,NULL,'[2,"4210bb3b-0197-44bd-8564-d06bc0069f0c","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-21T16:05:45.834Z"}]','[3,"4210bb3b-0197-44bd-8564-d06bc0069f0c",{}]',NULL,X'314CDBC3B0AF1C71');
INSERT INTO "exchange" VALUES(110,1,24094476,1795277145842,2,1,1,'MeterValues','dfd592bc-b380-4adc-91a8-a69d5359f24b','1.6',4,8,109,109,NULL,'[2,"dfd592bc-b380-4adc-91a8-a69d5359f24b","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:45.839Z","sampledValue":[{"value":"8000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481659}]','[3,"dfd592bc-b380-4adc-91a8-a69d5359f24b",{}]',NULL,X'FA615E964F87DA5C');
INSERT INTO "exchange" VALUES(111,1,24094482,1795277145847,2,1,1,'MeterValues','22b4ca8c-c8e0-4028-ae98-f8d736badcf2','1.6',4,8,110,110,NULL,'[2,"22b4ca8c-c8e0-4028-ae98-f8d736badcf2","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-21T16:05:45.846Z","sampledValue":[{"value":"8000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":481659}]','[3,"22b4ca8c-c8e0-4028-ae98-f8d736badcf2",{}]',NULL,X'C417123F879278A3');
INSERT INTO "exchange" VALUES(112,1,0,1772366400000,2,4,0,'MeterValues',NULL,NULL,3,6,96,111,NULL,'{"meter_values":"thinned to one in 15 minutes"}',NULL,'[{"rule":"values_thinned","message":"the store is filling: meter values of this transaction are thinned to one in 15 minutes from here on"}]',X'173CC5DB405C67BE');
INSERT INTO "exchange" VALUES(113,1,0,1772366400000,3,1,1,'MeterValues','x','1.6',6,3,105,105,NULL,'[2,"x","MeterValues",{"connectorId":2}]',NULL,NULL,X'1E4745CE91263B09');
CREATE TABLE gap (                       -- edge/store/gaps.py
  seq INTEGER PRIMARY KEY,               -- of the row that was removed
  prev_tx INTEGER, prev_peer INTEGER,    -- where its chains go on; NULL: nothing older is left
  referrers INTEGER NOT NULL,            -- 1: the next of its transaction, 2: the next of its charger, 3: both
  digest BLOB NOT NULL                   -- the removed row's, over which the next one's goes
) STRICT;
INSERT INTO "gap" VALUES(1,NULL,NULL,2,X'17B87184B944845A');
INSERT INTO "gap" VALUES(8,NULL,NULL,2,X'62F60C12D5943B49');
INSERT INTO "gap" VALUES(15,NULL,NULL,2,X'354B22BE5DD2FF0A');
INSERT INTO "gap" VALUES(19,NULL,NULL,2,X'7EC6069385224316');
INSERT INTO "gap" VALUES(38,NULL,27,2,X'90D51461EFDD840F');
INSERT INTO "gap" VALUES(41,NULL,39,3,X'620405B1787DBC06');
INSERT INTO "gap" VALUES(94,93,93,3,X'7120BA3E7F34F945');
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
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('checked_wall_ms',1795277129561);
INSERT INTO "meta" VALUES('counter:charger_tx',481659);
INSERT INTO "meta" VALUES('counter:session',8);
INSERT INTO "meta" VALUES('last_wall_ms',1795277129517);
INSERT INTO "meta" VALUES('min_reader',3);
INSERT INTO "meta" VALUES('settled_seq',112);
INSERT INTO "meta" VALUES('station:HeartbeatInterval','300');
INSERT INTO "meta" VALUES('station:TransactionMessageAttempts','1');
INSERT INTO "meta" VALUES('station_last_seq',89);
INSERT INTO "meta" VALUES('thinned',1);
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
INSERT INTO "token" VALUES('blocked','cache','BLOCKED','Blocked',NULL,NULL,1795277129622);
INSERT INTO "token" VALUES('delivered-1','cache','DELIVERED-1','Accepted',NULL,NULL,1795277129654);
INSERT INTO "token" VALUES('delivered-2','cache','DELIVERED-2','Accepted',NULL,NULL,1795277129699);
INSERT INTO "token" VALUES('good','cache','GOOD','Accepted',NULL,NULL,1795277129620);
INSERT INTO "token" VALUES('open-known','cache','OPEN-KNOWN','Accepted',NULL,NULL,1795277129706);
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
, thinned INTEGER NOT NULL DEFAULT 0, forget_wall_ms INTEGER) STRICT;
INSERT INTO "tx" VALUES(1,'transaction',1,1,'481652',X'DED11456766B7493BCB067B0C99D0D78','DELIVERED-1','ended',28,41,5,37,5,NULL,0,1,'1',1795277129622,1795277129645,1000,4000,'Local',0,0,'Accepted','csms',1795277129625,'Accepted',1795277129631,0,1803053129654);
INSERT INTO "tx" VALUES(2,'transaction',2,4,'481653',X'6F6D4BB926A99A3998044BC3732A1398','DELIVERED-2','ended',43,62,8,58,8,NULL,0,1,'2',1795277129649,1795277129690,2000,8000,'Local',0,0,'Accepted','csms',1795277129656,'Accepted',1795277129661,0,NULL);
INSERT INTO "tx" VALUES(3,'transaction',3,6,'481654',X'1F6C4A740279E7E881DF09CDE36E6D8E','OPEN-KNOWN','open',64,105,3,68,2,NULL,1,1,'3',1795277129694,NULL,2000,NULL,NULL,0,0,'Accepted','csms',1795277129701,'Accepted',1795277129706,0,NULL);
INSERT INTO "tx" VALUES(4,'transaction',1,2,'481655',X'F05730860E9F2D372C742AD67FF0F728','PARKED-1','ended',71,77,4,0,0,71,0,NULL,NULL,1795277129741,1795277137757,2000,4024,'Local',0,0,'Accepted','policy',1795277129745,NULL,NULL,0,NULL);
INSERT INTO "tx" VALUES(5,'transaction',1,2,'481656',X'038D5ACFDA84B0104D947FE999665123','PARKED-2','ended',81,86,3,0,0,81,0,NULL,NULL,1795277137764,1795277145786,4024,5049,'Local',0,0,'Accepted','policy',1795277137768,NULL,NULL,0,NULL);
INSERT INTO "tx" VALUES(6,'transaction',2,3,'481657',X'5BAEA7EE6A0D2E1258FD5AE53851636D','WAITING-1','ended',91,112,4,0,0,NULL,1,NULL,NULL,1795277145802,1795277145814,1000,4000,'Local',0,1,'Accepted','policy',1795277145805,NULL,NULL,1,NULL);
INSERT INTO "tx" VALUES(7,'transaction',1,1,'481658',X'D80878ED1F3FBB11268DDCC90F38178E','WAITING-2','ended',100,103,3,0,0,NULL,1,NULL,NULL,1795277145816,1795277145829,4000,5000,'Local',0,1,'Accepted','policy',1795277145823,NULL,NULL,0,NULL);
INSERT INTO "tx" VALUES(8,'transaction',2,4,'481659',X'8A4403A2B5A347A0795B2096C68003BD','OPEN-UNSENT','open',108,111,3,0,0,NULL,1,NULL,NULL,1795277145834,NULL,8000,NULL,NULL,0,1,'Accepted','policy',1795277145838,NULL,NULL,0,NULL);
CREATE TABLE uplink_epoch (              -- what the learned transaction ids belong to (architecture, law 9)
  epoch_no INTEGER PRIMARY KEY,
  station_no INTEGER NOT NULL DEFAULT 1,
  identity TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  version TEXT NOT NULL,
  opened_seq INTEGER NOT NULL,
  closed_seq INTEGER
) STRICT;
INSERT INTO "uplink_epoch" VALUES(1,1,'depot-7','ws://127.0.0.1:40597/ocpp','1.6',0,NULL);
CREATE UNIQUE INDEX tx_start_key ON tx (start_key) WHERE start_key IS NOT NULL;
CREATE INDEX tx_charger_id ON tx (charger_no, charger_tx);
CREATE INDEX tx_open ON tx (connector_no) WHERE state = 'open';
CREATE INDEX tx_open_charger ON tx (charger_no) WHERE state = 'open' AND kind = 'transaction';
CREATE INDEX tx_due ON tx (connector_no, begin_seq) WHERE due = 1;
CREATE INDEX tx_parked ON tx (parked_seq) WHERE parked_seq IS NOT NULL;
CREATE INDEX tx_upstream ON tx (epoch_no, upstream_tx) WHERE upstream_tx IS NOT NULL;
CREATE UNIQUE INDEX id_map_down ON id_map (kind, charger_no, downstream_id);
CREATE INDEX tx_emptied ON tx (forget_wall_ms) WHERE forget_wall_ms IS NOT NULL;
COMMIT;
