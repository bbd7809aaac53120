/** Draws two minutes of one value on a canvas. */
import { limits } from './limits';
import type { Point } from './history';

export interface Curve {
  readonly points: readonly Point[];
  readonly value: (point: Point) => number | null;
  /** A hole longer than this is a gap in the line. */
  readonly gapMs: number;
  readonly nowMs: number;
}

interface Spot {
  readonly x: number;
  readonly y: number;
}

const padding = 3;

/** Draws the curve in the canvas's own `color`; the vertical scale is 0 to 100 %. */
export function drawCurve(canvas: HTMLCanvasElement, curve: Curve): void {
  const context = sized(canvas);
  if (context === null) return;
  const { clientWidth: width, clientHeight: height } = canvas;
  context.clearRect(0, 0, width, height);
  const colour = getComputedStyle(canvas).color;
  drawBaseline(context, colour, width, height);
  const runs = split(curve, width, height);
  for (const run of runs) drawRun(context, run, colour, height);
  const last = runs.at(-1)?.at(-1);
  if (last === undefined) return;
  context.globalAlpha = 1;
  context.fillStyle = colour;
  context.beginPath();
  context.arc(last.x, last.y, 2, 0, 2 * Math.PI);
  context.fill();
}

/** The context, with the bitmap as large as the element in the screen's own pixels. */
function sized(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (width === 0 || height === 0) return null;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

function drawBaseline(context: CanvasRenderingContext2D, colour: string, width: number, height: number): void {
  context.globalAlpha = 0.25;
  context.fillStyle = colour;
  context.fillRect(0, height - 1, width, 1);
}

/** Cuts the points into runs without gaps, in the canvas's coordinates. */
export function split(curve: Curve, width: number, height: number): readonly (readonly Spot[])[] {
  const runs: Spot[][] = [];
  let run: Spot[] = [];
  let lastMs = -Infinity;
  for (const point of curve.points) {
    const value = curve.value(point);
    const agoMs = curve.nowMs - point.atMs;
    if (value === null || agoMs > limits.historySpanMs) continue;
    if (point.atMs - lastMs > curve.gapMs) {
      run = [];
      runs.push(run);
    }
    lastMs = point.atMs;
    run.push({
      x: (width - padding) * (1 - Math.max(0, agoMs) / limits.historySpanMs),
      y: padding + (height - 1 - 2 * padding) * (1 - value / 100),
    });
  }
  return runs;
}

function drawRun(context: CanvasRenderingContext2D, run: readonly Spot[], colour: string, height: number): void {
  const [first] = run;
  const last = run.at(-1);
  if (first === undefined || last === undefined) return;
  const line = new Path2D();
  line.moveTo(first.x, first.y);
  for (const spot of run) line.lineTo(spot.x, spot.y);
  const area = new Path2D(line);
  area.lineTo(last.x, height);
  area.lineTo(first.x, height);
  area.closePath();
  context.fillStyle = colour;
  context.globalAlpha = 0.16;
  context.fill(area);
  context.globalAlpha = 1;
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.lineJoin = 'round';
  context.stroke(line);
}
