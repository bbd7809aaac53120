/** A horizontal bar. The number beside it says the same in words, so it is hidden from screen readers. */
import type { JSX } from 'preact';

export type Level = 'normal' | 'high' | 'critical';

export function level(percent: number): Level {
  if (percent >= 90) return 'critical';
  return percent >= 75 ? 'high' : 'normal';
}

export function Bar({ percent }: { readonly percent: number | null }): JSX.Element {
  const value = percent ?? 0;
  return (
    <span class="bar" data-level={level(value)} aria-hidden="true">
      <span class="bar-fill" style={{ '--share': (value / 100).toFixed(4) }} />
    </span>
  );
}
