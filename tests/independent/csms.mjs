// A cloud on ocpp-rpc: accepts stations, answers what 1.6 lets a station send, strictly by the schemas.
// Options: firstTransactionId, tokens (idTag → status; all others are accepted). It can `leave`, as a dead machine does,
// and `comeBack` on the same port: it listens on an address that no other process uses.

import { RPCServer, createRPCError } from "ocpp-rpc";
import { obey, options, tell, watch } from "./lines.mjs";

// All of 127/8 is loopback, and Linux counts processes up to 2^22: an address of our own, so that nobody takes the port
// while we are away.
const { pid } = process;
const host = `127.${64 + (pid >> 16)}.${(pid >> 8) & 255}.${pid & 255}`;
const stations = new Map();
const raw = new Set();
let port = 0;
let server;
let listener;
let transactions = options.firstTransactionId ?? 1;

const now = () => new Date().toISOString();
const verdict = (idTag) => ({ status: options.tokens?.[idTag] ?? "Accepted" });

const answers = {
  BootNotification: () => ({ currentTime: now(), interval: 300, status: "Accepted" }),
  Heartbeat: () => ({ currentTime: now() }),
  StatusNotification: () => ({}),
  Authorize: ({ idTag }) => ({ idTagInfo: verdict(idTag) }),
  StartTransaction({ idTag }) {
    const transactionId = transactions;
    transactions += 1;
    return { transactionId, idTagInfo: verdict(idTag) };
  },
  MeterValues: () => ({}),
  StopTransaction: ({ idTag }) => (idTag === undefined ? {} : { idTagInfo: verdict(idTag) }),
  DataTransfer: () => ({ status: "UnknownVendorId" }),
};

function receive(station) {
  const { identity } = station;
  watch(station, identity, raw);
  station.on("disconnect", () => {
    if (stations.get(identity) === station) stations.delete(identity);
    tell("disconnected", { identity });
  });
  for (const [action, answer] of Object.entries(answers)) station.handle(action, ({ params }) => answer(params));
  station.handle(({ method }) => {
    throw createRPCError("NotImplemented", `${method} is not for a station to send`);
  });
  stations.set(identity, station);
}

async function listen() {
  server = new RPCServer({ protocols: ["ocpp1.6"], strictMode: true, callTimeoutMs: 30_000 });
  server.auth((accept, reject, handshake) => {
    tell("connected", { identity: handshake.identity, password: handshake.password?.toString("hex") ?? null });
    accept();
  });
  server.on("client", receive);
  listener = await server.listen(port, host);
  port = listener.address().port;
}

function stationOf(identity) {
  const station = stations.get(identity);
  if (station === undefined) throw new Error(`${identity} is not connected`);
  return station;
}

obey({
  call: ({ identity, action, payload }) => stationOf(identity).call(action, payload),
  raw({ identity, messageId, text }) {
    raw.add(messageId);
    stationOf(identity).sendRaw(text);
  },
  async leave() {
    const closed = new Promise((done) => listener.once("close", done));
    await server.close({ force: true });
    await closed;
  },
  comeBack: () => listen(),
});
await listen();
tell("ready", { url: `ws://${host}:${port}/ocpp` });
