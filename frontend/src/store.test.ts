import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assumed } from './configuration';
import { freshness } from './freshness';
import { limits } from './limits';
import type { ListedMachine } from './page-data';
import { type Action, type Machine, type State, initial, isShown, reduce } from './store';

const t0 = 1_000_000;

function listed(key: string, more: Partial<ListedMachine> = {}): ListedMachine {
  return { key, name: key, configuration: { ...assumed, id: 1 }, lastSeenAgeS: null, ...more };
}

function list(machines: readonly ListedMachine[], askedMs = t0): Action {
  return { type: 'listed', machines, askedMs, atMs: askedMs };
}

function sample(client: string, atMs: number, more: object = {}): Action {
  return { type: 'sampled', atMs, payload: { client, interval_s: 1, cpu_percents: [10], ...more } };
}

function configured(key: string, payload: unknown, atMs = t0 + 1): Action {
  return { type: 'configured', key, payload, atMs };
}

function after(...actions: readonly Action[]): State {
  return reduce(initial, actions);
}

function machine(state: State, key: string): Machine {
  const found = state.machines.get(key);
  assert.ok(found, `no machine ${key}`);
  return found;
}

test('machines of the embedded list wait for their first sample', () => {
  const state = after(list([listed('a')]));
  assert.equal(freshness(machine(state, 'a'), t0 + 60_000), 'waiting');
});

test('a machine seen long ago, of which no sample comes, is stale', () => {
  const state = after(list([listed('a', { lastSeenAgeS: 3600 })]));
  assert.equal(freshness(machine(state, 'a'), t0 + 1000), 'waiting');
  assert.equal(freshness(machine(state, 'a'), t0 + 6001), 'stale');
  assert.equal(machine(state, 'a').lastSeenMs, t0 - 3_600_000);
});

for (const [ageMs, expected] of [
  [0, 'live'],
  [4000, 'live'],
  [4001, 'late'],
  [6000, 'late'],
  [6001, 'stale'],
] as const) {
  test(`a sample ${ageMs} ms old is ${expected} at one a second`, () => {
    const state = after(list([listed('a')]), sample('a', t0));
    assert.equal(freshness(machine(state, 'a'), t0 + ageMs), expected);
  });
}

test('a longer interval that was just configured is waited for at once', () => {
  const state = after(list([listed('a')]), sample('a', t0), configured('a', { frequency: 60 }));
  assert.equal(freshness(machine(state, 'a'), t0 + 100_000), 'live');
});

test('a sample of an unknown machine adds it, not yet listed', () => {
  const state = after(sample('new', t0));
  assert.equal(machine(state, 'new').listed, false);
  assert.ok(isShown(machine(state, 'new')));
});

test('a configuration event hides a group and changes the interval before any sample', () => {
  const state = after(list([listed('a')]), sample('a', t0), configured('a', { show_memory: false, frequency: 5 }));
  const { configuration, change } = machine(state, 'a');
  assert.equal(configuration.showMemory, false);
  assert.equal(configuration.frequencyS, 5);
  assert.equal(change?.words, 'every 5 s, memory hidden');
  assert.equal(change?.obeyedMs, null);
});

test('the change counts as obeyed with the first sample that shows it', () => {
  const memory = { memory_used_bytes: 1, memory_total_bytes: 2, disk_usages: [] };
  const before = after(list([listed('a')]), configured('a', { show_memory: false, frequency: 5 }, t0 + 100));
  const old = reduce(before, [sample('a', t0 + 200, memory)]);
  assert.equal(machine(old, 'a').change?.obeyedMs, null);
  const obeyed = reduce(old, [sample('a', t0 + 300, { interval_s: 5, disk_usages: [] })]);
  assert.equal(machine(obeyed, 'a').change?.obeyedMs, t0 + 300);
});

test('a wrong value in a configuration keeps the old one and is counted', () => {
  const state = after(list([listed('a')]), configured('a', { frequency: 'often', show_cpus: false }));
  assert.equal(machine(state, 'a').configuration.frequencyS, 1);
  assert.equal(machine(state, 'a').configuration.showCpus, false);
  assert.equal(state.refused.samples, 1);
});

