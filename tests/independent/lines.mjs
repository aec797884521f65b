// The test's side of a program here: a JSON object a line, commands on stdin, events on stdout.
// Each command gets exactly one `done` or `failed` with its number. When stdin ends, whoever started us is gone.

import { createInterface } from "node:readline";

export const options = JSON.parse(process.argv[2] ?? "{}");

export function tell(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

export function obey(commands) {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const { number, command, ...given } = JSON.parse(line);
    try {
      tell("done", { number, result: (await commands[command](given)) ?? null });
    } catch (error) {
      tell("failed", { number, code: error.rpcErrorCode ?? null, message: error.message });
    }
  });
  lines.on("close", () => process.exit(0));
}

// Every frame as it was on the wire, and everything with which the stack is not content. `raw` holds the ids of CALLs
// that were sent past the stack: it does not know them, so it cannot but complain about their answers.
export function watch(peer, identity, raw = new Set()) {
  peer.on("message", ({ message, outbound }) => {
    tell("frame", { identity, direction: outbound ? "out" : "in", text: message.toString() });
  });
  peer.on("strictValidationFailure", ({ method, outbound, isCall, error }) => {
    const what = `${isCall ? "CALL" : "CALLRESULT"} ${method} ${outbound ? "sent" : "received"}`;
    tell("violation", { identity, message: `${what}: ${error.message}` });
  });
  peer.on("badMessage", ({ buffer, error }) => {
    if (!raw.has(messageId(buffer))) tell("violation", { identity, message: `${error.message}: ${buffer}` });
  });
}

function messageId(text) {
  try {
    return JSON.parse(text)[1];
  } catch {
    return undefined;
  }
}
