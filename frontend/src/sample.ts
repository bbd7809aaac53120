/** Validates what machines publish on `clientstats`. Pure; the only place that looks at raw samples. */
import { limits } from './limits';
import { type Fields, field, isAddress, isFields, machineKey, magnitude, shortText } from './plain';

/** A value the tutorial's client sends as text, with its percentage where one can be read from it. */
export interface TextValue {
  readonly text: string;
  readonly percent: number | null;
}

export interface Usage {
  readonly usedBytes: number;
  readonly totalBytes: number;
}

export interface Disk extends Usage {
  readonly mountpoint: string;
}

export interface DiskText extends TextValue {
  readonly mountpoint: string;
}

export interface CollectorError {
  readonly collector: string;
  readonly message: string;
}

export interface Sample {
  readonly key: string;
  readonly name: string | null;
  readonly ip: string | null;
  readonly intervalS: number | null;
  readonly uptimeS: number | null;
  /** One percentage per core. */
  readonly cores: readonly number[] | null;
  readonly coresLeftOut: number;
  readonly loadAverages: readonly number[] | null;
  readonly memory: Usage | null;
  readonly swap: Usage | null;
  readonly disks: readonly Disk[] | null;
  readonly disksLeftOut: number;
  readonly cpusText: readonly TextValue[] | null;
  readonly memoryText: TextValue | null;
  readonly disksText: readonly DiskText[] | null;
  readonly errors: readonly CollectorError[];
  /** The first field that was refused and why; null when the sample is well formed. */
  readonly fault: string | null;
}

export type Parsed =
  | { readonly ok: true; readonly sample: Sample }
  | { readonly ok: false; readonly reason: string };

/**
 * Reads one sample. A sample without an identity is refused as a whole; a field of the wrong type is left out and
 * named in `fault`, so that one bad collector hides nothing else.
 */
export function parseSample(payload: unknown): Parsed {
  if (!isFields(payload)) return { ok: false, reason: 'a sample is not an object' };
  const key = machineKey(payload);
  if (key === null) return { ok: false, reason: 'a sample has neither a valid "client" nor a valid "ip"' };
  const faults: string[] = [];
  const refuse = (fault: string): null => {
    if (faults.length === 0) faults.push(fault);
    return null;
  };
  const ip = field(payload, 'ip');
  const cores = percentages(payload, refuse);
  const disks = diskUsages(payload, refuse);
  const sample: Sample = {
    key,
    name: optional(payload, 'name', shortText, 'is not text', refuse) || null,
    ip: isAddress(ip) ? ip : null,
    intervalS: optional(payload, 'interval_s', interval, 'is not a number of seconds above 0', refuse),
    uptimeS: optional(payload, 'uptime_s', magnitude, 'is not a number of at least 0', refuse),
    cores: cores.kept,
    coresLeftOut: cores.leftOut,
    loadAverages: optional(payload, 'load_averages', loads, 'is not up to three numbers', refuse),
    memory: usage(payload, 'memory_used_bytes', 'memory_total_bytes', refuse),
    swap: usage(payload, 'swap_used_bytes', 'swap_total_bytes', refuse),
    disks: disks.kept,
    disksLeftOut: disks.leftOut,
    cpusText: optional(payload, 'cpus', textList, 'is not a list of text', refuse),
    memoryText: optional(payload, 'memory', textValue, 'is not text', refuse),
    disksText: optional(payload, 'disks', diskTexts, 'is not an object of text', refuse),
    errors: optional(payload, 'errors', collectorErrors, 'is not an object of text', refuse) ?? [],
    fault: null,
  };
  const fault = faults[0];
  return { ok: true, sample: fault === undefined ? sample : { ...sample, fault } };
}

type Refuse = (fault: string) => null;

function optional<T>(
  fields: Fields,
  key: string,
  read: (value: unknown) => T | null,
  wrong: string,
  refuse: Refuse,
): T | null {
  const value = field(fields, key);
  if (value === undefined) return null;
  return read(value) ?? refuse(`"${key}" ${wrong}`);
}

function interval(value: unknown): number | null {
  const seconds = magnitude(value);
  return seconds !== null && seconds > 0 && seconds <= 86_400 ? seconds : null;
}

interface Kept<T> {
  readonly kept: readonly T[] | null;
  readonly leftOut: number;
}

const nothing = { kept: null, leftOut: 0 };

