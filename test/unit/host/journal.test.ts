// The journal on a disk that tears, fills up and loses power: the ledger is right, or there is a clear error.
import { describe, expect, it } from 'vitest';
import type { Step } from '../../../src/domain/step.ts';
import { openJournal, readJournal, type Journal } from '../../../src/host/journal.ts';
import { toLedger } from '../../../src/host/journal-fold.ts';
import { decodeJournal, JournalError } from '../../../src/host/journal-record.ts';
import { createMemoryFiles, type MemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { aMember, aTransaction, bindSteps, releaseSteps } from '../../support/transactions.ts';

const boot = 'boot-1';
const device = '0000:01:00.0';
const worker = { pid: 4711, startTime: '99' };

function newDisk(): MemoryFiles {
  return createMemoryFiles({ entries: { '/state': { directory: {} } } });
}

function open(files: MemoryFiles, bootId = boot, compactAt?: number): Promise<Journal> {
  const options = { files, clock: createVirtualClock(), directory: '/state', bootId };
  return openJournal(compactAt === undefined ? options : { ...options, compactAt });
}

function resolved(step: Step): Step {
  return step.kind === 'Bind' || (step.kind === 'SetOverride' && step.driver !== null)
    ? { ...step, driver: { module: 'vfio_pci', name: 'vfio-pci' } }
    : step;
}

const binding = aTransaction('Bind', [aMember(device, { diskSerial: 'S1' })], bindSteps(device, 'vfio_pci'));

async function beginBind(journal: Journal, transaction = binding, steps = transaction.steps.length): Promise<number> {
  const id = journal.newId();
  await journal.append({ type: 'Begun', id, bootId: journal.bootId, at: 1, transaction });
  for (const [index, step] of transaction.steps.slice(0, steps).entries()) {
    await journal.append({ type: 'StepBegun', id, index, direction: 'Forward', step: resolved(step), worker });
    journal.note({ type: 'StepDone', id, said: null });
  }
  return id;
}

async function commitBind(journal: Journal): Promise<void> {
  const id = await beginBind(journal);
  const entry = journal.ledger().entries.get(device);
  if (entry === undefined) throw new Error('no entry');
  await journal.append({ type: 'Committed', id, set: [{ ...entry, state: 'Taken', detail: null }], drop: [] });
}

function ledgerText(files: MemoryFiles, bootId = boot): string {
  return JSON.stringify([...toLedger(readJournal(files, '/state', bootId)).entries.values()]);
}

async function problemOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof JournalError) return error.problem;
    throw error;
  }
  return 'none';
}

