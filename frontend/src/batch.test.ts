import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Frames, batched } from './batch';
import { limits } from './limits';

class FakeFrames implements Frames {
  nowMs = 0;
  frames: (() => void)[] = [];
  timers: { atMs: number; callback: () => void }[] = [];

  now(): number {
    return this.nowMs;
  }

  request(callback: () => void): void {
    this.frames.push(callback);
  }

  after(ms: number, callback: () => void): void {
    this.timers.push({ atMs: this.nowMs + ms, callback });
  }

  paint(): void {
    for (const callback of this.frames.splice(0)) callback();
  }

  advance(ms: number): void {
    this.nowMs += ms;
    const due = this.timers.filter((timer) => timer.atMs <= this.nowMs);
    this.timers = this.timers.filter((timer) => timer.atMs > this.nowMs);
    for (const timer of due) timer.callback();
  }
}

function recording(): { frames: FakeFrames; rounds: number[][]; put: (action: number) => void } {
  const frames = new FakeFrames();
  const rounds: number[][] = [];
  const put = batched<number>((actions) => rounds.push([...actions]), frames);
  return { frames, rounds, put };
}

test('actions of one frame are worked off together, in order', () => {
  const { frames, rounds, put } = recording();
  put(1);
  put(2);
  assert.deepEqual(rounds, []);
  frames.paint();
  assert.deepEqual(rounds, [[1, 2]]);
});

test('a steady stream is worked off at most eight times a second', () => {
  const { frames, rounds, put } = recording();
  for (let ms = 0; ms < 1000; ms += 5) {
    put(ms);
    frames.advance(5);
    frames.paint();
  }
  assert.ok(rounds.length >= 6 && rounds.length <= 9, String(rounds.length));
});

test('a hidden page without frames still works off what comes', () => {
  const { frames, rounds, put } = recording();
  put(1);
  frames.advance(1000);
  assert.deepEqual(rounds, [[1]]);
  frames.paint();
  assert.deepEqual(rounds, [[1]]);
});

test('a flood does not pile up until the next frame', () => {
  const { rounds, put } = recording();
  for (let index = 0; index < limits.waitingActions * 3; index += 1) put(index);
  assert.equal(rounds.length, 3);
});
