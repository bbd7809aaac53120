/** Reads the server's list of machines again: what changed while nobody listened is in no event. */
import { type PageData, embeddedId, parsePage } from './page-data';

/** Fetches the page it stands on and reads the list embedded in it. Raises an error when there is none. */
export async function fetchPage(): Promise<PageData> {
  const response = await fetch(location.pathname, {
    cache: 'no-store',
    credentials: 'same-origin',
    signal: AbortSignal.timeout(10_000),
  });
  if (!response.ok) throw new Error(`the page answered ${response.status}`);
  // A parsed document is inert: nothing in it runs, loads or is shown.
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const embedded = page.getElementById(embeddedId)?.textContent;
  if (!embedded) throw new Error(`the page has no #${embeddedId}`);
  return parsePage(embedded);
}

const spacingMs = 5_000;
const attempts = 5;

export interface RelistOptions {
  readonly fetchPage: () => Promise<PageData>;
  readonly listed: (page: PageData, askedMs: number) => void;
  /** Called when the list could not be read after several attempts. */
  readonly failed: (reason: string) => void;
}

/** Returns a function that asks for a new list: one request at a time, at most one in five seconds. */
export function relisting(options: RelistOptions): () => void {
  let busy = false;
  let again = false;

  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  const ask = async (): Promise<void> => {
    for (let attempt = 1; ; attempt += 1) {
      const askedMs = Date.now();
      try {
        return options.listed(await options.fetchPage(), askedMs);
      } catch (error) {
        if (attempt === attempts) return options.failed(String(error));
      }
      // After a restart the socket is up before the application is.
      await pause(500 * 2 ** attempt);
    }
  };

  const run = async (): Promise<void> => {
    busy = true;
    do {
      again = false;
      await ask();
      await pause(spacingMs);
    } while (again);
    busy = false;
  };

  return () => {
    if (busy) again = true;
    else void run();
  };
}
