/** Waiting times between attempts to connect: full jitter, so that a thousand pages do not come back as one. */

export interface Backoff {
  readonly firstMs: number;
  readonly longestMs: number;
  readonly shortestMs: number;
}

export const reconnecting: Backoff = { firstMs: 500, longestMs: 5_000, shortestMs: 100 };

/** The wait before attempt number `attempt` (from 0), given a random number in [0, 1). */
export function waitMs(attempt: number, random: number, backoff: Backoff = reconnecting): number {
  const ceiling = Math.min(backoff.longestMs, backoff.firstMs * 2 ** Math.min(attempt, 30));
  return Math.max(backoff.shortestMs, random * ceiling);
}
