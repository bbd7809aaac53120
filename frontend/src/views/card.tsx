/** One machine. */
import { type ReadonlySignal, useComputed } from '@preact/signals';
import type { JSX } from 'preact';
import { age, duration, instant } from '../format';
import { type Freshness, expectedIntervalS, freshness } from '../freshness';
import { type Model, title } from '../model';
import type { Machine } from '../store';
import { CpuGroup, DisksGroup, MemoryGroup } from './groups';
import { FreshnessMark } from './marks';

interface CardProps {
  readonly model: Model;
  readonly name: string;
  readonly adminUrl: string | null;
}

export function Card({ model, name, adminUrl }: CardProps): JSX.Element {
  const machine = model.machine(name);
  const state = useComputed(() => freshness(machine.value, model.nowMs.value));
  const { configuration, sample } = machine.value;
  const heading = `machine-${name}`;
  return (
    <article class="card" data-client={name} data-state={state.value} aria-labelledby={heading}>
      <header class="card-head">
        <h2 class="card-title" id={heading} title={title(machine.value)}>
          {title(machine.value)}
        </h2>
        <Currency machine={machine} nowMs={model.nowMs} state={state.value} />
        <Particulars machine={machine.value} />
      </header>
      {(state.value === 'stale' || state.value === 'waiting') && <Notice machine={machine} nowMs={model.nowMs} />}
      <div class="card-body">
        {configuration.showCpus && <CpuGroup machine={machine} nowMs={model.nowMs} />}
        {configuration.showMemory && <MemoryGroup machine={machine} nowMs={model.nowMs} />}
        {configuration.showDisk && <DisksGroup machine={machine} />}
        {hiddenGroups(machine.value).length === 3 && <p class="detail">Everything is hidden by configuration.</p>}
      </div>
      <OtherErrors machine={machine.value} />
      <footer class="card-foot">
        <span>
          every <span data-value="interval">{configuration.frequencyS}</span> s
          {sample?.intervalS != null && sample.intervalS !== configuration.frequencyS && (
            <span data-value="reported-interval"> (reports every {sample.intervalS} s)</span>
          )}
        </span>
        {hiddenGroups(machine.value).length > 0 && (
          <span data-value="hidden">hidden: {hiddenGroups(machine.value).join(', ')}</span>
        )}
        <ChangeNote machine={machine} nowMs={model.nowMs} />
        {adminUrl !== null && configuration.id !== null && (
          <a class="configure" href={`${adminUrl}${configuration.id}/change/`}>
            Configure<span class="unseen"> {title(machine.value)}</span>
          </a>
        )}
      </footer>
    </article>
  );
}

function hiddenGroups({ configuration }: Machine): readonly string[] {
  const groups: readonly [string, boolean][] = [
    ['CPU', configuration.showCpus],
    ['memory', configuration.showMemory],
    ['disks', configuration.showDisk],
  ];
  return groups.filter(([, shown]) => !shown).map(([name]) => name);
}

interface Ageing {
  readonly machine: ReadonlySignal<Machine>;
  readonly nowMs: ReadonlySignal<number>;
}

function Currency({ machine, nowMs, state }: Ageing & { readonly state: Freshness }): JSX.Element {
  const beat = machine.value.history.at(-1)?.atMs ?? 0;
  // A signal in the text is written straight into the page: a second passing draws no card again.
  const ageWords = useComputed(() => {
    const { lastSeenMs } = machine.value;
    return lastSeenMs === null ? '' : age(nowMs.value - lastSeenMs);
  });
  return (
    <p class="currency">
      <span class="state" key={beat} data-beats={beat > 0}>
        <FreshnessMark state={state} />
      </span>
      <span class="state-word">{state}</span>
      <span class="age" data-value="age">
        {ageWords}
      </span>
    </p>
  );
}

function Particulars({ machine }: { readonly machine: Machine }): JSX.Element {
  const uptimeS = machine.sample?.uptimeS ?? null;
  return (
    <p class="particulars">
      {machine.name !== title(machine) && <span data-value="name">{machine.name}</span>}
      {machine.ip !== null && machine.ip !== machine.name && <span data-value="ip">{machine.ip}</span>}
      {uptimeS !== null && (
        <span>
          up <span data-value="uptime">{duration(uptimeS)}</span>
        </span>
      )}
    </p>
  );
}

function Notice({ machine, nowMs }: Ageing): JSX.Element {
  const { lastSeenMs, sample } = machine.value;
  const seen = lastSeenMs === null ? null : instant(lastSeenMs, nowMs.value);
  if (sample !== null) return <p class="card-notice">No sample since {seen}. These values are old.</p>;
  return (
    <p class="card-notice">
      Waiting for {seen === null ? 'the first sample.' : `a sample. Last seen ${seen}.`}
    </p>
  );
}

const grouped = ['cpu', 'memory', 'disk'];

/** Failures of collectors that belong to none of the groups on the card. */
function OtherErrors({ machine }: { readonly machine: Machine }): JSX.Element | null {
  const errors = (machine.sample?.errors ?? []).filter(
    (error) => !grouped.some((group) => error.collector.startsWith(group)),
  );
  if (errors.length === 0) return null;
  return (
    <ul class="errors">
      {errors.map((error) => (
        <li class="detail trouble" data-value="error" key={error.collector}>
          {error.collector}: {error.message}
        </li>
      ))}
    </ul>
  );
}

const noteLastsMs = 8_000;

/** What was just changed in the admin, and how soon the machine obeyed. */
function ChangeNote({ machine, nowMs }: Ageing): JSX.Element | null {
  const { change } = machine.value;
  if (change === null) return null;
  const { words, sentMs, obeyedMs } = change;
  const lastsMs = obeyedMs === null ? 2 * noteLastsMs + 2000 * expectedIntervalS(machine.value) : noteLastsMs;
  if (nowMs.value - (obeyedMs ?? sentMs) > lastsMs) return null;
  return (
    <span class="change" data-value="change" data-obeyed={obeyedMs !== null}>
      {words}: {obeyedMs === null ? 'sent' : obeyedWords(obeyedMs - sentMs)}
    </span>
  );
}

function obeyedWords(ms: number): string {
  return ms < 100 ? 'obeyed at once' : `obeyed after ${(ms / 1000).toFixed(1)} s`;
}
