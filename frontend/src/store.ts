/** The page's state and the one function that changes it. Pure: no clock, no DOM, no socket. */
import {
  type Configuration,
  assumed,
  describeChange,
  parseConfiguration,
} from './configuration';
import { type Point, extend } from './history';
import { limits } from './limits';
import type { ListedMachine } from './page-data';
import { type Sample, cpuPercent, memoryPercent, parseSample } from './sample';

/** A configuration that was sent to a machine, and when its samples began to show it. */
export interface Change {
  readonly words: string;
  readonly sentMs: number;
  readonly obeyedMs: number | null;
}

export interface Machine {
  readonly key: string;
  readonly name: string;
  readonly ip: string | null;
  readonly configuration: Configuration;
  /** Whether the server knows it; a machine seen only by its samples is not listed until the list is read again. */
  readonly listed: boolean;
  readonly deleted: boolean;
  readonly listedMs: number;
  readonly configuredMs: number;
  readonly lastSeenMs: number | null;
  readonly sample: Sample | null;
  readonly history: readonly Point[];
  readonly change: Change | null;
}

export type Connection =
  | { readonly phase: 'connecting' }
  | { readonly phase: 'live' }
  | { readonly phase: 'lost'; readonly sinceMs: number; readonly retryAtMs: number | null; readonly reason: string };

export interface Refused {
  readonly samples: number;
  readonly machines: number;
  readonly topics: number;
  readonly last: string | null;
}

export interface State {
  readonly connection: Connection;
  readonly machines: ReadonlyMap<string, Machine>;
  readonly refused: Refused;
  readonly lastSampleMs: number | null;
}

export type Action =
  | { readonly type: 'listed'; readonly machines: readonly ListedMachine[]; readonly askedMs: number; readonly atMs: number }
  | { readonly type: 'sampled'; readonly payload: unknown; readonly atMs: number }
  | { readonly type: 'configured'; readonly key: string; readonly payload: unknown; readonly atMs: number }
  | { readonly type: 'refused'; readonly key: string; readonly reason: string }
  | { readonly type: 'connected' }
  | { readonly type: 'lost'; readonly reason: string; readonly retryAtMs: number | null; readonly atMs: number };

export const initial: State = {
  connection: { phase: 'connecting' },
  machines: new Map(),
  refused: { samples: 0, machines: 0, topics: 0, last: null },
  lastSampleMs: null,
};

/** The state after a batch of actions. The map of machines is copied once a batch, not once an action. */
export function reduce(before: State, actions: readonly Action[]): State {
  const draft: Draft = { ...before, machines: new Map(before.machines) };
  for (const action of actions) apply(draft, action);
  return draft;
}

interface Draft {
  connection: Connection;
  machines: Map<string, Machine>;
  refused: Refused;
  lastSampleMs: number | null;
}

function apply(draft: Draft, action: Action): void {
  switch (action.type) {
    case 'listed':
      return list(draft, action.machines, action.askedMs, action.atMs);
    case 'sampled':
      return sampled(draft, action.payload, action.atMs);
    case 'configured':
      return configured(draft, action.key, action.payload, action.atMs);
    case 'refused':
      return refuse(draft, 'topics', `${action.key}: ${action.reason}`);
    case 'connected':
      draft.connection = { phase: 'live' };
      return;
    case 'lost': {
      const sinceMs = draft.connection.phase === 'lost' ? draft.connection.sinceMs : action.atMs;
      draft.connection = { phase: 'lost', sinceMs, retryAtMs: action.retryAtMs, reason: action.reason };
      return;
    }
  }
}

/**
 * Takes the server's list. What an event said after the list was asked for is newer than the list and stays; a machine
 * that the server knew and no longer names is gone.
 */
function list(draft: Draft, listed: readonly ListedMachine[], askedMs: number, atMs: number): void {
  const named = new Set<string>();
  for (const entry of listed) {
    named.add(entry.key);
    const known = draft.machines.get(entry.key);
    if (known === undefined) {
      if (hasRoom(draft, entry.key)) draft.machines.set(entry.key, machineFromList(entry, atMs));
    } else if (known.configuredMs < askedMs) {
      draft.machines.set(entry.key, {
        ...known,
        name: known.sample?.name ?? entry.name ?? known.name,
        ip: entry.configuration.ip ?? known.ip,
        configuration: entry.configuration,
        configuredMs: askedMs,
        listed: true,
        deleted: false,
      });
    }
  }
  for (const machine of draft.machines.values()) {
    if (machine.listed && !machine.deleted && machine.configuredMs < askedMs && !named.has(machine.key)) {
      draft.machines.set(machine.key, withoutValues({ ...machine, deleted: true, configuredMs: askedMs }));
    }
  }
}