test('a disabled machine goes, samples under way do not bring it back, enabling does', () => {
  const gone = after(list([listed('a')]), sample('a', t0), configured('a', { disabled: true }), sample('a', t0 + 5));
  assert.equal(isShown(machine(gone, 'a')), false);
  const back = reduce(gone, [configured('a', { disabled: false })]);
  assert.equal(isShown(machine(back, 'a')), true);
  assert.notEqual(machine(back, 'a').sample, null);
});

test('a deleted machine goes for good with its values, until the server names it again', () => {
  const gone = after(
    list([listed('a')]),
    sample('a', t0),
    configured('a', { disabled: true, deleted: true }),
    sample('a', t0 + 5),
  );
  assert.equal(isShown(machine(gone, 'a')), false);
  assert.equal(machine(gone, 'a').sample, null);
  const enrolled = reduce(gone, [configured('a', { id: 9, disabled: false }, t0 + 10)]);
  assert.equal(isShown(machine(enrolled, 'a')), true);
});

test('deleting a machine that the page never saw adds nothing', () => {
  assert.equal(after(configured('x', { deleted: true, disabled: true })).machines.size, 0);
});

test('a new list takes away what the server no longer names and adds what it names newly', () => {
  const state = after(list([listed('a'), listed('b')]), list([listed('b'), listed('c')], t0 + 1000));
  assert.deepEqual(
    Array.from(state.machines.values()).filter(isShown).map(({ key }) => key),
    ['b', 'c'],
  );
});

test('a new list says what changed while nobody listened', () => {
  const changed = listed('a', { configuration: { ...assumed, frequencyS: 30, disabled: true } });
  const state = after(list([listed('a')]), list([changed], t0 + 1000));
  assert.equal(machine(state, 'a').configuration.frequencyS, 30);
  assert.equal(isShown(machine(state, 'a')), false);
});

test('an event that came after a list was asked for is newer than the list', () => {
  const state = after(
    list([listed('a')]),
    configured('a', { frequency: 9 }, t0 + 2000),
    configured('b', { id: 2 }, t0 + 2000),
    list([listed('a')], t0 + 1000),
  );
  assert.equal(machine(state, 'a').configuration.frequencyS, 9);
  assert.ok(isShown(machine(state, 'b')));
});

test('a machine that only its samples tell of stays through a new list', () => {
  const state = after(sample('loose', t0), list([], t0 + 1000));
  assert.ok(isShown(machine(state, 'loose')));
});

test('malformed samples are counted, with the last reason, and change nothing else', () => {
  const state = after(list([listed('a')]), { type: 'sampled', atMs: t0, payload: [] }, sample('a', t0, { uptime_s: 'x' }));
  assert.equal(state.refused.samples, 2);
  assert.match(state.refused.last ?? '', /^a: "uptime_s"/);
  assert.notEqual(machine(state, 'a').sample, null);
});

test('machines beyond the limit are refused and counted', () => {
  const many = Array.from({ length: limits.machines + 3 }, (_, index) => sample(`m-${index}`, t0));
  const state = after(...many);
  assert.equal(state.machines.size, limits.machines);
  assert.equal(state.refused.machines, 3);
});

test('the history is bounded in time and number however fast samples come', () => {
  const slow = Array.from({ length: 300 }, (_, index) => sample('a', t0 + index * 1000));
  const points = machine(after(...slow), 'a').history;
  assert.ok(points.length > 100 && points.length < 130, String(points.length));
  const fast = Array.from({ length: 5000 }, (_, index) => sample('a', t0 + index));
  assert.ok(machine(after(...fast), 'a').history.length <= 20);
});

test('a loss remembers when it began through its retries', () => {
  const lost = (atMs: number, retryAtMs: number | null): Action => ({ type: 'lost', reason: 'gone', atMs, retryAtMs });
  const state = after({ type: 'connected' }, lost(t0, t0 + 500), lost(t0 + 500, null), lost(t0 + 900, t0 + 2000));
  assert.deepEqual(state.connection, { phase: 'lost', sinceMs: t0, retryAtMs: t0 + 2000, reason: 'gone' });
  assert.deepEqual(reduce(state, [{ type: 'connected' }]).connection, { phase: 'live' });
});

test('reducing leaves the state before untouched', () => {
  const before = after(list([listed('a')]));
  reduce(before, [sample('a', t0), sample('b', t0), { type: 'connected' }]);
  assert.equal(before.machines.size, 1);
  assert.equal(machine(before, 'a').sample, null);
  assert.equal(before.connection.phase, 'connecting');
});
