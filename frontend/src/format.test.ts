import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, bytes, duration, instant, percent } from './format';

function plain(text: string): string {
  return text.replaceAll('\u00a0', ' ');
}

for (const [count, text] of [
  [0, '0 B'],
  [999, '999 B'],
  [1000, '0.98 KiB'],
  [1024, '1.00 KiB'],
  [1536, '1.50 KiB'],
  [10 * 2 ** 30, '10.0 GiB'],
  [500 * 2 ** 30, '500 GiB'],
  [2 ** 80, '1048576 EiB'],
] as const) {
  test(`${count} bytes are ${text}`, () => assert.equal(plain(bytes(count)), text));
}

for (const [seconds, text] of [
  [0, '0 s'],
  [8.9, '8 s'],
  [65, '1 min 5 s'],
  [3600, '1 h'],
  [3605, '1 h'],
  [93_600, '1 d 2 h'],
  [-4, '0 s'],
] as const) {
  test(`${seconds} seconds are ${text}`, () => assert.equal(plain(duration(seconds)), text));
}

test('a fresh sample is of now, an older one has its age', () => {
  assert.equal(age(900), 'now');
  assert.equal(plain(age(12_000)), '12 s ago');
});

test('an instant of another day carries its date', () => {
  const at = new Date(2026, 10, 23, 14, 2, 31).getTime();
  assert.equal(instant(at, at + 1000), '14:02:31');
  assert.match(instant(at, at + 86_400_000), /2026.*14:02:31/);
});

test('a full percentage keeps the width of the others', () => {
  assert.equal(percent(99.94), '99.9');
  assert.equal(percent(99.96), '100');
});
