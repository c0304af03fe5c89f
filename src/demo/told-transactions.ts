// The transactions the agent carried out, put together from its log and from what was written to the kernel meanwhile.
import { renderTable } from '../cli/render-table.ts';
import type { Cell } from '../cli/render-table.ts';
import type { Paint } from '../cli/terminal.ts';
import type { CommandRun, Happening, KernelWrite, LogLine } from './record.ts';

/** One transaction that ended. */
export interface ToldTransaction {
  readonly key: string;
  readonly kind: string;
  readonly outcome: string;
  readonly addresses: readonly string[];
  readonly commands: readonly CommandRun[];
  readonly writes: readonly KernelWrite[];
}

/** The transactions among `happenings`, in the order they ended. */
export function toldTransactions(happenings: readonly Happening[]): readonly ToldTransaction[] {
  const told: ToldTransaction[] = [];
  const taken = new Set<Happening>();
  const take = <Kind extends Happening>(candidates: readonly Kind[]): readonly Kind[] => {
    const free = candidates.filter((one) => !taken.has(one));
    for (const one of free) taken.add(one);
    return free;
  };
  for (const [index, ending] of happenings.entries()) {
    const ended = ending.kind === 'Log' ? readOutcome(ending) : null;
    if (ended === null) continue;
    const before = happenings.slice(0, index);
    const modules = loadedModules(before, ended.key);
    told.push({
      ...ended,
      commands: take(
        before
          .filter((one) => one.kind === 'Command')
          .filter((one) => modules.has(one.command.split(' ').at(-1) ?? '')),
      ),
      writes: take(
        before.filter((one) => one.kind === 'Write').filter((one) => ended.addresses.includes(addressOf(one) ?? '')),
      ),
    });
  }
  return told;
}

/** The device a write is about: what is written to `bind` and the like, else the directory written in. */
export function addressOf({ path, text }: KernelWrite): string | null {
  return /\/(?:bind|unbind|drivers_probe)$/.test(path) ? text : (/\/devices\/([^/]+)\//.exec(path)?.[1] ?? null);
}

function readOutcome({ fields }: LogLine): Pick<ToldTransaction, 'key' | 'kind' | 'outcome' | 'addresses'> | null {
  const { transaction: key, kind, outcome, addresses } = fields;
  if (typeof key !== 'string' || typeof kind !== 'string' || typeof outcome !== 'string') return null;
  return Array.isArray(addresses) ? { key, kind, outcome, addresses: addresses.map(String) } : null;
}

/** Modules that a transaction saw to, in any spelling modprobe takes. */
function loadedModules(happenings: readonly Happening[], key: string): ReadonlySet<string> {
  return new Set(
    happenings.flatMap((one) => {
      if (one.kind !== 'Log' || one.fields.transaction !== key) return [];
      const { step } = one.fields;
      if (typeof step !== 'object' || step === null || !('module' in step)) return [];
      return [String(step.module)];
    }),
  );
}

const header = ['WRITTEN', 'TO', 'KERNEL', 'READ BACK'];

/** The transactions for a person. Of several that differ in nothing but the device, the first one stands for all. */
export function renderTransactions(transactions: readonly ToldTransaction[], paint: Paint): string {
  const alike = new Map<string, ToldTransaction[]>();
  for (const one of transactions) {
    const shape = shapeOf(one);
    alike.set(shape, [...(alike.get(shape) ?? []), one]);
  }
  return [...alike.values()]
    .flatMap(([first, ...others]) => (first === undefined ? [] : [renderTransaction(first, others, paint)]))
    .join('\n\n');
}

function renderTransaction(
  { kind, outcome, addresses, commands, writes }: ToldTransaction,
  others: readonly ToldTransaction[],
  paint: Paint,
): string {
  const title = `${paint('bold', kind)} ${nameDevices(addresses)}: ${paint(outcome === 'Applied' ? 'good' : 'bad', outcome)}`;
  const rows = writes.map(({ path, text, answer, readBack }): readonly Cell[] => [
    text === '' ? '(nothing)' : text,
    path.replace(/^\/sys\/bus\/pci\//, ''),
    { text: answer, tone: answer === 'ok' ? 'good' : 'bad' },
    /(?:bind|drivers_probe)$/.test(path) ? `driver is ${readBack ?? 'none'}` : (readBack ?? ''),
  ]);
  const same = others.flatMap((one) => one.addresses);
  return [
    title,
    ...commands.map(
      ({ command, code }) => `${command}  ${code === 0 ? paint('good', 'ok') : paint('bad', `exit ${code ?? '-'}`)}`,
    ),
    ...(rows.length === 0 ? [] : [renderTable(header, rows, paint)]),
    ...(same.length === 0 ? [] : [paint('dim', `and the same for ${nameDevices(same)}`)]),
  ].join('\n');
}

function nameDevices(addresses: readonly string[]): string {
  const [first = '', ...rest] = addresses;
  return rest.length > 2 ? `${first} and ${rest.length} more, to ${rest.at(-1)}` : addresses.join(', ');
}

function shapeOf({ kind, outcome, addresses, writes }: ToldTransaction): string {
  const nameless = (text: string): string =>
    addresses.reduce((rest, address, index) => rest.replaceAll(address, `device ${index}`), text);
  return JSON.stringify([
    kind,
    outcome,
    ...writes.map(({ path, text, answer, readBack }) => [nameless(path), nameless(text), answer, readBack]),
  ]);
}