function machineFromList(entry: ListedMachine, atMs: number): Machine {
  return {
    ...blank(entry.key, atMs),
    name: entry.name ?? entry.key,
    ip: entry.configuration.ip,
    configuration: entry.configuration,
    listed: true,
    lastSeenMs: entry.lastSeenAgeS === null ? null : atMs - entry.lastSeenAgeS * 1000,
  };
}

function blank(key: string, atMs: number): Machine {
  return {
    key,
    name: key,
    ip: null,
    configuration: assumed,
    listed: false,
    deleted: false,
    listedMs: atMs,
    configuredMs: 0,
    lastSeenMs: null,
    sample: null,
    history: [],
    change: null,
  };
}

function hasRoom(draft: Draft, key: string): boolean {
  if (draft.machines.size < limits.machines) return true;
  refuse(draft, 'machines', `${key}: the page shows at most ${limits.machines} machines`);
  return false;
}

function refuse(draft: Draft, what: 'samples' | 'machines' | 'topics', reason: string): void {
  draft.refused = { ...draft.refused, [what]: draft.refused[what] + 1, last: reason };
}

function sampled(draft: Draft, payload: unknown, atMs: number): void {
  const parsed = parseSample(payload);
  if (!parsed.ok) return refuse(draft, 'samples', parsed.reason);
  const { sample } = parsed;
  const known = draft.machines.get(sample.key);
  if (known === undefined && !hasRoom(draft, sample.key)) return;
  const machine = known ?? blank(sample.key, atMs);
  // A sample that was under way when its machine was deleted or disabled does not bring it back.
  if (machine.deleted || machine.configuration.disabled) return;
  if (sample.fault !== null) refuse(draft, 'samples', `${sample.key}: ${sample.fault}`);
  draft.lastSampleMs = atMs;
  draft.machines.set(sample.key, {
    ...machine,
    name: sample.name ?? machine.name,
    ip: sample.ip ?? machine.ip,
    lastSeenMs: atMs,
    sample,
    history: extend(machine.history, {
      atMs,
      cpuPercent: cpuPercent(sample),
      memoryPercent: memoryPercent(sample),
    }),
    change: obeyed(machine, sample, atMs),
  });
}

/** The pending change, marked as obeyed when this sample shows the configuration that was sent. */
function obeyed(machine: Machine, sample: Sample, atMs: number): Change | null {
  const { change, configuration } = machine;
  if (change === null || change.obeyedMs !== null) return change;
  const failed = (name: string): boolean => sample.errors.some((error) => error.collector.startsWith(name));
  const asAsked =
    (sample.intervalS === null || sample.intervalS === configuration.frequencyS) &&
    configuration.showCpus === (sample.cores !== null || sample.cpusText !== null || failed('cpu')) &&
    configuration.showMemory === (sample.memory !== null || sample.memoryText !== null || failed('memory')) &&
    configuration.showDisk === (sample.disks !== null || sample.disksText !== null || failed('disk'));
  return asAsked ? { ...change, obeyedMs: atMs } : change;
}

function configured(draft: Draft, key: string, payload: unknown, atMs: number): void {
  const known = draft.machines.get(key);
  const before = known?.configuration ?? assumed;
  const parsed = parseConfiguration(payload, before);
  if (parsed === null) return refuse(draft, 'samples', `${key}: a configuration is not an object`);
  if (known === undefined && (parsed.deleted || !hasRoom(draft, key))) return;
  if (parsed.fault !== null) refuse(draft, 'samples', `${key}: ${parsed.fault}`);
  const machine = known ?? blank(key, atMs);
  const words = describeChange(before, parsed.configuration);
  const changed: Machine = {
    ...machine,
    ip: parsed.configuration.ip ?? machine.ip,
    configuration: parsed.configuration,
    listed: true,
    deleted: parsed.deleted,
    configuredMs: atMs,
    change: words === '' ? machine.change : { words, sentMs: atMs, obeyedMs: null },
  };
  draft.machines.set(key, parsed.deleted ? withoutValues(changed) : changed);
}

/** A deleted machine keeps its key, so that samples under way cannot bring it back, and nothing else. */
function withoutValues(machine: Machine): Machine {
  return { ...machine, sample: null, history: [], change: null, lastSeenMs: null };
}

export function isShown(machine: Machine): boolean {
  return !machine.deleted && !machine.configuration.disabled;
}
