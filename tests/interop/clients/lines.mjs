// How a client of these tests talks with them: a JSON object a line, commands in and reports out.
// Bytes stand as {"bytes": "<hexadecimal>"}.
import { createInterface } from "node:readline";

// What the procedure `refuse` answers with.
export const REFUSAL = {
  uri: "com.example.error.refused",
  args: ["no", 42],
  kwargs: { because: "I say so" },
};

/** Report something to the test. */
export function say(report) {
  process.stdout.write(`${JSON.stringify(asJson(report))}\n`);
}

/**
 * Carry out commands until there are no more.
 * perform: from a command to a promise of its result, rejected with {uri, args, kwargs} when it is refused.
 * leave: called at the end.
 */
export async function obey(perform, leave) {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    // Not awaited: the answer of one may depend on the next.
    answer(command, perform).then(say);
  }
  await leave();
}

/** Carry out one command and return the report of it. */
export async function answer(command, perform) {
  try {
    return { answer: command.id, result: await perform(command) };
  } catch (error) {
    if (error.uri === undefined) throw error;
    return { answer: command.id, error };
  }
}

function asJson(value) {
  // msgpackr reads what was written in 64 bits so, safe or not.
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(asJson);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, asJson(part)]));
}
