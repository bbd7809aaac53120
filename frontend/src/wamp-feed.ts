/** The feed from a WAMP router. The only module that knows wampy, and the only one that owns a socket. */
import { Wampy } from 'wampy';
import { waitMs } from './backoff';
import type { Feed, FeedListener } from './feed';

export interface WampFeedOptions {
  readonly url: string;
  readonly realm: string;
  /** The WebSocket class; the browser's unless a test brings its own. */
  readonly socket: SocketClass;
  readonly joinTimeoutMs?: number;
  readonly probeTimeoutMs?: number;
  readonly random?: () => number;
}

export type SocketClass = new (url: string, protocols?: string | string[]) => WebSocket;
type WampySocketClass = NonNullable<NonNullable<ConstructorParameters<typeof Wampy>[1]>['ws']>;

/** A connection must have lasted this long before a loss counts as the first of a new series. */
const settledMs = 10_000;
/** Silence after which the router is asked whether it is still there: a dead network closes no socket. */
const silenceMs = 20_000;

/** One connection from its first packet to its end; a new one is made for every attempt. */
interface Link {
  readonly session: Wampy;
  socket: WebSocket | null;
  joinedMs: number | null;
  heardMs: number;
}

export class WampFeed implements Feed {
  readonly #options: WampFeedOptions;
  readonly #keys = new Set<string>();
  #listener: FeedListener | null = null;
  #link: Link | null = null;
  #attempt = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #joinTimer: ReturnType<typeof setTimeout> | undefined;
  #probeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: WampFeedOptions) {
    this.#options = options;
  }

  start(listener: FeedListener): void {
    this.#listener = listener;
    this.#open();
  }

  follow(keys: Iterable<string>): void {
    for (const key of keys) {
      if (this.#keys.has(key)) continue;
      this.#keys.add(key);
      const link = this.#link;
      if (link?.joinedMs != null) void this.#subscribeKey(link, key);
    }
  }

  retryNow(): void {
    if (this.#link !== null) return;
    clearTimeout(this.#retryTimer);
    this.#open();
  }

  /** To be called when the page is looked at again or the network is back. */
  wake(): void {
    if (this.#link === null) this.retryNow();
    else this.#probe(this.#link, 3_000);
  }

  /** To be called now and then: asks a router that has been silent for long whether it is still there. */
  check(): void {
    if (this.#link !== null) this.#probe(this.#link, silenceMs);
  }

  stop(): void {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#joinTimer);
    clearTimeout(this.#probeTimer);
    const link = this.#link;
    this.#link = null;
    link?.socket?.close();
  }

  #open(): void {
    const link: Link = { session: this.#session(() => link), socket: null, joinedMs: null, heardMs: Date.now() };
    this.#link = link;
    const joinTimeoutMs = this.#options.joinTimeoutMs ?? 10_000;
    this.#joinTimer = setTimeout(
      () => this.#end(link, `the router did not answer within ${joinTimeoutMs / 1000} s`),
      joinTimeoutMs,
    );
    this.#join(link).catch((error: unknown) => this.#end(link, words(error)));
  }

  #session(link: () => Link): Wampy {
    const Socket = this.#options.socket;
    // wampy's own reconnection waits a fixed time (and its `maxRetries: 0` means "for ever"), so it stays off.
    return new Wampy(this.#options.url, {
      realm: this.#options.realm,
      autoReconnect: false,
      uriValidation: 'loose',
      ws: function socketOfLink(url: string, protocols?: string[]): WebSocket {
        const socket = new Socket(url, protocols);
        link().socket = socket;
        socket.addEventListener('message', () => {
          link().heardMs = Date.now();
        });
        return socket;
      } as unknown as WampySocketClass,
      onClose: () => this.#end(link(), 'the connection was closed'),
      onError: (error) => this.#end(link(), words(error)),
    });
  }

  async #join(link: Link): Promise<void> {
    await link.session.connect();
    if (this.#link !== link) return;
    link.joinedMs = Date.now();
    await Promise.all([
      link.session.subscribe('clientstats', (event) => {
        if (this.#link === link) this.#listener?.sample(event.argsList?.[0]);
      }),
      ...Array.from(this.#keys, (key) => this.#subscribeKey(link, key)),
    ]);
    if (this.#link !== link) return;
    clearTimeout(this.#joinTimer);
    this.#listener?.connected();
  }

  async #subscribeKey(link: Link, key: string): Promise<void> {
    try {
      await link.session.subscribe(`clientconfig.${key}`, (event) => {
        if (this.#link === link) this.#listener?.configuration(key, event.argsList?.[0]);
      });
    } catch (error) {
      if (this.#link !== link) return;
      if (refusalUri(error) === null) this.#end(link, words(error));
      else this.#listener?.refused(key, words(error));
    }
  }

  #probe(link: Link, silentForMs: number): void {
    if (link.joinedMs === null || Date.now() - link.heardMs < silentForMs) return;
    const askedMs = Date.now();
    // Any answer will do, a refusal too; that something was heard is what counts, so the result is not looked at.
    link.session.call('wamp.session.count').then(ignore, ignore);
    clearTimeout(this.#probeTimer);
    this.#probeTimer = setTimeout(() => {
      if (link.heardMs < askedMs) this.#end(link, 'the router fell silent');
    }, this.#options.probeTimeoutMs ?? 5_000);
  }

  #end(link: Link, reason: string): void {
    if (this.#link !== link) return;
    this.#link = null;
    clearTimeout(this.#joinTimer);
    clearTimeout(this.#probeTimer);
    link.socket?.close();
    const nowMs = Date.now();
    if (link.joinedMs !== null && nowMs - link.joinedMs >= settledMs) this.#attempt = 0;
    const delayMs = waitMs(this.#attempt, (this.#options.random ?? Math.random)());
    this.#attempt += 1;
    this.#listener?.lost(reason, nowMs + delayMs);
    this.#retryTimer = setTimeout(() => {
      this.#listener?.lost(reason, null);
      this.#open();
    }, delayMs);
  }
}

function ignore(): void {}

/** The URI of the error by which the router refused a request; null when it did not come to an answer. */
function refusalUri(error: unknown): string | null {
  const holds = typeof error === 'object' && error !== null && 'errorUri' in error;
  return holds && typeof error.errorUri === 'string' ? error.errorUri : null;
}

function words(error: unknown): string {
  const uri = refusalUri(error);
  if (uri !== null) return `the router refused: ${uri}`;
  if (!(error instanceof Error) || error.name === 'WebsocketError') return 'the router cannot be reached';
  return error.message;
}
