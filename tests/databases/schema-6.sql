PRAGMA auto_vacuum = 2;
PRAGMA application_id = 1162102597;
PRAGMA user_version = 6;
BEGIN TRANSACTION;
CREATE TABLE boot (
  boot_no INTEGER PRIMARY KEY,
  started_wall_ms INTEGER NOT NULL,
  started_mono_ms INTEGER NOT NULL,
  trust TEXT NOT NULL,                   -- how far the wall clock could be believed at the start
  sync_offset_ms INTEGER,                -- written once, when the clock becomes trusted
  end_reason TEXT
) STRICT;
INSERT INTO "boot" VALUES(1,1795397218792,51773591,'system',NULL,NULL);
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
, replaced_by INTEGER, own_serial TEXT, other_serial TEXT, other_serial_wall_ms INTEGER, last_seen_wall_ms INTEGER, signs INTEGER, clock_offset_ms INTEGER, clock TEXT) STRICT;
INSERT INTO "charger" VALUES(1,'CP-01','known','file','1.6','Simulated','Two-Outlet',NULL,'1.0.0',1795397218893,2,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795397218891,0,NULL,NULL);
INSERT INTO "charger" VALUES(2,'CP-02','known','file','1.6','Simulated','Two-Outlet',NULL,'1.0.0',1795397218893,2,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795397218891,0,NULL,NULL);
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
INSERT INTO "connector" VALUES(1,1,1,1,1,1,1,1,NULL,'{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-23T01:27:02.134Z"}',1795397222139);
INSERT INTO "connector" VALUES(2,1,2,2,1,2,2,1,NULL,'{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:27:02.102Z"}',1795397222116);
INSERT INTO "connector" VALUES(3,2,1,1,1,3,3,1,NULL,'{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-23T01:27:02.113Z"}',1795397222128);
INSERT INTO "connector" VALUES(4,2,2,2,1,4,4,1,NULL,'{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:26:59.047Z"}',1795397219065);
CREATE TABLE delivery (                  -- only messages whose delivery is not plain: bound, failed or parked
  seq INTEGER PRIMARY KEY,
  state TEXT NOT NULL,                   -- bound | failed | parked
  epoch_no INTEGER,
  bound TEXT,                            -- the payload as it was sent, while the outcome is unknown
  attempts INTEGER NOT NULL DEFAULT 0,
  error_code TEXT, error_description TEXT, error_wall_ms INTEGER
) STRICT;
INSERT INTO "delivery" VALUES(39,'parked',1,'{"meterStop":3000,"timestamp":"2026-11-23T01:26:59.047Z","transactionId":2,"reason":"Local","idTag":"BERTA"}',1,'FormationViolation','refused by the test',1795397219061);
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
INSERT INTO "exchange" VALUES(1,1,51773630,1795397218830,0,7,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"uplink":"offline","why":"the controller has started"}',NULL,NULL,X'F804EC98E5A1A7D2');
INSERT INTO "exchange" VALUES(2,1,51773647,1795397218847,0,7,0,NULL,NULL,NULL,NULL,NULL,NULL,1,1,'{"uplink":"accepted","why":null}',NULL,NULL,X'E47487E051BE1446');
INSERT INTO "exchange" VALUES(3,1,51773690,1795397218891,1,7,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"connection":"opened","detail":"127.0.0.1:37550"}',NULL,NULL,X'A92FF4D1126AD357');
INSERT INTO "exchange" VALUES(4,1,51773691,1795397218892,2,7,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"connection":"opened","detail":"127.0.0.1:37562"}',NULL,NULL,X'E7538741576D2092');
INSERT INTO "exchange" VALUES(5,1,51773692,1795397218893,1,1,0,'BootNotification','92b302ba-f87e-4b52-9a4e-a6f78e365616','1.6',NULL,NULL,NULL,3,NULL,'[2,"92b302ba-f87e-4b52-9a4e-a6f78e365616","BootNotification",{"chargePointModel":"Two-Outlet","chargePointVendor":"Simulated","firmwareVersion":"1.0.0"}]','[3,"92b302ba-f87e-4b52-9a4e-a6f78e365616",{"status":"Accepted","currentTime":"2026-11-23T01:26:58.892Z","interval":300}]',NULL,X'BEE395E4501E84C3');
INSERT INTO "exchange" VALUES(6,1,51773692,1795397218893,2,1,0,'BootNotification','889ee14c-f66a-4838-8e7a-3b14d261ef16','1.6',NULL,NULL,NULL,4,NULL,'[2,"889ee14c-f66a-4838-8e7a-3b14d261ef16","BootNotification",{"chargePointModel":"Two-Outlet","chargePointVendor":"Simulated","firmwareVersion":"1.0.0"}]','[3,"889ee14c-f66a-4838-8e7a-3b14d261ef16",{"status":"Accepted","currentTime":"2026-11-23T01:26:58.892Z","interval":300}]',NULL,X'7D74AEC931BF5B4A');
INSERT INTO "exchange" VALUES(7,1,51773710,1795397218911,1,1,0,'StatusNotification','247da861-001b-4d0c-8ac3-bb9486c900bb','1.6',NULL,NULL,NULL,5,NULL,'[2,"247da861-001b-4d0c-8ac3-bb9486c900bb","StatusNotification",{"connectorId":0,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:26:58.909Z"}]','[3,"247da861-001b-4d0c-8ac3-bb9486c900bb",{}]',NULL,X'4E5BBC01603AC710');
INSERT INTO "exchange" VALUES(8,1,51773712,1795397218913,2,1,0,'StatusNotification','fcac736f-7962-47c4-9afd-e5a2e3d591c9','1.6',NULL,NULL,NULL,6,NULL,'[2,"fcac736f-7962-47c4-9afd-e5a2e3d591c9","StatusNotification",{"connectorId":0,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:26:58.911Z"}]','[3,"fcac736f-7962-47c4-9afd-e5a2e3d591c9",{}]',NULL,X'BC5A91BC4DF59864');
INSERT INTO "exchange" VALUES(9,1,51773721,1795397218921,1,3,0,'GetConfiguration','116aa5b3-0611-4b3a-874b-71c5acd6c7d3','1.6',NULL,NULL,NULL,7,NULL,'[2,"116aa5b3-0611-4b3a-874b-71c5acd6c7d3","GetConfiguration",{"key":["HeartbeatInterval","MeterValueSampleInterval","NumberOfConnectors","GetConfigurationMaxKeys"]}]','[3,"116aa5b3-0611-4b3a-874b-71c5acd6c7d3",{"configurationKey":[{"key":"HeartbeatInterval","readonly":false,"value":"300"},{"key":"MeterValueSampleInterval","readonly":false,"value":"0"},{"key":"NumberOfConnectors","readonly":true,"value":"2"},{"key":"GetConfigurationMaxKeys","readonly":true,"value":"50"}]}]',NULL,X'D1637F873E1C0AE6');
INSERT INTO "exchange" VALUES(10,1,51773723,1795397218923,2,3,0,'GetConfiguration','2607b079-8584-4934-abe7-4eafdbc3f106','1.6',NULL,NULL,NULL,8,NULL,'[2,"2607b079-8584-4934-abe7-4eafdbc3f106","GetConfiguration",{"key":["HeartbeatInterval","MeterValueSampleInterval","NumberOfConnectors","GetConfigurationMaxKeys"]}]','[3,"2607b079-8584-4934-abe7-4eafdbc3f106",{"configurationKey":[{"key":"HeartbeatInterval","readonly":false,"value":"300"},{"key":"MeterValueSampleInterval","readonly":false,"value":"0"},{"key":"NumberOfConnectors","readonly":true,"value":"2"},{"key":"GetConfigurationMaxKeys","readonly":true,"value":"50"}]}]',NULL,X'F826E4D7435236D8');
INSERT INTO "exchange" VALUES(11,1,51773723,1795397218924,1,1,0,'StatusNotification','0064014e-4d6d-467a-a556-1d09f3ee85a4','1.6',1,NULL,NULL,9,NULL,'[2,"0064014e-4d6d-467a-a556-1d09f3ee85a4","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:26:58.922Z"}]','[3,"0064014e-4d6d-467a-a556-1d09f3ee85a4",{}]',NULL,X'55955CBE715B800D');
INSERT INTO "exchange" VALUES(12,1,51773727,1795397218928,1,3,0,'ChangeConfiguration','a8533376-f152-4cd0-87bc-3a35368e7969','1.6',NULL,NULL,NULL,11,NULL,'[2,"a8533376-f152-4cd0-87bc-3a35368e7969","ChangeConfiguration",{"key":"MeterValueSampleInterval","value":"30"}]','[3,"a8533376-f152-4cd0-87bc-3a35368e7969",{"status":"Accepted"}]',NULL,X'EED4216EC2E0833D');
INSERT INTO "exchange" VALUES(13,1,51773727,1795397218928,2,3,0,'ChangeConfiguration','c012c03b-0c3e-4173-a773-743a2ae952e1','1.6',NULL,NULL,NULL,10,NULL,'[2,"c012c03b-0c3e-4173-a773-743a2ae952e1","ChangeConfiguration",{"key":"MeterValueSampleInterval","value":"30"}]','[3,"c012c03b-0c3e-4173-a773-743a2ae952e1",{"status":"Accepted"}]',NULL,X'6E7A04573378C52C');
INSERT INTO "exchange" VALUES(14,1,51773728,1795397218929,2,1,0,'StatusNotification','d5e35443-7cb8-443b-97e7-8ba97d3f08d4','1.6',3,NULL,NULL,13,NULL,'[2,"d5e35443-7cb8-443b-97e7-8ba97d3f08d4","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:26:58.928Z"}]','[3,"d5e35443-7cb8-443b-97e7-8ba97d3f08d4",{}]',NULL,X'BD9A24E6CA822C8E');
INSERT INTO "exchange" VALUES(15,1,51773732,1795397218933,1,1,0,'StatusNotification','c179d895-d294-462c-b0d8-17d20c494b1f','1.6',2,NULL,NULL,12,NULL,'[2,"c179d895-d294-462c-b0d8-17d20c494b1f","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:26:58.932Z"}]','[3,"c179d895-d294-462c-b0d8-17d20c494b1f",{}]',NULL,X'5813B4C0A51B637B');
INSERT INTO "exchange" VALUES(16,1,51773732,1795397218933,2,1,0,'StatusNotification','201d4c1c-135a-4afb-8b99-faecd4c30dca','1.6',4,NULL,NULL,14,NULL,'[2,"201d4c1c-135a-4afb-8b99-faecd4c30dca","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:26:58.932Z"}]','[3,"201d4c1c-135a-4afb-8b99-faecd4c30dca",{}]',NULL,X'0016975408AB51AA');
INSERT INTO "exchange" VALUES(17,1,51773738,1795397218939,0,2,0,'ChangeConfiguration','41fbc7c5-db73-43ae-bd16-32a94d398a6a',NULL,NULL,NULL,NULL,2,NULL,'[2,"41fbc7c5-db73-43ae-bd16-32a94d398a6a","ChangeConfiguration",{"key":"TransactionMessageAttempts","value":"1"}]','[3,"41fbc7c5-db73-43ae-bd16-32a94d398a6a",{"status":"Accepted"}]',NULL,X'E836DAC0D4AF6A71');
INSERT INTO "exchange" VALUES(18,1,51773746,1795397218947,1,1,0,'StatusNotification','ae88a791-e4a4-47b0-b0c1-27c8b9fad671','1.6',1,NULL,NULL,15,NULL,'[2,"ae88a791-e4a4-47b0-b0c1-27c8b9fad671","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-23T01:26:58.946Z"}]','[3,"ae88a791-e4a4-47b0-b0c1-27c8b9fad671",{}]',NULL,X'3EB53DAC1891A259');
INSERT INTO "exchange" VALUES(19,1,51773754,1795397218954,1,1,1,'StartTransaction','877b822f-3792-4e0b-a241-79f7ba382794','1.6',1,1,NULL,18,NULL,'[2,"877b822f-3792-4e0b-a241-79f7ba382794","StartTransaction",{"connectorId":1,"idTag":"ANNA","meterStart":1000,"timestamp":"2026-11-23T01:26:58.946Z"}]',NULL,NULL,X'0C69D5E58F7D0C25');
INSERT INTO "exchange" VALUES(20,1,51773767,1795397218968,1,6,0,'StartTransaction','f42fa687-7e33-4542-a746-e3ad42b39b87','1.6',NULL,1,19,19,19,'[3,"f42fa687-7e33-4542-a746-e3ad42b39b87",{"transactionId":1,"idTagInfo":{"status":"Accepted"}}]',NULL,'{"sent_ms":1795397218963}',X'27EBC83667EB7B63');
INSERT INTO "exchange" VALUES(21,1,51773754,1795397218954,1,4,0,'StartTransaction',NULL,NULL,NULL,1,20,20,19,'{"decision":"accept","status":"Accepted","source":"csms"}','[3,"877b822f-3792-4e0b-a241-79f7ba382794",{"transactionId":294968,"idTagInfo":{"status":"Accepted"}}]',NULL,X'EBD932C549E60FEE');
INSERT INTO "exchange" VALUES(22,1,51773779,1795397218980,1,1,0,'StatusNotification','f339ba41-ddd1-40c0-afa9-7453e7ac4bc6','1.6',1,1,21,21,NULL,'[2,"f339ba41-ddd1-40c0-afa9-7453e7ac4bc6","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-23T01:26:58.946Z"}]','[3,"f339ba41-ddd1-40c0-afa9-7453e7ac4bc6",{}]',NULL,X'B2D8713B34E48CF3');
INSERT INTO "exchange" VALUES(23,1,51773783,1795397218984,1,1,1,'MeterValues','47fe9728-2a27-42e6-a677-7d8c8645fbe6','1.6',1,1,22,22,NULL,'[2,"47fe9728-2a27-42e6-a677-7d8c8645fbe6","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-11-23T01:26:58.978Z","sampledValue":[{"value":"2000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":294968}]','[3,"47fe9728-2a27-42e6-a677-7d8c8645fbe6",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.032 s"}]',X'D29575D68FFB16F8');
INSERT INTO "exchange" VALUES(24,1,51773787,1795397218987,1,1,1,'MeterValues','f99e41e6-6eb0-4fb2-beed-f0adfabb829c','1.6',1,1,23,23,NULL,'[2,"f99e41e6-6eb0-4fb2-beed-f0adfabb829c","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-11-23T01:26:58.986Z","sampledValue":[{"value":"3000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":294968}]','[3,"f99e41e6-6eb0-4fb2-beed-f0adfabb829c",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.008 s"}]',X'97A520DECB4D944B');
INSERT INTO "exchange" VALUES(25,1,51773791,1795397218992,1,6,0,'MeterValues','b58ba7f3-ea31-432a-ba6e-1d123b0203db','1.6',NULL,1,24,24,23,'[3,"b58ba7f3-ea31-432a-ba6e-1d123b0203db",{}]',NULL,'{"sent_ms":1795397218987}',X'411FBC92334D1B06');
INSERT INTO "exchange" VALUES(26,1,51773790,1795397218991,1,1,1,'MeterValues','1bb15690-0170-4bff-83b4-3a8369861c08','1.6',1,1,25,25,NULL,'[2,"1bb15690-0170-4bff-83b4-3a8369861c08","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-11-23T01:26:58.990Z","sampledValue":[{"value":"4000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":294968}]','[3,"1bb15690-0170-4bff-83b4-3a8369861c08",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.004 s"}]',X'D5E46212177A38AD');
INSERT INTO "exchange" VALUES(27,1,51773793,1795397218994,1,6,0,'MeterValues','30196fb7-4736-4f1a-a729-d8e4acbd7f93','1.6',NULL,1,26,26,24,'[3,"30196fb7-4736-4f1a-a729-d8e4acbd7f93",{}]',NULL,'{"sent_ms":1795397218991}',X'82FB918E2FEA6298');
INSERT INTO "exchange" VALUES(28,1,51773793,1795397218994,1,1,1,'StopTransaction','f2cf1f8f-2f7d-4bd7-991a-9ed36e4ca6a3','1.6',1,1,27,27,NULL,'[2,"f2cf1f8f-2f7d-4bd7-991a-9ed36e4ca6a3","StopTransaction",{"meterStop":4000,"timestamp":"2026-11-23T01:26:58.993Z","transactionId":294968,"reason":"Local","idTag":"ANNA"}]','[3,"f2cf1f8f-2f7d-4bd7-991a-9ed36e4ca6a3",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'1A33FA6145F3F5C4');
INSERT INTO "exchange" VALUES(29,1,51773797,1795397218998,1,6,0,'MeterValues','8c1f4b0c-5dc8-4840-a70a-008e10c91f3c','1.6',NULL,1,28,28,26,'[3,"8c1f4b0c-5dc8-4840-a70a-008e10c91f3c",{}]',NULL,'{"sent_ms":1795397218994}',X'EA690687C33CCA07');
INSERT INTO "exchange" VALUES(30,1,51773810,1795397219011,1,1,0,'StatusNotification','8746baae-1da6-4a4d-89fd-5545f803d8b0','1.6',1,1,29,29,NULL,'[2,"8746baae-1da6-4a4d-89fd-5545f803d8b0","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-23T01:26:58.993Z"}]','[3,"8746baae-1da6-4a4d-89fd-5545f803d8b0",{}]',NULL,X'8DC56A6F541E58B5');
INSERT INTO "exchange" VALUES(31,1,51773815,1795397219016,1,6,0,'StopTransaction','26ef696f-c9d5-4ef5-b6d9-68b20b11d252','1.6',NULL,1,30,30,28,'[3,"26ef696f-c9d5-4ef5-b6d9-68b20b11d252",{"idTagInfo":{"status":"Accepted"}}]',NULL,'{"sent_ms":1795397219005}',X'72640A46AD6F1F9A');
INSERT INTO "exchange" VALUES(32,1,51773811,1795397219012,2,1,0,'StatusNotification','d9032b7f-6277-4267-93d1-b4f814042cab','1.6',4,NULL,NULL,16,NULL,'[2,"d9032b7f-6277-4267-93d1-b4f814042cab","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-23T01:26:59.010Z"}]','[3,"d9032b7f-6277-4267-93d1-b4f814042cab",{}]',NULL,X'EB3A3243CB7162BB');
INSERT INTO "exchange" VALUES(33,1,51773825,1795397219026,1,1,0,'StatusNotification','b62132dc-15ce-4f48-bc17-16a38df021ac','1.6',1,1,31,31,NULL,'[2,"b62132dc-15ce-4f48-bc17-16a38df021ac","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:26:58.993Z"}]','[3,"b62132dc-15ce-4f48-bc17-16a38df021ac",{}]',NULL,X'B9FA4D82C3859EEF');
INSERT INTO "exchange" VALUES(34,1,51773826,1795397219027,2,1,1,'StartTransaction','3d730661-bab2-4f6a-bfc9-897a5ca92e95','1.6',4,2,NULL,32,NULL,'[2,"3d730661-bab2-4f6a-bfc9-897a5ca92e95","StartTransaction",{"connectorId":2,"idTag":"BERTA","meterStart":2000,"timestamp":"2026-11-23T01:26:59.010Z"}]',NULL,NULL,X'0B7291D8811C1C7D');
INSERT INTO "exchange" VALUES(35,1,51773838,1795397219039,2,6,0,'StartTransaction','2a0a9869-9161-41fa-9623-8fc39afd02de','1.6',NULL,2,34,34,34,'[3,"2a0a9869-9161-41fa-9623-8fc39afd02de",{"transactionId":2,"idTagInfo":{"status":"Accepted"}}]',NULL,'{"sent_ms":1795397219032}',X'E4ABF93422D90923');
INSERT INTO "exchange" VALUES(36,1,51773826,1795397219027,2,4,0,'StartTransaction',NULL,NULL,NULL,2,35,35,34,'{"decision":"accept","status":"Accepted","source":"csms"}','[3,"3d730661-bab2-4f6a-bfc9-897a5ca92e95",{"transactionId":294969,"idTagInfo":{"status":"Accepted"}}]',NULL,X'641A2D4F715137F6');
INSERT INTO "exchange" VALUES(37,1,51773843,1795397219044,2,1,0,'StatusNotification','1cb8e8d4-3637-46f4-95d1-7d3f45176b4a','1.6',4,2,36,36,NULL,'[2,"1cb8e8d4-3637-46f4-95d1-7d3f45176b4a","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-23T01:26:59.010Z"}]','[3,"1cb8e8d4-3637-46f4-95d1-7d3f45176b4a",{}]',NULL,X'3F2E17C2F9DA2AA9');
INSERT INTO "exchange" VALUES(38,1,51773845,1795397219046,2,1,1,'MeterValues','abbf8350-0caa-4c76-9adc-9e07bed07407','1.6',4,2,37,37,NULL,'[2,"abbf8350-0caa-4c76-9adc-9e07bed07407","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-23T01:26:59.042Z","sampledValue":[{"value":"3000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":294969}]','[3,"abbf8350-0caa-4c76-9adc-9e07bed07407",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.032 s"}]',X'A119E42A4D3F12D7');
INSERT INTO "exchange" VALUES(39,1,51773847,1795397219048,2,1,1,'StopTransaction','2c07ee21-ebe7-4483-925e-b4c889d90246','1.6',4,2,38,38,NULL,'[2,"2c07ee21-ebe7-4483-925e-b4c889d90246","StopTransaction",{"meterStop":3000,"timestamp":"2026-11-23T01:26:59.047Z","transactionId":294969,"reason":"Local","idTag":"BERTA"}]','[3,"2c07ee21-ebe7-4483-925e-b4c889d90246",{"idTagInfo":{"status":"Accepted"}}]',NULL,X'EECC103A3F6FD0AA');
INSERT INTO "exchange" VALUES(40,1,51773857,1795397219058,2,6,0,'MeterValues','627aa5fd-6205-43c4-b865-f29825304280','1.6',NULL,2,39,39,38,'[3,"627aa5fd-6205-43c4-b865-f29825304280",{}]',NULL,'{"sent_ms":1795397219049}',X'189BDDD97F8061EA');
INSERT INTO "exchange" VALUES(41,1,51773858,1795397219059,2,1,0,'StatusNotification','5c0c9291-81b1-4c39-9faf-054c750d5977','1.6',4,2,40,40,NULL,'[2,"5c0c9291-81b1-4c39-9faf-054c750d5977","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-23T01:26:59.047Z"}]','[3,"5c0c9291-81b1-4c39-9faf-054c750d5977",{}]',NULL,X'2C2D52F07AEF1C83');
INSERT INTO "exchange" VALUES(42,1,51773864,1795397219064,2,6,0,'StopTransaction','bf76827f-6a21-463f-84c1-455a9ce8a048','1.6',NULL,2,41,41,39,'[4,"bf76827f-6a21-463f-84c1-455a9ce8a048","FormationViolation","refused by the test",{}]',NULL,'{"sent_ms":1795397219060}',X'2C1D6A30334EF1C8');
INSERT INTO "exchange" VALUES(43,1,51773864,1795397219065,2,1,0,'StatusNotification','c627a94d-116d-4e85-8a64-4c2e9065630c','1.6',4,2,42,42,NULL,'[2,"c627a94d-116d-4e85-8a64-4c2e9065630c","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:26:59.047Z"}]','[3,"c627a94d-116d-4e85-8a64-4c2e9065630c",{}]',NULL,X'E22769EEE2CDFF2E');
INSERT INTO "exchange" VALUES(44,1,51776862,1795397222062,0,7,0,NULL,NULL,NULL,NULL,NULL,NULL,17,2,'{"uplink":"offline","why":"the CSMS closed the connection (code 1001)"}',NULL,NULL,X'7B53D5955077BB31');
INSERT INTO "exchange" VALUES(45,1,51776862,1795397222063,1,1,0,'StatusNotification','b4cf47a3-555f-4ae1-974a-3a26e0aeb597','1.6',2,NULL,NULL,33,NULL,'[2,"b4cf47a3-555f-4ae1-974a-3a26e0aeb597","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-23T01:27:02.062Z"}]','[3,"b4cf47a3-555f-4ae1-974a-3a26e0aeb597",{}]',NULL,X'D14BF8BA2CF77C2D');
INSERT INTO "exchange" VALUES(46,1,51776869,1795397222069,1,1,1,'StartTransaction','de4fcc1c-768b-4456-b97f-73ac07969248','1.6',2,3,NULL,45,NULL,'[2,"de4fcc1c-768b-4456-b97f-73ac07969248","StartTransaction",{"connectorId":2,"idTag":"CARLA","meterStart":2000,"timestamp":"2026-11-23T01:27:02.062Z"}]','[3,"de4fcc1c-768b-4456-b97f-73ac07969248",{"transactionId":294970,"idTagInfo":{"status":"Accepted"}}]',NULL,X'055A6883A208FABB');
INSERT INTO "exchange" VALUES(47,1,51776876,1795397222077,1,1,0,'StatusNotification','bdfe6105-40d7-4baf-a6d7-c24af3d7fc5f','1.6',2,3,46,46,NULL,'[2,"bdfe6105-40d7-4baf-a6d7-c24af3d7fc5f","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-23T01:27:02.062Z"}]','[3,"bdfe6105-40d7-4baf-a6d7-c24af3d7fc5f",{}]',NULL,X'6475E61E348CF448');
INSERT INTO "exchange" VALUES(48,1,51776881,1795397222082,1,1,1,'MeterValues','57c8c5b2-03d8-4703-958f-133ee0689365','1.6',2,3,47,47,NULL,'[2,"57c8c5b2-03d8-4703-958f-133ee0689365","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-23T01:27:02.075Z","sampledValue":[{"value":"3000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":294970}]','[3,"57c8c5b2-03d8-4703-958f-133ee0689365",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.013 s"}]',X'7B8F4F59C3694521');
INSERT INTO "exchange" VALUES(49,1,51776894,1795397222095,1,1,1,'MeterValues','573533fa-35a0-4f05-bdbf-1a797849373d','1.6',2,3,48,48,NULL,'[2,"573533fa-35a0-4f05-bdbf-1a797849373d","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-11-23T01:27:02.093Z","sampledValue":[{"value":"4000","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":294970}]','[3,"573533fa-35a0-4f05-bdbf-1a797849373d",{}]','[{"rule":"register_jumped","message":"1000 Wh in 0.018 s"}]',X'17F349104F572485');
INSERT INTO "exchange" VALUES(50,1,51776904,1795397222105,1,1,1,'StopTransaction','ad9623db-f189-4873-b260-be81655955b0','1.6',2,3,49,49,NULL,'[2,"ad9623db-f189-4873-b260-be81655955b0","StopTransaction",{"meterStop":4000,"timestamp":"2026-11-23T01:27:02.102Z","transactionId":294970,"reason":"Local","idTag":"CARLA"}]','[3,"ad9623db-f189-4873-b260-be81655955b0",{}]',NULL,X'4EFA43262E27EA0F');
INSERT INTO "exchange" VALUES(51,1,51776913,1795397222114,1,1,0,'StatusNotification','8f8e191d-7a5c-4243-a454-731482b165d2','1.6',2,3,50,50,NULL,'[2,"8f8e191d-7a5c-4243-a454-731482b165d2","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Finishing","timestamp":"2026-11-23T01:27:02.102Z"}]','[3,"8f8e191d-7a5c-4243-a454-731482b165d2",{}]',NULL,X'89D997F982364B9E');
INSERT INTO "exchange" VALUES(52,1,51776913,1795397222114,2,1,0,'StatusNotification','d7fbf048-a036-4ee3-ace2-06f4747bf6ec','1.6',3,NULL,NULL,43,NULL,'[2,"d7fbf048-a036-4ee3-ace2-06f4747bf6ec","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-23T01:27:02.113Z"}]','[3,"d7fbf048-a036-4ee3-ace2-06f4747bf6ec",{}]',NULL,X'EB228B798D0E7748');
INSERT INTO "exchange" VALUES(53,1,51776915,1795397222116,1,1,0,'StatusNotification','950fd8d5-b4d3-487c-a44d-f60736990734','1.6',2,3,51,51,NULL,'[2,"950fd8d5-b4d3-487c-a44d-f60736990734","StatusNotification",{"connectorId":2,"errorCode":"NoError","status":"Available","timestamp":"2026-11-23T01:27:02.102Z"}]','[3,"950fd8d5-b4d3-487c-a44d-f60736990734",{}]',NULL,X'131D99A4D141E7D1');
INSERT INTO "exchange" VALUES(54,1,51776917,1795397222118,2,1,1,'StartTransaction','17f8852f-55f1-4baf-875e-a2edb5e249fa','1.6',3,4,NULL,52,NULL,'[2,"17f8852f-55f1-4baf-875e-a2edb5e249fa","StartTransaction",{"connectorId":1,"idTag":"DORA","meterStart":1000,"timestamp":"2026-11-23T01:27:02.113Z"}]','[3,"17f8852f-55f1-4baf-875e-a2edb5e249fa",{"transactionId":294971,"idTagInfo":{"status":"Accepted"}}]',NULL,X'7EABBB555E59DC06');
INSERT INTO "exchange" VALUES(55,1,51776927,1795397222128,2,1,0,'StatusNotification','7172bc25-62c2-4a0a-b867-4ea1c9ddf2ab','1.6',3,4,54,54,NULL,'[2,"7172bc25-62c2-4a0a-b867-4ea1c9ddf2ab","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-23T01:27:02.113Z"}]','[3,"7172bc25-62c2-4a0a-b867-4ea1c9ddf2ab",{}]',NULL,X'EE2F52A4529B802A');
INSERT INTO "exchange" VALUES(56,1,51776933,1795397222133,2,1,1,'MeterValues','1c7cf9bf-210e-4a44-ac23-93c0dfb70376','1.6',3,4,55,55,NULL,'[2,"1c7cf9bf-210e-4a44-ac23-93c0dfb70376","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-11-23T01:27:02.126Z","sampledValue":[{"value":"1500","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":294971}]','[3,"1c7cf9bf-210e-4a44-ac23-93c0dfb70376",{}]','[{"rule":"register_jumped","message":"500 Wh in 0.013 s"}]',X'7DA67BBA9126A248');
INSERT INTO "exchange" VALUES(57,1,51776934,1795397222135,1,1,0,'StatusNotification','a43291df-b400-4613-b9f0-f22b46576f69','1.6',1,NULL,NULL,53,NULL,'[2,"a43291df-b400-4613-b9f0-f22b46576f69","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Preparing","timestamp":"2026-11-23T01:27:02.134Z"}]','[3,"a43291df-b400-4613-b9f0-f22b46576f69",{}]',NULL,X'FF51140DD1E4FC7D');
INSERT INTO "exchange" VALUES(58,1,51776937,1795397222137,1,1,1,'StartTransaction','4c727c64-4bec-4d31-91eb-b6c4d0d495e3','1.6',1,5,NULL,57,NULL,'[2,"4c727c64-4bec-4d31-91eb-b6c4d0d495e3","StartTransaction",{"connectorId":1,"idTag":"EMMA","meterStart":4000,"timestamp":"2026-11-23T01:27:02.134Z"}]','[3,"4c727c64-4bec-4d31-91eb-b6c4d0d495e3",{"transactionId":294972,"idTagInfo":{"status":"Accepted"}}]',NULL,X'9E51F73E1F3019C0');
INSERT INTO "exchange" VALUES(59,1,51776939,1795397222139,1,1,0,'StatusNotification','4799f567-3934-438e-a388-a1836884b505','1.6',1,5,58,58,NULL,'[2,"4799f567-3934-438e-a388-a1836884b505","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"2026-11-23T01:27:02.134Z"}]','[3,"4799f567-3934-438e-a388-a1836884b505",{}]',NULL,X'26685F711E04DDB8');
INSERT INTO "exchange" VALUES(60,1,51776940,1795397222141,1,1,1,'MeterValues','96bfd980-e3e8-446f-8fba-1c9474f7cb01','1.6',1,5,59,59,NULL,'[2,"96bfd980-e3e8-446f-8fba-1c9474f7cb01","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-11-23T01:27:02.138Z","sampledValue":[{"value":"4700","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L1"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L2"},{"value":"16.0","context":"Sample.Periodic","measurand":"Current.Import","unit":"A","phase":"L3"}]}],"transactionId":294972}]','[3,"96bfd980-e3e8-446f-8fba-1c9474f7cb01",{}]','[{"rule":"register_jumped","message":"700 Wh in 0.004 s"}]',X'32DFF9B7BB156D46');
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
INSERT INTO "meta" VALUES('checked_wall_ms',1795397218883);
INSERT INTO "meta" VALUES('counter:charger_tx',294972);
INSERT INTO "meta" VALUES('counter:session',5);
INSERT INTO "meta" VALUES('last_wall_ms',1795397218829);
INSERT INTO "meta" VALUES('min_reader',1);
INSERT INTO "meta" VALUES('settled_seq',2);
INSERT INTO "meta" VALUES('station:TransactionMessageAttempts','1');
INSERT INTO "meta" VALUES('station_last_seq',2);
INSERT INTO "meta" VALUES('uplink_seq',44);
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
INSERT INTO "token" VALUES('anna','cache','ANNA','Accepted',NULL,NULL,1795397219016);
INSERT INTO "token" VALUES('berta','cache','BERTA','Accepted',NULL,NULL,1795397219039);
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
, thinned INTEGER NOT NULL DEFAULT 0, forget_wall_ms INTEGER, dropped_seq INTEGER, dropped_rows INTEGER NOT NULL DEFAULT 0, stop_seq INTEGER, doubt TEXT, end_rule TEXT, continues INTEGER, late_stop_seq INTEGER, contradicted_wall_ms INTEGER, odd_rule TEXT, figures TEXT, clock TEXT, moved_by_ms INTEGER, told_until_ms INTEGER, idle_ms INTEGER) STRICT;
INSERT INTO "tx" VALUES(1,'transaction',1,1,'294968',X'BA7A11D9CACE3A61C68DFEFF5BD4A1C8','ANNA','ended',19,0,0,28,5,NULL,0,1,'1',1795397218946,1795397218993,1000,4000,'Local',0,0,'Accepted','csms',1795397218954,'Accepted',1795397218968,0,NULL,NULL,0,28,NULL,NULL,NULL,NULL,NULL,'register_jumped','{"certain":false,"why_not":"3000 Wh cannot have flowed in 0.047 s, as the times say","rules":[],"said_stop_wh":4000,"found_wh":3000,"upper_wh":null,"is_put_right":false}',NULL,NULL,NULL,NULL);
INSERT INTO "tx" VALUES(2,'transaction',2,4,'294969',X'B12555AE77670E4A7F6518C59BB46E8F','BERTA','ended',34,0,0,38,2,39,0,1,'2',1795397219010,1795397219047,2000,3000,'Local',0,0,'Accepted','csms',1795397219027,'Accepted',1795397219039,0,NULL,NULL,0,39,NULL,NULL,NULL,NULL,NULL,'register_jumped','{"certain":false,"why_not":"1000 Wh cannot have flowed in 0.037 s, as the times say","rules":[],"said_stop_wh":3000,"found_wh":1000,"upper_wh":null,"is_put_right":false}',NULL,NULL,NULL,NULL);
INSERT INTO "tx" VALUES(3,'transaction',1,2,'294970',X'DAF268F29A046CA0D6708DF5F2EB947B','CARLA','ended',46,0,0,0,0,NULL,1,NULL,NULL,1795397222062,1795397222102,2000,4000,'Local',0,1,'Accepted','policy',1795397222069,NULL,NULL,0,NULL,NULL,0,50,NULL,NULL,NULL,NULL,NULL,'register_jumped','{"certain":false,"why_not":"2000 Wh cannot have flowed in 0.04 s, as the times say","rules":[],"said_stop_wh":4000,"found_wh":2000,"upper_wh":null,"is_put_right":false}',NULL,NULL,NULL,NULL);
INSERT INTO "tx" VALUES(4,'transaction',2,3,'294971',X'8FD6606265436BF4AED739FD11657065','DORA','open',54,0,0,0,0,NULL,1,NULL,NULL,1795397222113,NULL,1000,NULL,NULL,0,1,'Accepted','policy',1795397222118,NULL,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,'register_jumped',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tx" VALUES(5,'transaction',1,1,'294972',X'34A355C2030BF77A0CD1300D2ABCEA21','EMMA','open',58,0,0,0,0,NULL,1,NULL,NULL,1795397222134,NULL,4000,NULL,NULL,0,1,'Accepted','policy',1795397222137,NULL,NULL,0,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,'register_jumped',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE uplink_epoch (              -- what the learned transaction ids belong to (architecture, law 9)
  epoch_no INTEGER PRIMARY KEY,
  station_no INTEGER NOT NULL DEFAULT 1,
  identity TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  version TEXT NOT NULL,
  opened_seq INTEGER NOT NULL,
  closed_seq INTEGER
) STRICT;
INSERT INTO "uplink_epoch" VALUES(1,1,'depot-7','ws://127.0.0.1:35723/ocpp','1.6',1,NULL);
CREATE UNIQUE INDEX tx_start_key ON tx (start_key) WHERE start_key IS NOT NULL;
CREATE INDEX tx_charger_id ON tx (charger_no, charger_tx);
CREATE INDEX tx_open ON tx (connector_no) WHERE state = 'open';
CREATE INDEX tx_open_charger ON tx (charger_no) WHERE state = 'open' AND kind = 'transaction';
CREATE INDEX tx_due ON tx (connector_no, begin_seq) WHERE due = 1;
CREATE INDEX tx_parked ON tx (parked_seq) WHERE parked_seq IS NOT NULL;
CREATE INDEX tx_upstream ON tx (epoch_no, upstream_tx) WHERE upstream_tx IS NOT NULL;
CREATE UNIQUE INDEX id_map_down ON id_map (kind, charger_no, downstream_id);
CREATE INDEX tx_emptied ON tx (forget_wall_ms) WHERE forget_wall_ms IS NOT NULL;
CREATE INDEX tx_contradicted ON tx (contradicted_wall_ms) WHERE contradicted_wall_ms IS NOT NULL;
CREATE INDEX tx_connector ON tx (connector_no, tx_no);
CREATE INDEX tx_unaccounted ON tx (tx_no) WHERE state = 'ended' AND idle_ms IS NULL AND kind = 'transaction';
CREATE INDEX tx_continues ON tx (continues) WHERE continues IS NOT NULL;
CREATE INDEX tx_doubted ON tx (tx_no) WHERE doubt IS NOT NULL AND state = 'open';
COMMIT;
