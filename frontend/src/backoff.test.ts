import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconnecting, waitMs } from './backoff';

test('the ceiling doubles with every attempt up to the longest wait', () => {
  const ceilings = [0, 1, 2, 3, 4, 5, 50].map((attempt) => waitMs(attempt, 1));
  assert.deepEqual(ceilings, [500, 1000, 2000, 4000, 5000, 5000, 5000]);
});

test('the wait is spread over everything below the ceiling, but is never nothing', () => {
  assert.equal(waitMs(4, 0.5), 2500);
  assert.equal(waitMs(4, 0), reconnecting.shortestMs);
});
