/** The page with a feed that invents samples; `window.demo` drives it by hand (tests, the browser's console). */
import '../src/styles/dashboard.css';
import { start } from '../src/app';
import type { Feed, FeedListener } from '../src/feed';
import { embeddedId, parsePage } from '../src/page-data';
import { fetchPage } from '../src/relist';

declare global {
  interface Window {
    demo: FakeFeed;
  }
}

const gib = 2 ** 30;

class FakeFeed implements Feed {
  listener: FeedListener | null = null;
  /** With `?still` nothing is invented: whoever drives the page sends every sample. */
  running = !location.search.includes('still');
  readonly followed = new Set<string>();
  readonly #levels = new Map<string, number>();
  #sequence = 0;

  start(listener: FeedListener): void {
    this.listener = listener;
    listener.connected();
    const keys = [...this.followed];
    if (this.running) this.#round(keys);
    setInterval(() => {
      if (this.running) this.#round(keys);
    }, 1000);
  }

  follow(keys: Iterable<string>): void {
    for (const key of keys) this.followed.add(key);
  }

  retryNow(): void {
    this.running = true;
    this.listener?.connected();
  }

  lose(): void {
    this.running = false;
    this.listener?.lost('the router cannot be reached', Date.now() + 7000);
  }

  sample(payload: unknown): void {
    this.listener?.sample(payload);
  }

  configuration(key: string, payload: unknown): void {
    this.listener?.configuration(key, payload);
  }

  #round(keys: readonly string[]): void {
    this.#sequence += 1;
    keys.forEach((key, index) => {
      if (index === 3 || (index === 6 && this.#sequence > 3)) return;
      // Spread over the second, as real machines are.
      setTimeout(() => this.listener?.sample(this.#invent(key, index)), (index / keys.length) * 900);
    });
  }

  #invent(key: string, index: number): unknown {
    const cores = [4, 8, 2, 16, 64, 1, 4][index % 7] ?? 4;
    const level = Math.min(97, Math.max(2, (this.#levels.get(key) ?? 12 + ((index * 17) % 70)) + (Math.random() - 0.5) * 14));
    this.#levels.set(key, level);
    const core = (): number => Math.min(100, Math.max(0, level + (Math.random() - 0.5) * 30));
    if (key.includes('.')) {
      return {
        ip: key,
        name: 'tutorial-host',
        cpus: Array.from({ length: cores }, () => `${core().toFixed(1)}%`),
        memory: `${(1 + level / 60).toFixed(2)}GiB/3.84GiB (${(26 + level / 3).toFixed(1)}%)`,
        disks: { '/': '12.31GiB/38.60GiB (31.9%)', '/boot': '0.21GiB/0.49GiB (43.1%)' },
      };
    }
    const total = [7.8, 31.2, 3.8, 62.7][index % 4] ?? 8;
    return {
      client: key,
      ip: `192.0.2.${(index % 250) + 1}`,
      name: `${key}.example.org`,
      version: '0.1.0',
      sequence: this.#sequence,
      time_s: Date.now() / 1000,
      interval_s: index === 4 ? 5 : 1,
      uptime_s: 86_400 * (index + 2.3) + this.#sequence,
      cpu_percents: Array.from({ length: cores }, core),
      load_averages: [(level / 100) * cores, (level / 120) * cores, (level / 130) * cores],
      ...(index === 5
        ? {}
        : {
            memory_used_bytes: total * gib * (0.2 + level / 180 + index / 60),
            memory_total_bytes: total * gib,
            swap_used_bytes: index % 2 ? 0.3 * gib : 0,
            swap_total_bytes: index % 3 ? 2 * gib : 0,
          }),
      ...(index === 7
        ? { errors: { disks: 'PermissionError: [Errno 13] Permission denied: /mnt/backup' } }
        : {
            disk_usages: ['/', '/var/lib/postgresql/data', '/home'].slice(0, 1 + (index % 3)).map((mountpoint, disk) => ({
              mountpoint,
              used_bytes: (31 + disk * 180 + index * 4) * gib,
              total_bytes: (98 + disk * 290) * gib,
            })),
          }),
    };
  }
}

const root = document.getElementById('dashboard');
const embedded = document.getElementById(embeddedId)?.textContent;
if (root === null || !embedded) throw new Error('the demonstration page is incomplete');
const page = parsePage(embedded);
window.demo = new FakeFeed();
start({ root, page, feed: window.demo, fetchPage });
