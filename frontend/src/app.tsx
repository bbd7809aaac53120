/** Puts the parts together: feed → batch → model → views. */
import { render } from 'preact';
import { batched } from './batch';
import type { Feed } from './feed';
import { Model } from './model';
import type { PageData } from './page-data';
import { relisting } from './relist';
import type { Action } from './store';
import { restoreTheme } from './theme';
import { Page } from './views/page';

export interface AppOptions {
  readonly root: HTMLElement;
  readonly page: PageData;
  readonly feed: Feed;
  readonly fetchPage: () => Promise<PageData>;
}

export function start({ root, page, feed, fetchPage }: AppOptions): void {
  restoreTheme();
  const model = new Model();
  const startedMs = Date.now();

  const take = (actions: readonly Action[]): void => {
    const known = model.state.peek().machines.size;
    model.dispatch(actions);
    const { machines } = model.state.peek();
    if (machines.size === known) return;
    feed.follow(machines.keys());
    // A machine that came by itself: the server knows more of it than its samples tell.
    if (Array.from(machines.values()).some((machine) => !machine.listed && machine.listedMs >= startedMs)) relist();
  };
  const dispatch = batched(take);
  const relist = relisting({
    fetchPage,
    listed: (fresh, askedMs) => dispatch({ type: 'listed', machines: fresh.machines, askedMs, atMs: Date.now() }),
    failed: (reason) => console.warn(`Heliograph: the list of machines could not be read again: ${reason}`),
  });

  take([{ type: 'listed', machines: page.machines, askedMs: startedMs, atMs: startedMs }]);
  root.replaceChildren();
  render(<Page model={model} page={page} retryNow={() => feed.retryNow()} />, root);
  setInterval(() => {
    if (!document.hidden) model.nowMs.value = Date.now();
  }, 1000);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) model.nowMs.value = Date.now();
  });

  feed.start({
    connected: () => {
      dispatch({ type: 'connected' });
      relist();
    },
    lost: (reason, retryAtMs) => dispatch({ type: 'lost', reason, retryAtMs, atMs: Date.now() }),
    sample: (payload) => dispatch({ type: 'sampled', payload, atMs: Date.now() }),
    configuration: (key, payload) => dispatch({ type: 'configured', key, payload, atMs: Date.now() }),
    refused: (key, reason) => dispatch({ type: 'refused', key, reason }),
  });
}
