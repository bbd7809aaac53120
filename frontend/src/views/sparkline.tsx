/** The canvas of one sparkline: drawn only while it can be seen, with the same in words for those who do not see it. */
import { type ReadonlySignal, useSignal, useSignalEffect } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { percent } from '../format';
import { expectedIntervalS } from '../freshness';
import type { Point } from '../history';
import type { Machine } from '../store';
import { drawCurve } from '../sparkline';
import { paletteRevision } from '../theme';

interface SparklineProps {
  readonly label: string;
  readonly machine: ReadonlySignal<Machine>;
  readonly nowMs: ReadonlySignal<number>;
  readonly value: (point: Point) => number | null;
}

export function Sparkline({ label, machine, nowMs, value }: SparklineProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const visible = useSignal(false);
  const size = useSignal(0);

  useEffect(() => {
    const element = canvas.current;
    if (element === null) return undefined;
    const seen = new IntersectionObserver(
      (entries) => {
        visible.value = entries.at(-1)?.isIntersecting ?? false;
      },
      { rootMargin: '200px' },
    );
    const resized = new ResizeObserver(() => {
      size.value += 1;
    });
    seen.observe(element);
    resized.observe(element);
    return () => {
      seen.disconnect();
      resized.disconnect();
    };
  }, []);

  useSignalEffect(() => {
    if (!visible.value || canvas.current === null) return;
    // Read so that a new size or new colours draw it again.
    void [size.value, paletteRevision.value];
    const { history } = machine.value;
    const gapMs = 3 * expectedIntervalS(machine.value) * 1000 + 1000;
    drawCurve(canvas.current, { points: history, value, gapMs, nowMs: nowMs.value });
  });

  return (
    <canvas ref={canvas} class="sparkline" role="img" aria-label={describe(label, machine.value.history, value)} />
  );
}

function describe(label: string, history: readonly Point[], value: SparklineProps['value']): string {
  const values = history.map(value).filter((number) => number !== null);
  const last = values.at(-1);
  if (last === undefined) return `${label}: no history yet`;
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  return `${label} ${percent(last)} %, in the last two minutes between ${percent(low)} and ${percent(high)} %`;
}