describe('journal', () => {
  it('is empty when there is none, and remembers what was begun, committed and dropped', async () => {
    const files = newDisk();
    const journal = await open(files);
    expect(journal.ledger().entries.size).toBe(0);
    const id = await beginBind(journal, binding, 2);
    expect(journal.ledger().entries.get(device)).toMatchObject({ state: 'InTransaction', originalDriver: 'e1000e' });
    expect(journal.open()).toMatchObject([
      { id, inFlight: null, begun: [{ kind: 'LoadModule' }, { kind: 'SetOverride' }] },
    ]);
    await journal.append({ type: 'RolledBack', id, cause: 'said no' });
    expect(journal.ledger().entries.size).toBe(0);

    await commitBind(journal);
    await journal.close();
    const again = await open(files);
    expect(again.ledger().entries.get(device)).toMatchObject({
      state: 'Taken',
      driver: 'vfio-pci',
      module: 'vfio_pci',
      originalDriver: 'e1000e',
      originalOverride: null,
      diskSerial: 'S1',
      bootId: boot,
      policy: 'p',
    });
    const release = aTransaction(
      'Release',
      [aMember(device, { driver: 'vfio-pci' })],
      releaseSteps(device, 'vfio-pci', 'e1000e'),
    );
    const second = await beginBind(again, release, 1);
    expect(second).toBeGreaterThan(id);
    expect(again.ledger().entries.get(device)).toMatchObject({ state: 'InTransaction', originalDriver: 'e1000e' });
    await again.append({ type: 'Committed', id: second, set: [], drop: [device] });
    expect(again.ledger().entries.size).toBe(0);
    expect(again.open()).toEqual([]);
  });

  it('shows stuck and quarantined, with the worker and the sentence', async () => {
    const files = newDisk();
    const journal = await open(files);
    const id = await beginBind(journal, binding, 3);
    await journal.append({ type: 'StepStuck', id, worker, said: 'unbind has not returned' });
    await journal.close();
    const again = await open(files);
    expect(again.ledger().entries.get(device)).toMatchObject({ state: 'Stuck', detail: 'unbind has not returned' });
    expect(again.open()).toMatchObject([{ inFlight: { worker, step: { kind: 'LoadModule' } } }]);
    await again.append({ type: 'StepReturned', id });
    expect(again.ledger().entries.get(device)).toMatchObject({ state: 'InTransaction' });
    await again.append({ type: 'Quarantined', id, why: 'somebody else bound it' });
    expect(again.ledger().entries.get(device)).toMatchObject({
      state: 'Quarantined',
      detail: 'somebody else bound it',
    });
  });

  it('closes what another boot left open, and keeps its record', async () => {
    const files = newDisk();
    await beginBind(await open(files), binding, 3);
    const journal = await open(files, 'boot-2');
    expect(journal.open()).toEqual([]);
    expect(journal.ledger().entries.get(device)).toMatchObject({ state: 'Taken', bootId: boot, diskSerial: 'S1' });
  });

  it('writes many at once with few syncs, each record once', async () => {
    const files = newDisk();
    const journal = await open(files);
    let syncs = 0;
    files.setFault((operation) => {
      if (operation === 'fsync') syncs += 1;
      return null;
    });
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => {
        const address = `0000:02:00.${i}`;
        const transaction = aTransaction('Bind', [aMember(address)], bindSteps(address, 'm'), `device:${address}`);
        return journal.append({ type: 'Begun', id: journal.newId(), bootId: boot, at: 1, transaction });
      }),
    );
    expect(syncs).toBeLessThan(10);
    expect(journal.open()).toHaveLength(50);
    expect(readJournal(files, '/state', boot).open.size).toBe(50);
  });

  it('is written anew when it has grown, and means the same', async () => {
    const files = newDisk();
    const journal = await open(files, boot, 4000);
    for (let i = 0; i < 40; i += 1) await commitBind(journal);
    expect(files.readText('/state/journal').length).toBeLessThan(10_000);
    expect(ledgerText(files)).toBe(JSON.stringify([...journal.ledger().entries.values()]));
    expect(journal.newId()).toBe(41);
  });
});

