/** Light, dark, or as the system has it; the choice is kept in this browser. */
import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const storageKey = 'heliograph-theme';
const order: readonly Theme[] = ['system', 'light', 'dark'];

export const theme = signal<Theme>('system');
/** Counts changes of the colours in use, for what is drawn rather than styled. */
export const paletteRevision = signal(0);

export function restoreTheme(): void {
  const stored = storage()?.getItem(storageKey);
  show(stored === 'light' || stored === 'dark' ? stored : 'system');
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    paletteRevision.value += 1;
  });
}

export function nextTheme(): void {
  const next = order[(order.indexOf(theme.value) + 1) % order.length] ?? 'system';
  storage()?.setItem(storageKey, next);
  show(next);
}

function show(chosen: Theme): void {
  if (chosen === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = chosen;
  theme.value = chosen;
  paletteRevision.value += 1;
}

/** The browser's store, or null where privacy settings forbid it: then the choice lasts as long as the page. */
function storage(): Storage | null {
  try {
    return window.localStorage;
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}