function percentages(fields: Fields, refuse: Refuse): Kept<number> {
  const value = field(fields, 'cpu_percents');
  if (value === undefined) return nothing;
  if (!Array.isArray(value)) {
    refuse('"cpu_percents" is not a list');
    return nothing;
  }
  const kept: number[] = [];
  for (const item of value.slice(0, limits.cores)) {
    const percent = magnitude(item);
    if (percent === null) {
      refuse('"cpu_percents" holds something that is not a number of at least 0');
      return nothing;
    }
    kept.push(Math.min(percent, 100));
  }
  return { kept, leftOut: value.length - kept.length };
}

function loads(value: unknown): readonly number[] | null {
  if (!Array.isArray(value) || value.length > 3) return null;
  const numbers = value.map(magnitude);
  return numbers.every((number) => number !== null) ? numbers : null;
}

function usage(fields: Fields, usedKey: string, totalKey: string, refuse: Refuse): Usage | null {
  const used = field(fields, usedKey);
  const total = field(fields, totalKey);
  if (used === undefined && total === undefined) return null;
  const usedBytes = magnitude(used);
  const totalBytes = magnitude(total);
  if (usedBytes === null || totalBytes === null) {
    return refuse(`"${usedKey}" and "${totalKey}" are not two numbers of at least 0`);
  }
  return { usedBytes, totalBytes };
}

function diskUsages(fields: Fields, refuse: Refuse): Kept<Disk> {
  const value = field(fields, 'disk_usages');
  if (value === undefined) return nothing;
  if (!Array.isArray(value)) {
    refuse('"disk_usages" is not a list');
    return nothing;
  }
  const kept: Disk[] = [];
  for (const item of value.slice(0, limits.disks)) {
    const mountpoint = isFields(item) ? shortText(field(item, 'mountpoint')) : null;
    const bytes = isFields(item) ? usage(item, 'used_bytes', 'total_bytes', () => null) : null;
    if (mountpoint === null || bytes === null) {
      refuse('"disk_usages" holds an entry without mountpoint, used_bytes and total_bytes');
      continue;
    }
    kept.push({ mountpoint, ...bytes });
  }
  return { kept, leftOut: Math.max(0, value.length - limits.disks) };
}

/** `"12.3%"` gives 12.3; `"1.00GiB/2.00GiB (50%)"` gives 50. */
export function percentInText(text: string): number | null {
  const found = /(?:^|[\s(])(\d{1,3}(?:\.\d{1,6})?)\s?%/.exec(text);
  const percent = found?.[1] === undefined ? null : magnitude(Number(found[1]));
  return percent === null ? null : Math.min(percent, 100);
}

function textValue(value: unknown): TextValue | null {
  const text = shortText(value);
  return text === null ? null : { text, percent: percentInText(text) };
}

function textList(value: unknown): readonly TextValue[] | null {
  if (!Array.isArray(value)) return null;
  const texts = value.slice(0, limits.cores).map(textValue);
  return texts.every((text) => text !== null) ? texts : null;
}

function diskTexts(value: unknown): readonly DiskText[] | null {
  if (!isFields(value)) return null;
  const found: DiskText[] = [];
  for (const [name, item] of Object.entries(value).slice(0, limits.disks)) {
    const text = textValue(item);
    if (text === null) return null;
    found.push({ mountpoint: shortText(name) ?? '', ...text });
  }
  return found;
}

function collectorErrors(value: unknown): readonly CollectorError[] | null {
  if (!isFields(value)) return null;
  const found: CollectorError[] = [];
  for (const [name, item] of Object.entries(value).slice(0, limits.errors)) {
    const message = shortText(item);
    if (message === null) return null;
    found.push({ collector: shortText(name) ?? '', message });
  }
  return found;
}

/** The machine's CPU use in percent: the mean of its cores, numeric or read from text; null when unknown. */
export function cpuPercent(sample: Sample): number | null {
  if (sample.cores !== null && sample.cores.length > 0) return mean(sample.cores);
  const percents = (sample.cpusText ?? []).map((value) => value.percent);
  return percents.length > 0 && percents.every((percent) => percent !== null) ? mean(percents) : null;
}

/** The machine's memory use in percent; null when unknown. */
export function memoryPercent(sample: Sample): number | null {
  if (sample.memory !== null) return usedPercent(sample.memory);
  return sample.memoryText?.percent ?? null;
}

/** Used of total in percent, 0 when there is no total. */
export function usedPercent(usage: Usage): number {
  return usage.totalBytes > 0 ? Math.min(100, (usage.usedBytes / usage.totalBytes) * 100) : 0;
}

function mean(numbers: readonly number[]): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum / numbers.length;
}
