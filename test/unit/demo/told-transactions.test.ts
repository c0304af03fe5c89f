// Transactions put together from log and kernel writes.
import { expect, test } from 'vitest';
import { paintNothing } from '../../../src/cli/terminal.ts';
import { createNodeRecord } from '../../../src/demo/record.ts';
import { renderTransactions, toldTransactions } from '../../../src/demo/told-transactions.ts';

const [a, b] = ['0000:01:00.0', '0000:02:00.0'];

function aRecord() {
  const record = createNodeRecord(() => 0);
  return {
    record,
    override: (address: string) =>
      record.add({
        kind: 'Write',
        path: `/sys/bus/pci/devices/${address}/driver_override`,
        text: 'vfio-pci',
        answer: 'ok',
        readBack: 'vfio-pci',
      }),
    bind: (address: string, readBack: string | null = 'vfio-pci') =>
      record.add({
        kind: 'Write',
        path: '/sys/bus/pci/drivers/vfio-pci/bind',
        text: address,
        answer: readBack === null ? 'EIO' : 'ok',
        readBack,
      }),
    load: (key: string) => {
      const fields = { transaction: key, step: { kind: 'LoadModule', module: 'vfio_pci' }, outcome: 'Done' };
      record.add({ kind: 'Log', level: 'debug', fields, message: 'step done' });
    },
    end: (key: string, address: string, outcome = 'Applied') => {
      const fields = { transaction: key, kind: 'Bind', addresses: [address], outcome };
      record.add({ kind: 'Log', level: 'info', fields, message: 'done' });
    },
  };
}

test('writes of transactions side by side go to the one whose device they name, each once', () => {
  const { record, override, bind, end } = aRecord();
  override(a);
  override(b);
  bind(b);
  bind(a);
  end('group:2', b);
  end('group:1', a);
  override(a);
  end('group:1', a);
  const told = toldTransactions(record.happenings);
  expect(told.map(({ key }) => key)).toEqual(['group:2', 'group:1', 'group:1']);
  expect(told.map(({ writes }) => writes.map(({ path }) => path.split('/').at(-1)))).toEqual([
    ['driver_override', 'bind'],
    ['driver_override', 'bind'],
    ['driver_override'],
  ]);
});

test('a modprobe is shown once, with a transaction that needed the module', () => {
  const { record, load, bind, end } = aRecord();
  record.add({ kind: 'Command', command: 'modprobe -- vfio_pci', code: 0 });
  load('group:1');
  load('group:2');
  bind(a);
  bind(b);
  end('group:1', a);
  end('group:2', b);
  expect(toldTransactions(record.happenings).map(({ commands }) => commands.length)).toEqual([1, 0]);
});

test('what differs in nothing but the device is shown once, what differs in the answer is not', () => {
  const { record, bind, end } = aRecord();
  const c = '0000:03:00.0';
  for (const address of [a, b]) {
    bind(address);
    end(`device:${address}`, address);
  }
  bind(c, null);
  end('group:3', c, 'RolledBack');
  const text = renderTransactions(toldTransactions(record.happenings), paintNothing);
  expect(text).toContain(`Bind ${a}: Applied`);
  expect(text).toContain(`and the same for ${b}`);
  expect(text).toContain(`Bind ${c}: RolledBack`);
  expect(text).toContain('EIO');
  expect(text).toContain('driver is none');
});
