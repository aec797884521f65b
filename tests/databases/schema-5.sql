PRAGMA auto_vacuum = 2;
PRAGMA application_id = 1162102597;
PRAGMA user_version = 5;
BEGIN TRANSACTION;
CREATE TABLE boot (
  boot_no INTEGER PRIMARY KEY,
  started_wall_ms INTEGER NOT NULL,
  started_mono_ms INTEGER NOT NULL,
  trust TEXT NOT NULL,                   -- how far the wall clock could be believed at the start
  sync_offset_ms INTEGER,                -- written once, when the clock becomes trusted
  end_reason TEXT
) STRICT;
INSERT INTO "boot" VALUES(1,1795350363124,4917923,'system',NULL,NULL);
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
INSERT INTO "charger" VALUES(1,'CP-01','known','file','1.6','Simulated','Two-Outlet',NULL,'1.0.0',1795350363167,2,NULL,NULL,28,NULL,NULL,NULL,NULL,1795350363163);
INSERT INTO "charger" VALUES(2,'CP-02','known','file','1.6','Simulated','Two-Outlet',NULL,'1.0.0',1795350363167,2,NULL,NULL,40,NULL,NULL,NULL,NULL,1795350363163);
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
INSERT INTO "connector" VALUES(1,1,1,1,1,1,1,1,NULL,'{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:03.308Z"}',1795350363320);
INSERT INTO "connector" VALUES(2,1,2,2,1,2,2,1,NULL,'{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:04.482Z"}',1795350364490);
INSERT INTO "connector" VALUES(3,2,1,1,1,3,3,1,NULL,'{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:03.372Z"}',1795350363392);
INSERT INTO "connector" VALUES(4,2,2,2,1,4,4,1,NULL,'{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-22T12:26:04.495Z"}',1795350364504);
CREATE TABLE delivery (                  -- only messages whose delivery is not plain: bound, failed or parked
  seq INTEGER PRIMARY KEY,
  state TEXT NOT NULL,                   -- bound | failed | parked
  epoch_no INTEGER,
  bound TEXT,                            -- the payload as it was sent, while the outcome is unknown
  attempts INTEGER NOT NULL DEFAULT 0,
  error_code TEXT, error_description TEXT, error_wall_ms INTEGER
) STRICT;
INSERT INTO "delivery" VALUES(36,'parked',1,'{"meterStop":1000,"timestamp":"2026-11-22T12:26:03.372Z","transactionId":2,"reason":"Local","idTag":"TAG-2"}',1,'PropertyConstraintViolation','refused by the test',1795350363391);
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
INSERT INTO "exchange" VALUES(1,1,4917960,1795350363161,0,7,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"uplink":"accepted"}',NULL,NULL,X'17B87184B944845A');
INSERT INTO "exchange" VALUES(2,1,4917962,1795350363163,1,7,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"connection":"opened","detail":"127.0.0.1:57842"}',NULL,NULL,X'709065DEE30FC96B');
INSERT INTO "exchange" VALUES(3,1,4917962,1795350363163,2,7,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"connection":"opened","detail":"127.0.0.1:57850"}',NULL,NULL,X'B6756C8BAFF550AB');
INSERT INTO "exchange" VALUES(4,1,4917966,1795350363167,1,1,0,'BootNotification','1923ef14-8ba0-44bd-b16e-51707f08950b','1.6',NULL,NULL,NULL,2,NULL,'[2,"1923ef14-8ba0-44bd-b16e-51707f08950b","BootNotification",{"chargePointModel":"Two-Outlet","chargePointVendor":"Simulated","firmwareVersion":"1.0.0"}]','[3,"1923ef14-8ba0-44bd-b16e-51707f08950b",{"status":"Accepted","currentTime":"2026-11-22T12:26:03.166Z","interval":300}]',NULL,X'48489D735F4CEFFC');
INSERT INTO "exchange" VALUES(5,1,4917966,1795350363167,2,1,0,'BootNotification','1d482cdb-7d76-4909-8ae8-177646a55bd8','1.6',NULL,NULL,NULL,3,NULL,'[2,"1d482cdb-7d76-4909-8ae8-177646a55bd8","BootNotification",{"chargePointModel":"Two-Outlet","chargePointVendor":"Simulated","firmwareVersion":"1.0.0"}]','[3,"1d482cdb-7d76-4909-8ae8-177646a55bd8",{"status":"Accepted","currentTime":"2026-11-22T12:26:03.167Z","interval":300}]',NULL,X'63E85EA1B61F1583');
INSERT INTO "exchange" VALUES(6,1,4917979,1795350363180,1,1,0,'StatusNotification','7f214e0d-10c0-4252-ac39-6699be892a0b','1.6',NULL,NULL,NULL,4,NULL,'[2,"7f214e0d-10c0-4252-ac39-6699be892a0b","StatusNotification",{"connectorId":0,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:03.178Z"}]','[3,"7f214e0d-10c0-4252-ac39-6699be892a0b",{}]',NULL,X'CBA6F576BC2A583E');
INSERT INTO "exchange" VALUES(7,1,4917979,1795350363180,2,1,0,'StatusNotification','dec29fb2-1534-4c78-b9da-6eb2f82e1a6d','1.6',NULL,NULL,NULL,5,NULL,'[2,"dec29fb2-1534-4c78-b9da-6eb2f82e1a6d","StatusNotification",{"connectorId":0,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:03.178Z"}]','[3,"dec29fb2-1534-4c78-b9da-6eb2f82e1a6d",{}]',NULL,X'37DEAA256EA41346');
INSERT INTO "exchange" VALUES(8,1,4917982,1795350363182,1,3,0,'GetConfiguration','e249e098-5296-4534-9272-81807ac2d554','1.6',NULL,NULL,NULL,6,NULL,'[2,"e249e098-5296-4534-9272-81807ac2d554","GetConfiguration",{"key":["HeartbeatInterval","MeterValueSampleInterval","NumberOfConnectors","GetConfigurationMaxKeys"]}]','[3,"e249e098-5296-4534-9272-81807ac2d554",{"configurationKey":[{"key":"HeartbeatInterval","readonly":false,"value":"300"},{"key":"MeterValueSampleInterval","readonly":false,"value":"0"},{"key":"NumberOfConnectors","readonly":true,"value":"2"},{"key":"GetConfigurationMaxKeys","readonly":true,"value":"50"}]}]',NULL,X'9C5FA78CDFAEAE9E');
INSERT INTO "exchange" VALUES(9,1,4917982,1795350363182,2,3,0,'GetConfiguration','cd07e060-a45b-42a8-8ca9-6d67a63b7ed6','1.6',NULL,NULL,NULL,7,NULL,'[2,"cd07e060-a45b-42a8-8ca9-6d67a63b7ed6","GetConfiguration",{"key":["HeartbeatInterval","MeterValueSampleInterval","NumberOfConnectors","GetConfigurationMaxKeys"]}]','[3,"cd07e060-a45b-42a8-8ca9-6d67a63b7ed6",{"configurationKey":[{"key":"HeartbeatInterval","readonly":false,"value":"300"},{"key":"MeterValueSampleInterval","readonly":false,"value":"0"},{"key":"NumberOfConnectors","readonly":true,"value":"2"},{"key":"GetConfigurationMaxKeys","readonly":true,"value":"50"}]}]',NULL,X'18FFD5F1E0D978D8');
INSERT INTO "exchange" VALUES(10,1,4917984,1795350363185,1,3,0,'ChangeConfiguration','5937dc7c-0eb3-426d-85ff-6c8e7042c379','1.6',NULL,NULL,NULL,8,NULL,'[2,"5937dc7c-0eb3-426d-85ff-6c8e7042c379","ChangeConfiguration",{"key":"MeterValueSampleInterval","value":"30"}]','[3,"5937dc7c-0eb3-426d-85ff-6c8e7042c379",{"status":"Accepted"}]',NULL,X'9733D794D7F44449');
INSERT INTO "exchange" VALUES(11,1,4917985,1795350363185,2,3,0,'ChangeConfiguration','9fcf4d14-2dab-4b95-aabd-769787a500e2','1.6',NULL,NULL,NULL,9,NULL,'[2,"9fcf4d14-2dab-4b95-aabd-769787a500e2","ChangeConfiguration",{"key":"MeterValueSampleInterval","value":"30"}]','[3,"9fcf4d14-2dab-4b95-aabd-769787a500e2",{"status":"Accepted"}]',NULL,X'30D79FCB35B15DA9');
INSERT INTO "exchange" VALUES(12,1,4917986,1795350363187,1,1,0,'StatusNotification','d788d1bd-8fe9-4408-9201-e76fd0401ef0','1.6',1,NULL,NULL,10,NULL,'[2,"d788d1bd-8fe9-4408-9201-e76fd0401ef0","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:03.186Z"}]','[3,"d788d1bd-8fe9-4408-9201-e76fd0401ef0",{}]',NULL,X'9A082ACC5A501BF6');
INSERT INTO "exchange" VALUES(13,1,4917986,1795350363187,2,1,0,'StatusNotification','7f40bcd9-76b9-45e5-9922-cc06a6f827f8','1.6',3,NULL,NULL,11,NULL,'[2,"7f40bcd9-76b9-45e5-9922-cc06a6f827f8","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:03.186Z"}]','[3,"7f40bcd9-76b9-45e5-9922-cc06a6f827f8",{}]',NULL,X'5AE79199BE0800AF');
INSERT INTO "exchange" VALUES(14,1,4917995,1795350363196,1,1,0,'StatusNotification','a05fb122-9511-40c9-9277-059a82f8ef88','1.6',2,NULL,NULL,12,NULL,'[2,"a05fb122-9511-40c9-9277-059a82f8ef88","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:03.195Z"}]','[3,"a05fb122-9511-40c9-9277-059a82f8ef88",{}]',NULL,X'33CB28655A637A9C');
INSERT INTO "exchange" VALUES(15,1,4917995,1795350363196,2,1,0,'StatusNotification','c753c01f-1125-4c22-90c9-456a3bfcf467','1.6',4,NULL,NULL,13,NULL,'[2,"c753c01f-1125-4c22-90c9-456a3bfcf467","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:03.195Z"}]','[3,"c753c01f-1125-4c22-90c9-456a3bfcf467",{}]',NULL,X'10C4435D7940C902');
INSERT INTO "exchange" VALUES(16,1,4918018,1795350363219,0,2,0,'ChangeConfiguration','90d58e24-bd0f-4b46-87e2-f4e11b798e77',NULL,NULL,NULL,NULL,1,NULL,'[2,"90d58e24-bd0f-4b46-87e2-f4e11b798e77","ChangeConfiguration",{"key":"HeartbeatInterval","value":"120"}]','[3,"90d58e24-bd0f-4b46-87e2-f4e11b798e77",{"status":"Accepted"}]',NULL,X'7A6B064214F25149');
INSERT INTO "exchange" VALUES(17,1,4918035,1795350363236,1,1,0,'StatusNotification','6c6b4d88-90d8-4125-a4f0-b318ade51dd8','1.6',1,NULL,NULL,14,NULL,'[2,"6c6b4d88-90d8-4125-a4f0-b318ade51dd8","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-22T12:26:03.235Z"}]','[3,"6c6b4d88-90d8-4125-a4f0-b318ade51dd8",{}]',NULL,X'D0601DEACCC809E5');
INSERT INTO "exchange" VALUES(18,1,4918047,1795350363248,1,1,0,'Authorize','2a7a33f7-fb71-40a8-a48c-a92a334b54b3','1.6',NULL,NULL,NULL,17,NULL,'[2,"2a7a33f7-fb71-40a8-a48c-a92a334b54b3","Authorize",{"idTag":"TAG-1"}]','[3,"2a7a33f7-fb71-40a8-a48c-a92a334b54b3",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'F111A9B2B4605A39');
INSERT INTO "exchange" VALUES(19,1,4918062,1795350363263,1,1,0,'Authorize','c03a43cf-e9ad-4a82-b65e-f3c2eb2ec8ec','1.6',NULL,NULL,NULL,18,NULL,'[2,"c03a43cf-e9ad-4a82-b65e-f3c2eb2ec8ec","Authorize",{"idTag":"TAG-1"}]','[3,"c03a43cf-e9ad-4a82-b65e-f3c2eb2ec8ec",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'2AA83DD582D7A69C');
INSERT INTO "exchange" VALUES(20,1,4918070,1795350363270,1,1,1,'StartTransaction','db02e8e3-7980-441a-aee4-c7cf44a7040d','1.6',1,1,NULL,19,NULL,'[2,"db02e8e3-7980-441a-aee4-c7cf44a7040d","StartTransaction",{"connectorId":1,"idTag":"TAG-1","meterStart":1000,"timestamp":"2026-11-22T12:26:03.269Z"}]','[3,"db02e8e3-7980-441a-aee4-c7cf44a7040d",{"transactionId":757362,"idTagInfo":{"status":"Accepted"}}]',NULL,X'8C5DEF36A07A64E9');
INSERT INTO "exchange" VALUES(21,1,4918091,1795350363291,1,1,0,'StatusNotification','bb61ef94-3be1-4080-8c72-caa4fc86a3c9','1.6',1,1,20,20,NULL,'[2,"bb61ef94-3be1-4080-8c72-caa4fc86a3c9","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-22T12:26:03.269Z"}]','[3,"bb61ef94-3be1-4080-8c72-caa4fc86a3c9",{}]',NULL,X'0E7B5977BD6658F5');
INSERT INTO "exchange" VALUES(22,1,4918099,1795350363300,1,6,0,'StartTransaction','228c48ab-bd6b-454e-970c-ecdd2995e32b','1.6',NULL,1,21,21,20,'[3,"228c48ab-bd6b-454e-970c-ecdd2995e32b",{"transactionId":1,"idTagInfo":{"status":"Accepted"}}]',NULL,'{"sent_ms":1795350363296}',X'B4DA60BC7A69329B');
INSERT INTO "exchange" VALUES(23,1,4918100,1795350363301,1,1,1,'MeterValues','0a6f1e3f-d206-4e79-9cdd-25ac168f5dfd','1.6',1,1,22,22,NULL,'[2,"0a6f1e3f-d206-4e79-9cdd-25ac168f5dfd","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-11-22T12:26:03.290Z","sampledValue":[{"value":"1000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":757362}]','[3,"0a6f1e3f-d206-4e79-9cdd-25ac168f5dfd",{}]',NULL,X'13B15B75BD73F02A');
INSERT INTO "exchange" VALUES(24,1,4918108,1795350363309,1,1,1,'StopTransaction','6b91d9d3-283a-4aea-8659-b04aa6f084a7','1.6',1,1,23,23,NULL,'[2,"6b91d9d3-283a-4aea-8659-b04aa6f084a7","StopTransaction",{"meterStop":1000,"timestamp":"2026-11-22T12:26:03.307Z","transactionId":757362,"reason":"Local","idTag":"TAG-1"}]','[3,"6b91d9d3-283a-4aea-8659-b04aa6f084a7",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'35924F54C90689EF');
INSERT INTO "exchange" VALUES(25,1,4918113,1795350363313,1,6,0,'MeterValues','958b33c1-ad40-4921-a1d8-f16701f2431f','1.6',NULL,1,24,24,23,'[3,"958b33c1-ad40-4921-a1d8-f16701f2431f",{}]',NULL,'{"sent_ms":1795350363309}',X'83CB66B28ACCC10C');
INSERT INTO "exchange" VALUES(26,1,4918114,1795350363314,1,1,0,'StatusNotification','11179b11-48b1-4b60-b5c1-9a7e8a973e35','1.6',1,NULL,NULL,25,NULL,'[2,"11179b11-48b1-4b60-b5c1-9a7e8a973e35","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-22T12:26:03.308Z"}]','[3,"11179b11-48b1-4b60-b5c1-9a7e8a973e35",{}]',NULL,X'5AB5750BEC60B47C');
INSERT INTO "exchange" VALUES(27,1,4918119,1795350363320,1,6,0,'StopTransaction','701331c8-ec21-454f-8461-cda0aaf0426c','1.6',NULL,1,25,26,24,'[3,"701331c8-ec21-454f-8461-cda0aaf0426c",{"idTagInfo":{"status":"Accepted"}}]',NULL,'{"sent_ms":1795350363318}',X'0E00D3B5D55D5E33');
INSERT INTO "exchange" VALUES(28,1,4918120,1795350363320,1,1,0,'StatusNotification','af2617b4-6213-445d-a7d7-34d8accbd8c6','1.6',1,NULL,NULL,27,NULL,'[2,"af2617b4-6213-445d-a7d7-34d8accbd8c6","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:03.308Z"}]','[3,"af2617b4-6213-445d-a7d7-34d8accbd8c6",{}]',NULL,X'7877779D5E8823A1');
INSERT INTO "exchange" VALUES(29,1,4918118,1795350363319,0,2,0,'ChangeConfiguration','cc244b0b-5eaf-42ba-a646-c59328a4e467',NULL,NULL,NULL,NULL,16,NULL,'[2,"cc244b0b-5eaf-42ba-a646-c59328a4e467","ChangeConfiguration",{"key":"TransactionMessageAttempts","value":"1"}]','[3,"cc244b0b-5eaf-42ba-a646-c59328a4e467",{"status":"Accepted"}]',NULL,X'C926F59C76420772');
INSERT INTO "exchange" VALUES(30,1,4918126,1795350363326,2,1,0,'StatusNotification','13105bfb-4b4b-4bf8-ae80-1c42349dc418','1.6',3,NULL,NULL,15,NULL,'[2,"13105bfb-4b4b-4bf8-ae80-1c42349dc418","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-22T12:26:03.326Z"}]','[3,"13105bfb-4b4b-4bf8-ae80-1c42349dc418",{}]',NULL,X'26BFBF88135C0AC6');
INSERT INTO "exchange" VALUES(31,1,4918132,1795350363333,2,1,0,'Authorize','4a02e2ef-4e71-4abd-a14a-a0422c98cf54','1.6',NULL,NULL,NULL,30,NULL,'[2,"4a02e2ef-4e71-4abd-a14a-a0422c98cf54","Authorize",{"idTag":"TAG-2"}]','[3,"4a02e2ef-4e71-4abd-a14a-a0422c98cf54",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'88F74F3A2AE78FB2');
INSERT INTO "exchange" VALUES(32,1,4918135,1795350363335,2,1,1,'StartTransaction','f8f449fd-9d50-4e66-91cd-41c3e41c3df9','1.6',3,2,NULL,31,NULL,'[2,"f8f449fd-9d50-4e66-91cd-41c3e41c3df9","StartTransaction",{"connectorId":1,"idTag":"TAG-2","meterStart":1000,"timestamp":"2026-11-22T12:26:03.334Z"}]','[3,"f8f449fd-9d50-4e66-91cd-41c3e41c3df9",{"transactionId":757363,"idTagInfo":{"status":"Accepted"}}]',NULL,X'C60F24052000E146');
INSERT INTO "exchange" VALUES(33,1,4918141,1795350363342,2,1,0,'StatusNotification','44984f8c-df7b-4d38-8e01-773ff6eac181','1.6',3,2,32,32,NULL,'[2,"44984f8c-df7b-4d38-8e01-773ff6eac181","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-22T12:26:03.334Z"}]','[3,"44984f8c-df7b-4d38-8e01-773ff6eac181",{}]',NULL,X'DF4A51FC6E043F21');
INSERT INTO "exchange" VALUES(34,1,4918165,1795350363365,2,6,0,'StartTransaction','3b4b7ee9-f7e8-4541-98b7-325c310e622a','1.6',NULL,2,33,33,32,'[3,"3b4b7ee9-f7e8-4541-98b7-325c310e622a",{"transactionId":2,"idTagInfo":{"status":"Accepted"}}]',NULL,'{"sent_ms":1795350363357}',X'4998233E52834F36');
INSERT INTO "exchange" VALUES(35,1,4918166,1795350363367,2,1,1,'MeterValues','a63e90f3-1f25-4cec-b89b-b94a0ca237e1','1.6',3,2,34,34,NULL,'[2,"a63e90f3-1f25-4cec-b89b-b94a0ca237e1","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-11-22T12:26:03.341Z","sampledValue":[{"value":"1000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":757363}]','[3,"a63e90f3-1f25-4cec-b89b-b94a0ca237e1",{}]',NULL,X'2C0587878FA90F21');
INSERT INTO "exchange" VALUES(36,1,4918172,1795350363373,2,1,1,'StopTransaction','53d2ec3d-acae-45cf-b5f3-a310fc670943','1.6',3,2,35,35,NULL,'[2,"53d2ec3d-acae-45cf-b5f3-a310fc670943","StopTransaction",{"meterStop":1000,"timestamp":"2026-11-22T12:26:03.372Z","transactionId":757363,"reason":"Local","idTag":"TAG-2"}]','[3,"53d2ec3d-acae-45cf-b5f3-a310fc670943",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'9FC2C21F420CEB32');
INSERT INTO "exchange" VALUES(37,1,4918181,1795350363382,2,6,0,'MeterValues','90b2cd77-7c97-41fc-ab35-310b422c984f','1.6',NULL,2,36,36,35,'[3,"90b2cd77-7c97-41fc-ab35-310b422c984f",{}]',NULL,'{"sent_ms":1795350363374}',X'258697C456343E6B');
INSERT INTO "exchange" VALUES(38,1,4918182,1795350363383,2,1,0,'StatusNotification','5e72fd34-7fa3-4e79-ade0-88a4b6a14a1f','1.6',3,NULL,NULL,37,NULL,'[2,"5e72fd34-7fa3-4e79-ade0-88a4b6a14a1f","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-22T12:26:03.372Z"}]','[3,"5e72fd34-7fa3-4e79-ade0-88a4b6a14a1f",{}]',NULL,X'7E0F9FB2EB63BA67');
INSERT INTO "exchange" VALUES(39,1,4918190,1795350363391,2,6,0,'StopTransaction','d4f50ec9-652e-48cb-bc66-a83716a9b8a3','1.6',NULL,2,37,38,36,'[4,"d4f50ec9-652e-48cb-bc66-a83716a9b8a3","PropertyConstraintViolation","refused by the test",{}]',NULL,'{"sent_ms":1795350363390}',X'986046755575FAF8');
INSERT INTO "exchange" VALUES(40,1,4918191,1795350363392,2,1,0,'StatusNotification','3a7df717-80a5-4207-ac22-ae6a6162f1cf','1.6',3,NULL,NULL,39,NULL,'[2,"3a7df717-80a5-4207-ac22-ae6a6162f1cf","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:03.372Z"}]','[3,"3a7df717-80a5-4207-ac22-ae6a6162f1cf",{}]',NULL,X'75A9A0809976E46C');
INSERT INTO "exchange" VALUES(41,1,4918264,1795350363465,0,7,0,NULL,NULL,NULL,NULL,NULL,NULL,29,NULL,'{"uplink":"offline"}',NULL,NULL,X'27292B3B434FB46A');
INSERT INTO "exchange" VALUES(42,1,4919266,1795350364467,1,1,0,'StatusNotification','12c8f577-dfec-4a98-af01-94e895b76e6d','1.6',2,NULL,NULL,28,NULL,'[2,"12c8f577-dfec-4a98-af01-94e895b76e6d","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-22T12:26:04.466Z"}]','[3,"12c8f577-dfec-4a98-af01-94e895b76e6d",{}]',NULL,X'05CE0A906DD711C3');
INSERT INTO "exchange" VALUES(43,1,4919270,1795350364471,1,1,0,'Authorize','a34d461f-85dc-4b9e-9128-621a17e78b78','1.6',NULL,NULL,NULL,42,NULL,'[2,"a34d461f-85dc-4b9e-9128-621a17e78b78","Authorize",{"idTag":"TAG-3"}]','[3,"a34d461f-85dc-4b9e-9128-621a17e78b78",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'82D5A9CD19E59BBD');
INSERT INTO "exchange" VALUES(44,1,4919271,1795350364472,1,1,1,'StartTransaction','62cd1df4-476e-46c5-8bc0-e3afdc982e14','1.6',2,3,NULL,43,NULL,'[2,"62cd1df4-476e-46c5-8bc0-e3afdc982e14","StartTransaction",{"connectorId":2,"idTag":"TAG-3","meterStart":2000,"timestamp":"2026-11-22T12:26:04.471Z"}]','[3,"62cd1df4-476e-46c5-8bc0-e3afdc982e14",{"transactionId":757364,"idTagInfo":{"status":"Accepted"}}]',NULL,X'9EC61B1D91453E01');
INSERT INTO "exchange" VALUES(45,1,4919275,1795350364476,1,1,0,'StatusNotification','b47db25e-c54e-44ce-b661-f473637dea42','1.6',2,3,44,44,NULL,'[2,"b47db25e-c54e-44ce-b661-f473637dea42","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-22T12:26:04.471Z"}]','[3,"b47db25e-c54e-44ce-b661-f473637dea42",{}]',NULL,X'F95D6D30AB87FDE5');
INSERT INTO "exchange" VALUES(46,1,4919279,1795350364480,1,1,1,'MeterValues','45c3fec2-1102-4f65-8ffb-fcd849f5910f','1.6',2,3,45,45,NULL,'[2,"45c3fec2-1102-4f65-8ffb-fcd849f5910f","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-22T12:26:04.475Z","sampledValue":[{"value":"2000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":757364}]','[3,"45c3fec2-1102-4f65-8ffb-fcd849f5910f",{}]',NULL,X'B054F61A7DDDE85A');
INSERT INTO "exchange" VALUES(47,1,4919282,1795350364483,1,1,1,'StopTransaction','6f44270d-ce43-4aa1-bf81-0f745d1956a0','1.6',2,3,46,46,NULL,'[2,"6f44270d-ce43-4aa1-bf81-0f745d1956a0","StopTransaction",{"meterStop":2000,"timestamp":"2026-11-22T12:26:04.482Z","transactionId":757364,"reason":"Local","idTag":"TAG-3"}]','[3,"6f44270d-ce43-4aa1-bf81-0f745d1956a0",{}]',NULL,X'4710F36B1D72F76F');
INSERT INTO "exchange" VALUES(48,1,4919285,1795350364485,1,1,0,'StatusNotification','fbc51008-4561-4b44-8c87-353e4c33f71b','1.6',2,NULL,NULL,47,NULL,'[2,"fbc51008-4561-4b44-8c87-353e4c33f71b","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-22T12:26:04.482Z"}]','[3,"fbc51008-4561-4b44-8c87-353e4c33f71b",{}]',NULL,X'92769C512B077F71');
INSERT INTO "exchange" VALUES(49,1,4919285,1795350364485,2,1,0,'StatusNotification','f2bfc4c4-173f-4b4f-bf66-72a9bf7c9185','1.6',4,NULL,NULL,40,NULL,'[2,"f2bfc4c4-173f-4b4f-bf66-72a9bf7c9185","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-22T12:26:04.484Z"}]','[3,"f2bfc4c4-173f-4b4f-bf66-72a9bf7c9185",{}]',NULL,X'6F973A2E25D6CF5E');
INSERT INTO "exchange" VALUES(50,1,4919289,1795350364490,1,1,0,'StatusNotification','4cdb3547-0aa6-4b44-8139-9ddc1d5322c8','1.6',2,NULL,NULL,48,NULL,'[2,"4cdb3547-0aa6-4b44-8139-9ddc1d5322c8","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-22T12:26:04.482Z"}]','[3,"4cdb3547-0aa6-4b44-8139-9ddc1d5322c8",{}]',NULL,X'8F5C06B28F3DC67F');
INSERT INTO "exchange" VALUES(51,1,4919292,1795350364493,2,1,0,'Authorize','d7acc401-57d1-408b-ae2e-313fdfd22d63','1.6',NULL,NULL,NULL,49,NULL,'[2,"d7acc401-57d1-408b-ae2e-313fdfd22d63","Authorize",{"idTag":"TAG-4"}]','[3,"d7acc401-57d1-408b-ae2e-313fdfd22d63",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'604C9AB944343372');
INSERT INTO "exchange" VALUES(52,1,4919295,1795350364496,2,1,1,'StartTransaction','78bb2e8e-c936-4802-9b8b-0533e7c035a5','1.6',4,4,NULL,51,NULL,'[2,"78bb2e8e-c936-4802-9b8b-0533e7c035a5","StartTransaction",{"connectorId":2,"idTag":"TAG-4","meterStart":2000,"timestamp":"2026-11-22T12:26:04.495Z"}]','[3,"78bb2e8e-c936-4802-9b8b-0533e7c035a5",{"transactionId":757365,"idTagInfo":{"status":"Accepted"}}]',NULL,X'C5EE3603CF40CA12');
INSERT INTO "exchange" VALUES(53,1,4919303,1795350364504,2,1,0,'StatusNotification','8893547b-ae33-491c-b8d9-f703c7b72a4c','1.6',4,4,52,52,NULL,'[2,"8893547b-ae33-491c-b8d9-f703c7b72a4c","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-22T12:26:04.495Z"}]','[3,"8893547b-ae33-491c-b8d9-f703c7b72a4c",{}]',NULL,X'B52665BD8DFADF2E');
INSERT INTO "exchange" VALUES(54,1,4919307,1795350364507,2,1,1,'MeterValues','00b42655-7136-44a0-bbd4-73524520debe','1.6',4,4,53,53,NULL,'[2,"00b42655-7136-44a0-bbd4-73524520debe","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-22T12:26:04.503Z","sampledValue":[{"value":"2000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":757365}]','[3,"00b42655-7136-44a0-bbd4-73524520debe",{}]',NULL,X'5C45255F790F0B63');
CREATE TABLE gap (                       -- edge/store/gaps.py
  seq INTEGER PRIMARY KEY,               -- of the row that was removed
  prev_tx INTEGER, prev_peer INTEGER,    -- where its chains go on; NULL: nothing older is left
  referrers INTEGER NOT NULL,            -- 1: the next of its transaction, 2: the next of its charger, 3: both
  digest BLOB NOT NULL                   -- the removed row's, over which the next one's goes
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
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('checked_wall_ms',1795350363178);
INSERT INTO "meta" VALUES('counter:charger_tx',757365);
INSERT INTO "meta" VALUES('counter:session',4);
INSERT INTO "meta" VALUES('last_wall_ms',1795350363147);
INSERT INTO "meta" VALUES('min_reader',1);
INSERT INTO "meta" VALUES('settled_seq',40);
INSERT INTO "meta" VALUES('station:HeartbeatInterval','120');
INSERT INTO "meta" VALUES('station:TransactionMessageAttempts','1');
INSERT INTO "meta" VALUES('station_last_seq',29);
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
INSERT INTO "token" VALUES('tag-1','cache','TAG-1','Accepted',NULL,NULL,1795350363320);
INSERT INTO "token" VALUES('tag-2','cache','TAG-2','Accepted',NULL,NULL,1795350363365);
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
, thinned INTEGER NOT NULL DEFAULT 0, forget_wall_ms INTEGER, dropped_seq INTEGER, dropped_rows INTEGER NOT NULL DEFAULT 0, stop_seq INTEGER) STRICT;
INSERT INTO "tx" VALUES(1,'transaction',1,1,'757362',X'0728FE357F92A8B12B0F949342B1A66E','TAG-1','ended',20,27,3,24,3,NULL,0,1,'1',1795350363269,1795350363307,1000,1000,'Local',0,0,'Accepted','cache',1795350363270,'Accepted',1795350363300,0,NULL,NULL,0,24);
INSERT INTO "tx" VALUES(2,'transaction',2,3,'757363',X'4351F8E04762DC0BF5AA2E13A92E78A4','TAG-2','ended',32,39,3,35,2,36,0,1,'2',1795350363334,1795350363372,1000,1000,'Local',0,0,'Accepted','cache',1795350363335,'Accepted',1795350363365,0,NULL,NULL,0,36);
INSERT INTO "tx" VALUES(3,'transaction',1,2,'757364',X'66A2A2EE1C07584384F96E9E9407C280','TAG-3','ended',44,0,0,0,0,NULL,1,NULL,NULL,1795350364471,1795350364482,2000,2000,'Local',0,1,'Accepted','policy',1795350364472,NULL,NULL,0,NULL,NULL,0,47);
INSERT INTO "tx" VALUES(4,'transaction',2,4,'757365',X'284C5F7605FC61A5C60D604E6ED1F443','TAG-4','open',52,0,0,0,0,NULL,1,NULL,NULL,1795350364495,NULL,2000,NULL,NULL,0,1,'Accepted','policy',1795350364496,NULL,NULL,0,NULL,NULL,0,NULL);
CREATE TABLE uplink_epoch (              -- what the learned transaction ids belong to (architecture, law 9)
  epoch_no INTEGER PRIMARY KEY,
  station_no INTEGER NOT NULL DEFAULT 1,
  identity TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  version TEXT NOT NULL,
  opened_seq INTEGER NOT NULL,
  closed_seq INTEGER
) STRICT;
INSERT INTO "uplink_epoch" VALUES(1,1,'depot-7','ws://127.0.0.1:35385/ocpp','1.6',0,NULL);
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
