/** The top of the page: name, counts, search, connection, theme, admin. */
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { counted } from '../format';
import type { Model } from '../model';
import type { Connection } from '../store';
import { type Theme, nextTheme, theme } from '../theme';
import { ConnectionMark, Logo } from './marks';

const searchFrom = 9;

export function Header({ model, adminUrl }: { readonly model: Model; readonly adminUrl: string | null }): JSX.Element {
  return (
    <header class="top">
      <div class="brand">
        <Logo />
        <h1>Heliograph</h1>
      </div>
      <Tally model={model} />
      <Search model={model} />
      <div class="controls">
        <ConnectionPill model={model} />
        <ThemeButton />
        {adminUrl !== null && (
          <a class="button" href={adminUrl}>
            Admin
          </a>
        )}
      </div>
    </header>
  );
}

function Tally({ model }: { readonly model: Model }): JSX.Element {
  const counts = model.counts.value;
  const parts: readonly [string, number][] = [
    ['live', counts.live],
    ['late', counts.late],
    ['stale', counts.stale],
    ['waiting', counts.waiting],
    ['disabled', counts.disabled],
  ];
  return (
    <p class="tally">
      <span data-value="machine-count">{counted(counts.shown, 'machine', 'machines')}</span>
      {parts
        .filter(([, count]) => count > 0)
        .map(([word, count]) => (
          <span key={word} data-count={word}>
            {count} {word}
          </span>
        ))}
    </p>
  );
}

function Search({ model }: { readonly model: Model }): JSX.Element | null {
  const input = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    const focus = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey;
      if (event.key !== '/' || typing || input.current === null) return;
      event.preventDefault();
      input.current.focus();
    };
    document.addEventListener('keydown', focus);
    return () => document.removeEventListener('keydown', focus);
  }, []);
  if (model.order.value.length < searchFrom && model.query.value === '') return null;
  return (
    <input
      ref={input}
      class="search"
      type="search"
      placeholder="Filter by name or address"
      aria-label="Filter machines by name or address"
      aria-keyshortcuts="/"
      autocomplete="off"
      spellcheck={false}
      value={model.query.value}
      onInput={(event) => {
        model.query.value = event.currentTarget.value;
      }}
      onKeyDown={(event) => {
        if (event.key === 'Escape') model.query.value = '';
      }}
    />
  );
}

function ConnectionPill({ model }: { readonly model: Model }): JSX.Element {
  const connection = model.connection.value;
  return (
    <span class="pill" data-connection={connection.phase}>
      <ConnectionMark phase={connection.phase} />
      {pillWords(connection, model)}
    </span>
  );
}

function pillWords(connection: Connection, model: Model): string {
  if (connection.phase !== 'lost') return connection.phase;
  return `lost, ${retryWords(connection.retryAtMs, model.nowMs.value)}`;
}

export function retryWords(retryAtMs: number | null, nowMs: number): string {
  const seconds = retryAtMs === null ? 0 : Math.ceil((retryAtMs - nowMs) / 1000);
  return seconds <= 0 ? 'retrying now' : `retrying in ${seconds}\u00a0s`;
}

const themeWords: Readonly<Record<Theme, string>> = { system: 'Auto', light: 'Light', dark: 'Dark' };

function ThemeButton(): JSX.Element {
  const words = themeWords[theme.value];
  return (
    <button class="button" type="button" data-theme-choice={theme.value} onClick={nextTheme}>
      <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" class="mark">
        <circle cx="6" cy="6" r="4.5" class="hollow" />
        <path d="M6 1.5a4.5 4.5 0 0 1 0 9Z" />
      </svg>
      <span class="unseen">Colours: </span>
      {words}
    </button>
  );
}
