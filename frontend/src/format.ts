/** Numbers and times for people. Everything returned is plain text. */

const noBreak = '\u00a0';
const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** `1536` gives `1.5 KiB`; three significant digits are enough for a card. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < binaryUnits.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value.toFixed(0) : significant(value)}${noBreak}${binaryUnits[unit]}`;
}

function significant(value: number): string {
  if (value < 9.995) return value.toFixed(2);
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

/** One decimal below 99.95, so that the width of a live number changes little. */
export function percent(value: number): string {
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

/** A duration with its two largest units: `3 d 4 h`, `12 min 5 s`, `8 s`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts: readonly [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return `0${noBreak}s`;
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${noBreak}${unit}`)
    .join(' ');
}

/** The age of a sample: below a second and a half it is now. */
export function age(ms: number): string {
  return ms < 1500 ? 'now' : `${duration(ms / 1000)} ago`;
}

/** Clock time of an instant, with its date when that was not today. */
export function instant(atMs: number, nowMs: number): string {
  const at = new Date(atMs);
  const time = at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
  if (at.toDateString() === new Date(nowMs).toDateString()) return time;
  return `${at.toLocaleDateString(undefined, { day: 'numeric', month: 'short', year: 'numeric' })}, ${time}`;
}

export function counted(count: number, one: string, many: string): string {
  return `${count.toLocaleString('en')}${noBreak}${count === 1 ? one : many}`;
}
