/** Collects actions and works them off together, a few times a second at most, just before the browser paints. */
import { limits } from './limits';

/** At most eight renderings a second: faster than anybody reads, slow enough for 300 machines. */
const shortestGapMs = 125;
/** A hidden page gets no frames; its actions are worked off by this timer. */
const longestWaitMs = 1_000;

export interface Frames {
  now(): number;
  request(callback: () => void): void;
  after(ms: number, callback: () => void): void;
}

export const browserFrames: Frames = {
  now: () => performance.now(),
  request: (callback) => void requestAnimationFrame(callback),
  after: (ms, callback) => void setTimeout(callback, ms),
};

/** Returns a function that takes actions one by one; `work` gets them in order, together. */
export function batched<Action>(
  work: (actions: readonly Action[]) => void,
  frames: Frames = browserFrames,
): (action: Action) => void {
  let waiting: Action[] = [];
  let lastMs = -Infinity;
  let round = 0;

  const flush = (): void => {
    const actions = waiting;
    waiting = [];
    round += 1;
    lastMs = frames.now();
    if (actions.length > 0) work(actions);
  };

  const schedule = (): void => {
    const scheduled = round;
    const flushOnce = (): void => {
      if (round === scheduled) flush();
    };
    const gapMs = shortestGapMs - (frames.now() - lastMs);
    if (gapMs <= 0) frames.request(flushOnce);
    else frames.after(gapMs, () => frames.request(flushOnce));
    frames.after(longestWaitMs, flushOnce);
  };

  return (action) => {
    waiting.push(action);
    if (waiting.length >= limits.waitingActions) flush();
    else if (waiting.length === 1) schedule();
  };
}
