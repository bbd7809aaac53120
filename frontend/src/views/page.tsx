/** The whole page. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { counted, instant } from '../format';
import type { Model } from '../model';
import type { PageData } from '../page-data';
import type { State } from '../store';
import { Card } from './card';
import { Header, retryWords } from './header';

interface PageProps {
  readonly model: Model;
  readonly page: PageData;
  readonly retryNow: () => void;
}

export function Page({ model, page, retryNow }: PageProps): JSX.Element {
  const { phase } = model.connection.value;
  return (
    <div class="page" data-feed={phase}>
      <Header model={model} adminUrl={page.adminUrl} />
      <p class="unseen" role="status">
        {statusWords[phase]}
      </p>
      <Banner model={model} retryNow={retryNow} />
      <RefusedNotice model={model} />
      {model.order.value.length === 0 ? <Empty model={model} page={page} /> : <Cards model={model} page={page} />}
      <Hint model={model} adminUrl={page.adminUrl} />
    </div>
  );
}

const statusWords: Readonly<Record<State['connection']['phase'], string>> = {
  connecting: 'Connecting to the router.',
  live: 'Live: values are current.',
  lost: 'Live updates interrupted, trying to reconnect.',
};

function Banner({ model, retryNow }: Pick<PageProps, 'model' | 'retryNow'>): JSX.Element | null {
  const connection = model.connection.value;
  if (connection.phase !== 'lost') return null;
  const { lastSampleMs } = model.state.value;
  const nowMs = model.nowMs.value;
  return (
    <div class="banner">
      <p>
        <strong>Live updates interrupted</strong>: {connection.reason}.{' '}
        {lastSampleMs !== null && `Last data ${instant(lastSampleMs, nowMs)}, `}
        {retryWords(connection.retryAtMs, nowMs)}.
      </p>
      <button class="button" type="button" onClick={retryNow} disabled={connection.retryAtMs === null}>
        Retry now
      </button>
    </div>
  );
}

function RefusedNotice({ model }: Pick<PageProps, 'model'>): JSX.Element | null {
  const { samples, machines, topics, last } = model.refused.value;
  if (samples + machines + topics === 0) return null;
  const parts = [
    samples > 0 ? counted(samples, 'malformed sample', 'malformed samples') : '',
    machines > 0 ? `${counted(machines, 'sample', 'samples')} of machines beyond the limit` : '',
    topics > 0 ? counted(topics, 'refused subscription', 'refused subscriptions') : '',
  ];
  return (
    <p class="refused" data-value="refused">
      {parts.filter(Boolean).join(', ')}. Last: {last}
    </p>
  );
}

function Cards({ model, page }: Pick<PageProps, 'model' | 'page'>): JSX.Element {
  const keys = model.drawn.value;
  if (keys.length === 0) {
    return (
      <div class="no-match">
        <p>
          No machine matches <q>{model.query.value}</q>.
        </p>
        <button class="button" type="button" onClick={() => (model.query.value = '')}>
          Clear the filter
        </button>
      </div>
    );
  }
  return (
    <div class="cards" data-few={keys.length <= 3 ? keys.length : undefined}>
      {keys.map((key) => (
        <Card key={key} name={key} model={model} adminUrl={page.adminUrl} />
      ))}
    </div>
  );
}

function Empty({ model, page }: Pick<PageProps, 'model' | 'page'>): JSX.Element {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const command = `heliograph agent --url ${scheme}://${location.host}${page.websocketPath}`;
  const { disabled } = model.counts.value;
  return (
    <section class="empty">
      <h2>{disabled > 0 ? 'Every machine is disabled' : 'Add the first machine'}</h2>
      {disabled > 0 && (
        <p>{counted(disabled, 'machine is', 'machines are')} disabled in the admin. Enable one, or add another.</p>
      )}
      <p>Run this on the machine you want to see:</p>
      <Command command={command} />
      <p class="awaited">
        <span class="beacon" aria-hidden="true" /> Waiting for a machine; this page will show it by itself.
      </p>
    </section>
  );
}

function Command({ command }: { readonly command: string }): JSX.Element {
  const copied = useSignal(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(command);
    copied.value = true;
  };
  return (
    <div class="command">
      <code data-value="command">{command}</code>
      {/* The clipboard exists on HTTPS and on this very machine only. */}
      {window.isSecureContext && (
        <button class="button" type="button" onClick={() => void copy()}>
          {copied.value ? 'Copied' : 'Copy'}
        </button>
      )}
    </div>
  );
}

function Hint({ model, adminUrl }: { readonly model: Model; readonly adminUrl: string | null }): JSX.Element | null {
  if (model.order.value.length === 0) return null;
  return (
    <footer class="hint">
      {adminUrl === null ? 'Change a machine in the admin' : <a href={adminUrl}>Change a machine in the admin</a>} and
      watch it here.
    </footer>
  );
}
