/** Reading values of unknown shape: own properties only, nothing is trusted to have a type. */
import { limits } from './limits';

export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The own property `key`, or undefined: what a prototype offers does not count. `null` counts as absent. */
export function field(fields: Fields, key: string): unknown {
  return Object.hasOwn(fields, key) ? (fields[key] ?? undefined) : undefined;
}

/** A finite number that is not negative, else null. */
export function magnitude(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;
}

/** Text cut to the name limit with control and direction-changing characters taken out, else null. */
export function shortText(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  // Cut before cleaning, so that a megabyte is never scanned; surrogate pairs are kept whole by cutting code points.
  const head = value.slice(0, limits.nameCharacters * 2);
  const clean = head.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, ' ').trim();
  const characters = Array.from(clean);
  return characters.length > limits.nameCharacters || value.length > head.length
    ? `${characters.slice(0, limits.nameCharacters - 1).join('')}…`
    : clean;
}

const clientName = /^[a-z0-9_-]{1,64}$/;
const address = /^(?=.*[.:])[0-9a-fA-F:]*(?:\d{1,3}(?:\.\d{1,3}){3})?(?:%[\w-]{1,32})?$/;

export function isClientName(value: unknown): value is string {
  return typeof value === 'string' && clientName.test(value);
}

/** Whether the value has the form of an IPv4 or IPv6 address: enough to be a key and to end a topic. */
export function isAddress(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 2 && value.length <= 64 && address.test(value);
}

/** What identifies a machine: its client name, or, for the tutorial's clients, its address. */
export function machineKey(fields: Fields): string | null {
  const client = field(fields, 'client');
  if (client !== undefined) return isClientName(client) ? client : null;
  const ip = field(fields, 'ip');
  return isAddress(ip) ? ip : null;
}
