import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from './limits';
import { type Sample, cpuPercent, memoryPercent, parseSample, percentInText } from './sample';

const good = {
  client: 'web-1',
  ip: '192.0.2.7',
  name: 'web-1.example.org',
  interval_s: 1,
  uptime_s: 86_400.5,
  cpu_percents: [3, 5],
  load_averages: [0.1, 0.2, 0.3],
  memory_used_bytes: 1,
  memory_total_bytes: 4,
  swap_used_bytes: 0,
  swap_total_bytes: 0,
  disk_usages: [{ mountpoint: '/', used_bytes: 1, total_bytes: 2 }],
};

function parsed(payload: unknown): Sample {
  const result = parseSample(payload);
  assert.ok(result.ok, `refused: ${JSON.stringify(result)}`);
  return result.sample;
}

test("the agent's sample is taken whole", () => {
  const sample = parsed(good);
  assert.equal(sample.key, 'web-1');
  assert.equal(sample.fault, null);
  assert.deepEqual(sample.cores, [3, 5]);
  assert.deepEqual(sample.memory, { usedBytes: 1, totalBytes: 4 });
  assert.deepEqual(sample.disks, [{ mountpoint: '/', usedBytes: 1, totalBytes: 2 }]);
  assert.equal(cpuPercent(sample), 4);
  assert.equal(memoryPercent(sample), 25);
});

test("the tutorial client's sample is known by its address, and its text is read for percentages", () => {
  const sample = parsed({
    ip: '192.0.2.9',
    name: 'old',
    cpus: ['12.5%', '7.5%'],
    memory: '1.00GiB/2.00GiB (50.5%)',
    disks: { '/': '1.00GiB/2.00GiB (50%)' },
  });
  assert.equal(sample.key, '192.0.2.9');
  assert.equal(cpuPercent(sample), 10);
  assert.equal(memoryPercent(sample), 50.5);
  assert.deepEqual(sample.disksText, [{ mountpoint: '/', text: '1.00GiB/2.00GiB (50%)', percent: 50 }]);
});

test('absent groups are null, not zero', () => {
  const sample = parsed({ client: 'a' });
  assert.equal(sample.cores, null);
  assert.equal(sample.memory, null);
  assert.equal(sample.disks, null);
  assert.equal(cpuPercent(sample), null);
  assert.equal(memoryPercent(sample), null);
});

for (const [what, payload] of [
  ['nothing', undefined],
  ['null', null],
  ['a list', [good]],
  ['text', 'sample'],
  ['a number', 7],
  ['no identity', { name: 'x' }],
  ['a client name in capitals', { client: 'WEB' }],
  ['a client name with a dot', { client: 'a.b' }],
  ['a client name too long', { client: 'a'.repeat(65) }],
  ['a bad client name beside a good address', { client: '<b>', ip: '192.0.2.1' }],
  ['an address that would not end a topic', { ip: '1..2' }],
  ['an address with white space', { ip: '192.0.2.1 ' }],
  ['an address of type object', { ip: { toString: 'x' } }],
  ['an inherited identity', Object.create({ client: 'web-1' })],
] as const) {
  test(`a sample with ${what} is refused with a reason`, () => {
    const result = parseSample(payload);
    assert.equal(result.ok, false);
    assert.ok(!result.ok && result.reason.length > 0);
  });
}

for (const ip of ['192.0.2.7', '::1', '2001:db8::7', '::ffff:192.0.2.7', 'fe80::1%eth0']) {
  test(`${ip} is an address`, () => assert.equal(parsed({ ip }).key, ip));
}

for (const [field, value] of [
  ['cpu_percents', 'lots'],
  ['cpu_percents', [1, '2']],
  ['cpu_percents', [Number.NaN]],
  ['cpu_percents', [Number.POSITIVE_INFINITY]],
  ['cpu_percents', [-1]],
  ['load_averages', [1, 2, 3, 4]],
  ['load_averages', {}],
  ['memory_used_bytes', '1'],
  ['memory_total_bytes', -4],
  ['disk_usages', { '/': 1 }],
  ['disk_usages', [null]],
  ['disk_usages', [{ mountpoint: 1, used_bytes: 1, total_bytes: 1 }]],
  ['disk_usages', [{ mountpoint: '/', used_bytes: 1 }]],
  ['name', ['x']],
  ['interval_s', 0],
  ['uptime_s', true],
  ['cpus', 'text'],
  ['memory', { used: 1 }],
  ['disks', ['/']],
  ['errors', 'all'],
] as const) {
  test(`a wrong ${field} (${JSON.stringify(value)}) is left out, named, and hides nothing else`, () => {
    const sample = parsed({ ...good, [field]: value });
    assert.ok(sample.fault?.includes(field.startsWith('memory_') ? 'memory_' : field), String(sample.fault));
    assert.equal(sample.key, 'web-1');
    assert.ok(sample.cores !== null || sample.memory !== null);
  });
}

test('thousands of cores and disks are cut to the limit and the rest is counted', () => {
  const sample = parsed({
    ...good,
    cpu_percents: Array.from({ length: 5000 }, () => 1),
    disk_usages: Array.from({ length: 3000 }, () => ({ mountpoint: '/x', used_bytes: 1, total_bytes: 2 })),
  });
  assert.equal(sample.cores?.length, limits.cores);
  assert.equal(sample.coresLeftOut, 5000 - limits.cores);
  assert.equal(sample.disks?.length, limits.disks);
  assert.equal(sample.disksLeftOut, 3000 - limits.disks);
});

test('huge text is cut, control and direction characters are taken out', () => {
  const sample = parsed({ ...good, name: `a\u0000b\u202ec${'x'.repeat(1_000_000)}` });
  assert.equal(Array.from(sample.name ?? '').length, limits.nameCharacters);
  assert.ok(sample.name?.startsWith('a b c'));
});

test('cutting does not split a character outside the basic plane', () => {
  const sample = parsed({ ...good, name: '🌞'.repeat(500) });
  assert.ok(sample.name?.isWellFormed());
});

test('keys that would reach a prototype are plain names here', () => {
  const sample = parsed(
    JSON.parse('{"client":"a","__proto__":{"polluted":1},"disks":{"__proto__":"1%","constructor":"2%"}}'),
  );
  assert.deepEqual(
    sample.disksText?.map((disk) => disk.mountpoint),
    ['__proto__', 'constructor'],
  );
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
});

test('percentages above 100 are shown as 100, and more used than there is as full', () => {
  assert.deepEqual(parsed({ ...good, cpu_percents: [250] }).cores, [100]);
  assert.equal(memoryPercent(parsed({ ...good, memory_used_bytes: 9 })), 100);
  assert.equal(memoryPercent(parsed({ ...good, memory_total_bytes: 0 })), 0);
});

for (const [text, percent] of [
  ['12.3%', 12.3],
  ['1.00GiB/2.00GiB (50%)', 50],
  ['100.0%', 100],
  ['999%', 100],
  ['7 %', 7],
  ['none', null],
  ['%', null],
  ['-5%', null],
] as const) {
  test(`"${text}" reads as ${percent}`, () => assert.equal(percentInText(text), percent));
}
