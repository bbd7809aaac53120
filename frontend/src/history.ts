/** The last two minutes of a machine, for its sparklines. */
import { limits } from './limits';

export interface Point {
  readonly atMs: number;
  readonly cpuPercent: number | null;
  readonly memoryPercent: number | null;
}

/** The history with one more point: old ones fall off, points that crowd each other replace each other. */
export function extend(history: readonly Point[], point: Point): readonly Point[] {
  const oldestMs = point.atMs - limits.historySpanMs - 5_000;
  let start = 0;
  while (start < history.length && (history[start]?.atMs ?? 0) < oldestMs) start += 1;
  let end = history.length;
  const before = history[end - 2];
  if (before !== undefined && point.atMs - before.atMs < limits.historySpacingMs) end -= 1;
  start = Math.max(start, end - limits.historyPoints + 1);
  return [...history.slice(start, end), point];
}
