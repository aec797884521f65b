// A charger on ocpp-rpc: it obeys its driver (commands on stdin) and the controller (CALLs), strictly by the schemas.
// Options: url, identity, connectors, password (hexadecimal), counts (message ids are 1, 2, 3, … instead of random).

import crypto from "node:crypto";
import { obey, options, tell, watch } from "./lines.mjs";

if (options.counts) {
  let last = 0;
  crypto.randomUUID = () => String((last += 1)); // before ocpp-rpc takes it
}
const { RPCClient, createRPCError } = await import("ocpp-rpc");

const SAMPLE = { context: "Sample.Periodic", measurand: "Energy.Active.Import.Register", unit: "Wh" };
const outlets = new Map();
for (let number = 1; number <= (options.connectors ?? 2); number += 1) {
  outlets.set(number, { number, status: "Available", registerWh: 1000 * number, transactionId: null });
}
const keys = new Map([
  ["HeartbeatInterval", { readonly: false, value: "900" }],
  ["MeterValueSampleInterval", { readonly: false, value: "60" }],
  ["NumberOfConnectors", { readonly: true, value: String(outlets.size) }],
  ["SupportedFeatureProfiles", { readonly: true, value: "Core,RemoteTrigger" }],
]);

const client = new RPCClient({
  endpoint: options.url,
  identity: options.identity,
  password: options.password === undefined ? null : Buffer.from(options.password, "hex"),
  protocols: ["ocpp1.6"],
  strictMode: true,
  callTimeoutMs: 10_000,
  backoff: { initialDelay: 100, maxDelay: 500, factor: 2, randomisationFactor: 0.25 },
});
const raw = new Set();
watch(client, options.identity, raw);
client.on("open", () => tell("connected"));
client.on("disconnect", () => tell("disconnected"));

// --- what it says

const now = () => new Date().toISOString();

function boot() {
  return client.call("BootNotification", { chargePointVendor: "Independent", chargePointModel: "Node" });
}

function tellStatus(number) {
  const status = number === 0 ? "Available" : outlets.get(number).status;
  return client.call("StatusNotification", { connectorId: number, errorCode: "NoError", status, timestamp: now() });
}

function become(outlet, status) {
  outlet.status = status;
  return tellStatus(outlet.number);
}

async function tellEverything() {
  const answer = await boot();
  if (answer.status === "Accepted") for (const number of [0, ...outlets.keys()]) await tellStatus(number);
  return answer;
}

async function start(outlet, idTag) {
  const { transactionId, idTagInfo } = await client.call("StartTransaction", {
    connectorId: outlet.number,
    idTag,
    meterStart: outlet.registerWh,
    timestamp: now(),
  });
  outlet.transactionId = transactionId;
  await become(outlet, "Charging");
  return { transactionId, idTagInfo };
}

function sample(outlet, context = SAMPLE.context) {
  const transaction = outlet.transactionId === null ? {} : { transactionId: outlet.transactionId };
  const sampledValue = [{ ...SAMPLE, context, value: String(outlet.registerWh) }];
  const meterValue = [{ timestamp: now(), sampledValue }];
  return client.call("MeterValues", { connectorId: outlet.number, ...transaction, meterValue });
}

async function stop(outlet, reason, idTag) {
  const { transactionId, registerWh: meterStop } = outlet;
  outlet.transactionId = null;
  const token = idTag === undefined ? {} : { idTag };
  await client.call("StopTransaction", { transactionId, meterStop, timestamp: now(), reason, ...token });
  await become(outlet, "Finishing");
  await become(outlet, "Available");
}

// --- what it is asked. What follows from a command is sent after its answer.

const REJECTED = { status: "Rejected" };

function accept(status, then) {
  setImmediate(() => then().catch((error) => tell("violation", { message: `${error.message} after ${status}` })));
  return { status };
}

const obedience = {
  RemoteStartTransaction({ connectorId, idTag }) {
    const outlet = outlets.get(connectorId ?? 1);
    if (outlet === undefined || outlet.transactionId !== null) return REJECTED;
    return accept("Accepted", () => start(outlet, idTag));
  },
  RemoteStopTransaction({ transactionId }) {
    const outlet = [...outlets.values()].find((one) => one.transactionId === transactionId);
    if (outlet === undefined) return REJECTED;
    return accept("Accepted", () => stop(outlet, "Remote"));
  },
  UnlockConnector({ connectorId }) {
    return { status: outlets.has(connectorId) ? "Unlocked" : "NotSupported" };
  },
  ChangeAvailability({ connectorId, type }) {
    const chosen = connectorId === 0 ? [...outlets.values()] : [outlets.get(connectorId)];
    if (chosen.includes(undefined)) return REJECTED;
    const status = type === "Operative" ? "Available" : "Unavailable";
    return accept("Accepted", () => Promise.all(chosen.map((outlet) => become(outlet, status))));
  },
  GetConfiguration({ key }) {
    const wanted = key ?? [...keys.keys()];
    const unknownKey = wanted.filter((name) => !keys.has(name));
    const configurationKey = wanted.filter((name) => keys.has(name)).map((name) => ({ key: name, ...keys.get(name) }));
    return { configurationKey, ...(unknownKey.length > 0 ? { unknownKey } : {}) };
  },
  ChangeConfiguration({ key, value }) {
    if (!keys.has(key)) return { status: "NotSupported" };
    if (keys.get(key).readonly) return REJECTED;
    keys.get(key).value = value;
    return { status: "Accepted" };
  },
  TriggerMessage({ requestedMessage, connectorId }) {
    const outlet = outlets.get(connectorId ?? 1);
    if (outlet === undefined) return REJECTED;
    const messages = {
      BootNotification: boot,
      Heartbeat: () => client.call("Heartbeat", {}),
      MeterValues: () => sample(outlet, "Trigger"),
      StatusNotification: () => tellStatus(outlet.number),
    };
    const then = messages[requestedMessage];
    return then === undefined ? { status: "NotImplemented" } : accept("Accepted", then);
  },
  Reset({ type }) {
    return accept("Accepted", async () => {
      for (const outlet of outlets.values()) if (outlet.transactionId !== null) await stop(outlet, `${type}Reset`);
      await client.close({ code: 1000, reason: "reset" });
      await client.connect();
      await tellEverything();
    });
  },
  ClearCache: () => ({ status: "Accepted" }),
};

for (const [action, answer] of Object.entries(obedience)) client.handle(action, ({ params }) => answer(params));
client.handle(({ method }) => {
  throw createRPCError("NotSupported", `${method} is not supported by this charger`);
});

// --- its driver

obey({
  async connect() {
    await client.connect();
    return tellEverything();
  },
  disconnect: () => client.close({ force: true }),
  plugIn: ({ connector }) => become(outlets.get(connector), "Preparing"),
  authorize: ({ idTag }) => client.call("Authorize", { idTag }),
  start: ({ connector, idTag }) => start(outlets.get(connector), idTag),
  sample({ connector, addWh }) {
    const outlet = outlets.get(connector);
    outlet.registerWh += addWh;
    return sample(outlet);
  },
  stop: ({ connector, reason, idTag }) => stop(outlets.get(connector), reason, idTag),
  call: ({ action, payload }) => client.call(action, payload),
  raw({ messageId, text }) {
    raw.add(messageId);
    client.sendRaw(text);
  },
});
tell("ready");
