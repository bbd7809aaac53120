/** Where live values come from. The page knows only this; a router, or a demonstration, stands behind it. */

export interface FeedListener {
  connected(): void;
  /** `retryAtMs` is null while an attempt is under way. */
  lost(reason: string, retryAtMs: number | null): void;
  sample(payload: unknown): void;
  configuration(key: string, payload: unknown): void;
  /** The router will not tell about one machine's configuration; everything else goes on. */
  refused(key: string, reason: string): void;
}

export interface Feed {
  start(listener: FeedListener): void;
  /** Listens to the configuration of these machines too, now and after every reconnection. */
  follow(keys: Iterable<string>): void;
  retryNow(): void;
}
