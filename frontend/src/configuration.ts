/** Validates a machine's configuration: an event on `clientconfig.<key>`, or an entry of the page's own list. */
import { type Fields, field, isAddress, isFields } from './plain';

export interface Configuration {
  /** Row number in the admin; null when unknown. */
  readonly id: number | null;
  readonly ip: string | null;
  readonly showCpus: boolean;
  readonly showMemory: boolean;
  readonly showDisk: boolean;
  readonly disabled: boolean;
  /** Seconds between samples. */
  readonly frequencyS: number;
}

export const assumed: Configuration = {
  id: null,
  ip: null,
  showCpus: true,
  showMemory: true,
  showDisk: true,
  disabled: false,
  frequencyS: 1,
};

export interface ConfigurationChange {
  readonly configuration: Configuration;
  readonly deleted: boolean;
  /** The first value that was refused and why; null when all were taken. */
  readonly fault: string | null;
}

/** Lays a payload over the configuration known so far: a wrong or absent value keeps the old one, as in the agent. */
export function parseConfiguration(payload: unknown, before: Configuration): ConfigurationChange | null {
  if (!isFields(payload)) return null;
  let fault: string | null = null;
  const take = <T>(key: string, read: (value: unknown) => T | null, old: T): T => {
    const value = field(payload, key);
    if (value === undefined) return old;
    const taken = read(value);
    if (taken === null) fault ??= `"${key}" has a wrong type or is out of range`;
    return taken ?? old;
  };
  const configuration: Configuration = {
    id: take('id', rowNumber, before.id),
    ip: take('ip', (value) => (isAddress(value) ? value : null), before.ip),
    showCpus: take('show_cpus', flag, before.showCpus),
    showMemory: take('show_memory', flag, before.showMemory),
    showDisk: take('show_disk', flag, before.showDisk),
    disabled: take('disabled', flag, before.disabled),
    frequencyS: take('frequency', frequency, before.frequencyS),
  };
  return { configuration, deleted: isDeleted(payload), fault };
}

function isDeleted(payload: Fields): boolean {
  return field(payload, 'deleted') === true;
}

function flag(value: unknown): boolean | null {
  return typeof value === 'boolean' ? value : null;
}

function rowNumber(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : null;
}

function frequency(value: unknown): number | null {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 3600 ? (value as number) : null;
}

/** What differs, in words for people: `every 5 s`, `memory hidden`. */
export function describeChange(before: Configuration, after: Configuration): string {
  const words: string[] = [];
  if (before.frequencyS !== after.frequencyS) words.push(`every ${after.frequencyS} s`);
  const groups: readonly [string, boolean, boolean][] = [
    ['CPU', before.showCpus, after.showCpus],
    ['memory', before.showMemory, after.showMemory],
    ['disks', before.showDisk, after.showDisk],
  ];
  for (const [name, was, is] of groups) if (was !== is) words.push(`${name} ${is ? 'shown' : 'hidden'}`);
  return words.join(', ');
}
