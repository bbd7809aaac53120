/** The three groups of a card: CPU, memory, disks. */
import type { ReadonlySignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { bytes, counted, percent } from '../format';
import type { Point } from '../history';
import type { Sample, TextValue } from '../sample';
import { cpuPercent, memoryPercent, usedPercent } from '../sample';
import type { Machine } from '../store';
import { Bar, level } from './bar';
import { Sparkline } from './sparkline';

interface GroupProps {
  readonly machine: ReadonlySignal<Machine>;
  readonly nowMs: ReadonlySignal<number>;
}

export function CpuGroup({ machine, nowMs }: GroupProps): JSX.Element {
  const { sample } = machine.value;
  const overall = sample === null ? null : cpuPercent(sample);
  return (
    <section class="group" data-group="cpu">
      <Headline title="CPU" name="cpu-percent" value={overall} />
      <Sparkline label="CPU" machine={machine} nowMs={nowMs} value={cpuOf} />
      <Missing sample={sample} collector="cpu" present={hasCpu(sample)}>
        <Cores percents={corePercents(sample)} leftOut={sample?.coresLeftOut ?? 0} />
        <CoreTexts values={sample?.cores == null ? sample?.cpusText : null} />
        {sample?.loadAverages != null && (
          <p class="detail">
            load <span data-value="load">{sample.loadAverages.map((load) => load.toFixed(2)).join('  ')}</span>
          </p>
        )}
      </Missing>
    </section>
  );
}

function cpuOf(point: Point): number | null {
  return point.cpuPercent;
}

function memoryOf(point: Point): number | null {
  return point.memoryPercent;
}

function hasCpu(sample: Sample | null): boolean {
  return sample?.cores != null || sample?.cpusText != null || sample?.loadAverages != null;
}

function corePercents(sample: Sample | null): readonly number[] {
  if (sample?.cores != null) return sample.cores;
  const read = (sample?.cpusText ?? []).map((value) => value.percent);
  return read.every((value) => value !== null) ? read : [];
}

function Cores({ percents, leftOut }: { readonly percents: readonly number[]; readonly leftOut: number }): JSX.Element {
  return (
    <>
      <ol class="cores" data-many={percents.length > 24} aria-label={counted(percents.length, 'core', 'cores')}>
        {percents.map((value, index) => (
          <li class="core" key={index} data-level={level(value)} title={`Core ${index}: ${percent(value)} %`}>
            <span class="core-fill" style={{ '--share': (value / 100).toFixed(4) }} />
            <span class="unseen" data-value="core-percent">
              {percent(value)} %
            </span>
          </li>
        ))}
      </ol>
      {leftOut > 0 && <p class="detail">and {counted(leftOut, 'core', 'cores')} not shown</p>}
    </>
  );
}

function CoreTexts({ values }: { readonly values: readonly TextValue[] | null | undefined }): JSX.Element | null {
  if (values == null || values.length === 0) return null;
  return (
    <p class="detail texts" data-value="cpus-text">
      {values.map((value) => value.text).join('  ')}
    </p>
  );
}

export function MemoryGroup({ machine, nowMs }: GroupProps): JSX.Element {
  const { sample } = machine.value;
  const swap = sample?.swap ?? null;
  return (
    <section class="group" data-group="memory">
      <Headline title="Memory" name="memory-percent" value={sample === null ? null : memoryPercent(sample)} />
      <Sparkline label="Memory" machine={machine} nowMs={nowMs} value={memoryOf} />
      <Missing sample={sample} collector="memory" present={sample?.memory != null || sample?.memoryText != null}>
        <Bar percent={sample === null ? null : memoryPercent(sample)} />
        {sample?.memory != null && (
          <p class="detail">
            <span data-value="memory-used">{bytes(sample.memory.usedBytes)}</span> of{' '}
            <span data-value="memory-total">{bytes(sample.memory.totalBytes)}</span>
          </p>
        )}
        {sample?.memory == null && sample?.memoryText != null && (
          <p class="detail texts" data-value="memory-text">
            {sample.memoryText.text}
          </p>
        )}
        {swap !== null && swap.totalBytes > 0 && (
          <div class="swap">
            <Bar percent={usedPercent(swap)} />
            <p class="detail">
              swap <span data-value="swap-used">{bytes(swap.usedBytes)}</span> of{' '}
              <span data-value="swap-total">{bytes(swap.totalBytes)}</span>
            </p>
          </div>
        )}
      </Missing>
    </section>
  );
}

interface DiskRow {
  readonly mountpoint: string;
  readonly percent: number | null;
  readonly words: string;
  readonly isText: boolean;
}

const rowsAtOnce = 6;

export function DisksGroup({ machine }: Pick<GroupProps, 'machine'>): JSX.Element {
  const { sample } = machine.value;
  const rows = sample === null ? [] : diskRows(sample);
  const leftOut = sample?.disksLeftOut ?? 0;
  const rest = rows.slice(rowsAtOnce);
  return (
    <section class="group group-disks" data-group="disks">
      <h3 class="group-title">Disks</h3>
      <Missing sample={sample} collector="disk" present={sample?.disks != null || sample?.disksText != null}>
        {sample === null ? <Bar percent={null} /> : <Disks rows={rows.slice(0, rowsAtOnce)} />}
        {rows.length === 0 && sample !== null && <p class="detail">no disks reported</p>}
        {rest.length > 0 && (
          <details class="more">
            <summary>{counted(rest.length, 'more disk', 'more disks')}</summary>
            <Disks rows={rest} />
          </details>
        )}
        {leftOut > 0 && <p class="detail">and {counted(leftOut, 'disk', 'disks')} not shown</p>}
      </Missing>
    </section>
  );
}

function diskRows(sample: Sample): readonly DiskRow[] {
  if (sample.disks !== null) {
    return sample.disks.map((disk) => ({
      mountpoint: disk.mountpoint,
      percent: usedPercent(disk),
      words: `${bytes(disk.usedBytes)} of ${bytes(disk.totalBytes)}`,
      isText: false,
    }));
  }
  return (sample.disksText ?? []).map((disk) => ({
    mountpoint: disk.mountpoint,
    percent: disk.percent,
    words: disk.text,
    isText: true,
  }));
}

function Disks({ rows }: { readonly rows: readonly DiskRow[] }): JSX.Element {
  return (
    <ul class="disks">
      {rows.map((row, index) => (
        <li class="disk" key={index} data-mountpoint={row.mountpoint}>
          <span class="disk-name" title={row.mountpoint}>
            {row.mountpoint}
          </span>
          <span class="disk-words" data-value={row.isText ? 'disk-text' : 'disk-usage'}>
            {row.words}
          </span>
          {!row.isText && (
            <span class="disk-percent" data-value="disk-percent">
              {percent(row.percent ?? 0)} %
            </span>
          )}
          {row.percent !== null && <Bar percent={row.percent} />}
        </li>
      ))}
    </ul>
  );
}

function Headline(props: { readonly title: string; readonly name: string; readonly value: number | null }): JSX.Element {
  const { title, name, value } = props;
  return (
    <div class="headline" data-level={level(value ?? 0)}>
      <h3 class="group-title">{title}</h3>
      <p class="figure">
        <span data-value={name}>{value === null ? '–' : percent(value)}</span>
        <span class="unit">{value === null ? '' : ' %'}</span>
      </p>
    </div>
  );
}

interface MissingProps {
  readonly sample: Sample | null;
  readonly collector: string;
  readonly present: boolean;
  readonly children: ComponentChildren;
}

/** The group's values, or why there are none: the collector failed, or the next sample will bring them. */
function Missing({ sample, collector, present, children }: MissingProps): JSX.Element {
  const errors = (sample?.errors ?? []).filter((error) => error.collector.startsWith(collector));
  return (
    <>
      {(present || sample === null) && children}
      {!present && sample !== null && errors.length === 0 && <p class="detail">not in the last sample</p>}
      {errors.map((error) => (
        <p class="detail trouble" data-value="error" key={error.collector}>
          {error.collector}: {error.message}
        </p>
      ))}
    </>
  );
}