describe('a journal that was cut or changed', () => {
  async function written(): Promise<{ text: string; prefixes: Map<string, number> }> {
    const files = newDisk();
    const journal = await open(files);
    const lengths = new Map<string, number>();
    const mark = (): void => {
      const state = ledgerText(files);
      lengths.set(state, Math.max(files.readText('/state/journal').length, lengths.get(state) ?? 0));
    };
    mark();
    await commitBind(journal);
    mark();
    await beginBind(
      journal,
      aTransaction('Bind', [aMember('0000:03:00.0')], bindSteps('0000:03:00.0', 'm'), 'group:9'),
      3,
    );
    mark();
    return { text: files.readText('/state/journal'), prefixes: lengths };
  }

  it('torn at every byte: the state at some record boundary, or an error; never another ledger', async () => {
    const { text } = await written();
    const lines = text.split('\n').slice(0, -1);
    for (let bytes = 0; bytes < text.length; bytes += 1) {
      const files = newDisk();
      files.put('/state/journal', text.slice(0, bytes));
      const problem = await problemOf(() => open(files));
      const whole = text.slice(0, bytes + 1).split('\n').length - 1;
      if (whole < 3) {
        expect(problem).toBe('Damaged');
        continue;
      }
      expect(problem).toBe('none');
      const reference = newDisk();
      reference.put('/state/journal', `${lines.slice(0, whole).join('\n')}\n`);
      expect(ledgerText(files)).toBe(ledgerText(reference));
    }
  });

  it('changed at every byte: a clear error, and the file is left alone', async () => {
    const { text } = await written();
    for (let at = 0; at < text.length; at += 1) {
      const bytes = new TextEncoder().encode(text);
      bytes[at] = (bytes[at] ?? 0) ^ (at % 2 === 0 ? 0x01 : 0x20);
      const files = newDisk();
      files.put('/state/journal', { file: bytes });
      const problem = await problemOf(() => open(files));
      expect(['Damaged', 'Newer'], `byte ${at}`).toContain(problem);
      expect([...files.readBytes('/state/journal', 0, text.length)]).toEqual([...bytes]);
    }
  });

  it('a line taken out, moved or doubled is found', async () => {
    const { text } = await written();
    const lines = text.split('\n').slice(0, -1);
    for (let at = 1; at < lines.length - 1; at += 1) {
      for (const changed of [lines.toSpliced(at, 1), lines.toSpliced(at, 0, lines[at] ?? '')]) {
        const files = newDisk();
        files.put('/state/journal', `${changed.join('\n')}\n`);
        expect(await problemOf(() => open(files))).toBe('Damaged');
      }
    }
  });

  it('over a power cut the last line may be broken as a whole; within one boot it may not', async () => {
    const { text } = await written();
    const lines = text.split('\n').slice(0, -1);
    const last = lines.pop() ?? '';
    const broken = `${lines.join('\n')}\n${last.slice(0, 30)}${'\0'.repeat(20)}${last.slice(50)}\n`;
    expect(() => decodeJournal('j', broken, boot)).toThrow(JournalError);
    expect(decodeJournal('j', broken, 'boot-2').tornBytes).toBe(last.length + 1);
  });

  it('names a newer format, foreign text and an unreadable file', async () => {
    const files = newDisk();
    files.put('/state/journal', 'vfio-operator journal 2\nwhatever\n');
    await expect(open(files)).rejects.toThrow(/has format 2, this program writes 1.*no device is touched/);
    files.put('/state/journal', 'hello\n');
    expect(await problemOf(() => open(files))).toBe('Damaged');
    files.setFault((operation) => (operation === 'open' ? 'EIO' : null));
    expect(await problemOf(() => open(files))).toBe('Unreadable');
  });
});

describe('a disk that fails', () => {
  it('rejects what it could not keep, and goes on once the disk does', async () => {
    for (const operation of ['append', 'write', 'fsync', 'open', 'rename']) {
      const files = newDisk();
      const journal = await open(files);
      await commitBind(journal);
      files.setFault((now) => (now === operation ? 'ENOSPC' : null));
      const failed = await problemOf(() => beginBind(journal, binding, 0));
      const before = journal.open().length;
      files.setFault(null);
      if (failed === 'Unwritable') expect(before).toBe(0);
      await beginBind(journal, binding, 1);
      expect(journal.open()).toHaveLength(before + 1);
      expect(readJournal(files, '/state', boot).open.size).toBe(before + 1);
      expect(journal.ledger().entries.size).toBe(1);
    }
  });

  it('does not open on a read-only disk, and says so', async () => {
    const files = newDisk();
    files.setFault((operation) => (operation === 'open' ? null : 'EROFS'));
    await expect(open(files)).rejects.toThrow(/cannot be written .*EROFS/);
  });

  it('after a power cut holds everything that was acknowledged', async () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const files = newDisk();
      const random = createSeededRandom(seed);
      const journal = await open(files, boot, 1500);
      const acknowledged: number[] = [];
      const running = Array.from({ length: 6 }, async (_, i) => {
        const address = `0000:02:00.${i}`;
        const transaction = aTransaction('Bind', [aMember(address)], bindSteps(address, 'm'), `device:${address}`);
        const id = journal.newId();
        await journal.append({ type: 'Begun', id, bootId: boot, at: 1, transaction });
        acknowledged.push(id);
      });
      for (let turn = random.below(60); turn > 0; turn -= 1) await Promise.resolve();
      files.powerCut(random);
      const known = [...acknowledged];
      const state = readJournal(files, '/state', 'boot-2');
      expect(known.filter((id) => !state.open.has(id))).toEqual([]);
      await Promise.allSettled(running);
    }
  });
});
