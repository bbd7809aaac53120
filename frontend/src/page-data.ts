/** The list of machines that the server embeds in the page, so that nothing starts blank. */
import { limits } from './limits';
import { type Configuration, assumed, parseConfiguration } from './configuration';
import { type Fields, field, isFields, machineKey, magnitude, shortText } from './plain';

export const embeddedId = 'heliograph-dashboard';

export interface ListedMachine {
  readonly key: string;
  readonly name: string | null;
  readonly configuration: Configuration;
  /** Seconds between the machine's last sample and the making of the page, by the server's clock; null when never. */
  readonly lastSeenAgeS: number | null;
}

export interface PageData {
  readonly websocketPath: string;
  readonly realm: string;
  readonly adminUrl: string | null;
  readonly machines: readonly ListedMachine[];
}

/** Reads the embedded JSON. Raises an error that says what is missing, for whoever edits the template. */
export function parsePage(json: string): PageData {
  const data: unknown = JSON.parse(json);
  if (!isFields(data)) throw new Error(`the JSON in #${embeddedId} is not an object`);
  const clients = field(data, 'clients');
  if (!Array.isArray(clients)) throw new Error(`the JSON in #${embeddedId} has no list "clients"`);
  const serverTimeS = magnitude(field(data, 'server_time_s'));
  const machines: ListedMachine[] = [];
  for (const client of clients.slice(0, limits.machines)) {
    const machine = isFields(client) ? listedMachine(client, serverTimeS) : null;
    if (machine !== null) machines.push(machine);
  }
  return {
    websocketPath: localPath(field(data, 'websocket_path')) ?? '/ws',
    realm: shortText(field(data, 'realm')) || 'realm1',
    adminUrl: localPath(field(data, 'admin_url')),
    machines,
  };
}

function listedMachine(client: Fields, serverTimeS: number | null): ListedMachine | null {
  const key = machineKey(client);
  const parsed = parseConfiguration(client, assumed);
  if (key === null || parsed === null) return null;
  const lastSeenS = magnitude(field(client, 'last_seen_s'));
  return {
    key,
    name: shortText(field(client, 'name')) || null,
    configuration: parsed.configuration,
    lastSeenAgeS: lastSeenS === null || serverTimeS === null ? null : Math.max(0, serverTimeS - lastSeenS),
  };
}

/** A path of this very site; never another host's address or a script. */
function localPath(value: unknown): string | null {
  return typeof value === 'string' && /^\/(?![/\\])[\w\-./]*$/.test(value) ? value : null;
}
