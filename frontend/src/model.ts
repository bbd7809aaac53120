/** The state as signals: a view that reads one machine is drawn again only when that machine changed. */
import { type Signal, batch, computed, signal } from '@preact/signals';
import { type Freshness, freshness } from './freshness';
import { isClientName } from './plain';
import { type Action, type Machine, type State, initial, isShown, reduce } from './store';

export type Counts = Readonly<Record<Freshness | 'shown' | 'disabled', number>>;

export class Model {
  readonly state = signal<State>(initial);
  readonly connection = computed(() => this.state.value.connection);
  readonly refused = computed(() => this.state.value.refused);
  /** Advances once a second, so that ages grow without samples. */
  readonly nowMs = signal(Date.now());
  readonly query = signal('');
  /** Keys of the machines on the page, by name. */
  readonly order = signal<readonly string[]>([]);
  readonly matching = computed(() => matching(this.order.value, this.state.value, this.query.value));
  readonly counts = computed(() => count(this.state.value, this.nowMs.value));
  readonly #machines = new Map<string, Signal<Machine>>();
  #matchingBefore: readonly string[] = [];

  /** The keys to draw; the same list as long as it names the same machines in the same order. */
  readonly drawn = computed(() => {
    const keys = this.matching.value;
    if (!same(keys, this.#matchingBefore)) this.#matchingBefore = keys;
    return this.#matchingBefore;
  });

  dispatch(actions: readonly Action[]): void {
    const before = this.state.peek();
    const after = reduce(before, actions);
    batch(() => {
      for (const machine of after.machines.values()) {
        if (before.machines.get(machine.key) !== machine) this.#show(machine);
      }
      this.state.value = after;
      const keys = ordered(after);
      if (!same(keys, this.order.peek())) this.order.value = keys;
    });
  }

  machine(key: string): Signal<Machine> {
    const found = this.#machines.get(key);
    if (found === undefined) throw new Error(`no machine ${key}`);
    return found;
  }

  #show(machine: Machine): void {
    const known = this.#machines.get(machine.key);
    if (known === undefined) this.#machines.set(machine.key, signal(machine));
    else known.value = machine;
  }
}

/** What a card is headed with: the client's own name, or for the tutorial's clients the host's. */
export function title(machine: Machine): string {
  return isClientName(machine.key) ? machine.key : machine.name;
}

const collator = new Intl.Collator('en', { numeric: true });

function ordered(state: State): readonly string[] {
  return Array.from(state.machines.values())
    .filter(isShown)
    .sort((a, b) => collator.compare(title(a), title(b)) || collator.compare(a.key, b.key))
    .map((machine) => machine.key);
}

function matching(keys: readonly string[], state: State, query: string): readonly string[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return keys;
  return keys.filter((key) => {
    const machine = state.machines.get(key);
    const text = `${key} ${machine?.name ?? ''} ${machine?.ip ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function count(state: State, nowMs: number): Counts {
  const counts = { shown: 0, disabled: 0, waiting: 0, live: 0, late: 0, stale: 0 };
  for (const machine of state.machines.values()) {
    if (machine.deleted) continue;
    if (machine.configuration.disabled) {
      counts.disabled += 1;
      continue;
    }
    counts.shown += 1;
    counts[freshness(machine, nowMs)] += 1;
  }
  return counts;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((key, index) => key === b[index]);
}
