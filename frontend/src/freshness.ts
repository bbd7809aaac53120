/** How current a machine's values are. */
import type { Machine } from './store';

export type Freshness = 'waiting' | 'live' | 'late' | 'stale';

/** Seconds between samples that the page may expect: the slower of what was configured and what was last reported. */
export function expectedIntervalS(machine: Machine): number {
  return Math.max(machine.configuration.frequencyS, machine.sample?.intervalS ?? 0);
}

/** Late after three intervals and a second without a sample, stale after six. */
export function freshness(machine: Machine, nowMs: number): Freshness {
  const intervalMs = expectedIntervalS(machine) * 1000;
  const lateMs = 3 * intervalMs + 1000;
  const staleMs = Math.max(6 * intervalMs, lateMs);
  if (machine.sample === null) {
    if (machine.lastSeenMs === null || nowMs - machine.listedMs <= staleMs) return 'waiting';
    return 'stale';
  }
  const ageMs = nowMs - (machine.lastSeenMs ?? nowMs);
  if (ageMs > staleMs) return 'stale';
  return ageMs > lateMs ? 'late' : 'live';
}
