/** Drawn signs. A state is always shape, word and colour. */
import type { JSX } from 'preact';
import type { Freshness } from '../freshness';

/** A mirror that catches the sun and sends its beam on. */
export function Logo(): JSX.Element {
  return (
    <svg class="logo" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true">
      <rect class="logo-tile" width="32" height="32" rx="9" />
      <path class="logo-beam" d="M7.4 17.6 20 0h3a9 9 0 0 1 9 9v3L14.4 24.6Z" />
      <circle class="logo-mirror" cx="11" cy="21" r="5.4" />
    </svg>
  );
}

const shapes: Readonly<Record<Freshness, JSX.Element>> = {
  live: <circle cx="6" cy="6" r="4.5" />,
  late: <path d="M6 1.2 11.2 10.6H.8Z" />,
  stale: <rect x="1.8" y="1.8" width="8.4" height="8.4" rx="1" class="hollow" />,
  waiting: <circle cx="6" cy="6" r="4.2" class="hollow dashed" />,
};

export function FreshnessMark({ state }: { readonly state: Freshness }): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
      {shapes[state]}
    </svg>
  );
}

export function ConnectionMark({ phase }: { readonly phase: 'connecting' | 'live' | 'lost' }): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
      {phase === 'live' && <circle cx="6" cy="6" r="4.5" />}
      {phase === 'connecting' && <circle cx="6" cy="6" r="4.2" class="hollow dashed" />}
      {phase === 'lost' && <path class="hollow" d="M2.5 2.5 9.5 9.5M9.5 2.5 2.5 9.5" />}
    </svg>
  );
}
