// The agent starts and carries the plan out: every write to the kernel with the kernel's answer, read back.
import type { Agent } from '../../agent/start-agent.ts';
import { renderTable } from '../../cli/render-table.ts';
import { demoAddresses } from '../../simulation/nodes/demo-node.ts';
import { check } from '../chapter.ts';
import type { Chapter, Telling } from '../chapter.ts';
import { addressOf, renderTransactions, toldTransactions } from '../told-transactions.ts';

const at = demoAddresses;

/** Starts the agent and waits until nothing is left to do. `planned`: the transactions that must be among those carried out. */
export async function carryOut(
  { stage, paint }: Telling,
  planned: readonly string[],
): Promise<{ readonly chapter: Chapter; readonly agent: Agent }> {
  const { control, record, files, paths } = stage;
  const mark = record.happenings.length;
  const agent = await stage.start();
  await stage.until(() => {
    const report = agent.report;
    return (
      report !== null && report.plan.transactions.length === 0 && agent.kubelet.resources.every((one) => one.registered)
    );
  });
  const happenings = record.since(mark);
  const transactions = toldTransactions(happenings);
  const writes = happenings.filter((one) => one.kind === 'Write');
  const [virtualFunction] = at.connectXVirtualFunctions;
  const choice = stage.passes
    .flatMap(({ plan }) => plan.decisions)
    .find((decision) => decision.address === virtualFunction && decision.choice !== null)?.choice;
  const { drivers, overrides } = control.snapshot();
  const nameOf = (address: string): string => drivers[address] ?? 'no driver';
  const driversOfModules = (choice?.candidates ?? []).map(({ module }) => {
    const names = files.list(`${paths.module(module)}/drivers`).map((name) => name.replace(/^pci:/, ''));
    return `${module} has ${names.join(' and ')}`;
  });
  const taken = [at.gpu, at.gpuAudio, at.spareDisk, at.spareNic];
  const values = (
    of: Readonly<Record<string, string | null>>,
    addresses: readonly string[],
  ): readonly (string | null)[] => addresses.map((address) => of[address] ?? null);
  const chapter: Chapter = {
    name: 'Transactions',
    title: 'The agent starts and does it',
    parts: [
      {
        says:
          'Each step is written to a journal on disk before the kernel is touched, so that the agent can be killed at any moment and ' +
          'the next one finishes or undoes what it finds. The kernel does not say much: a write can succeed and do nothing. So ' +
          'everything is read back. Paths are below /sys/bus/pci.',
      },
      { shows: renderTransactions(transactions, paint) },
      {
        says:
          `Why ${nameOf(virtualFunction)} for the virtual functions, and not ${nameOf(at.gpu)} as for the rest? The kernel's own list says ` +
          `which VFIO modules fit a device. Of all patterns that match ${choice?.lookup ?? ''} the one with the fewest * wins:`,
      },
      {
        shows: renderTable(
          ['MODULE', '*', 'PATTERN', 'FROM'],
          (choice?.candidates ?? []).map((one) => [
            one === choice?.chosen ? { text: one.module, tone: 'good' } : one.module,
            String(one.wildcards),
            one.pattern,
            `${one.source.slice(one.source.lastIndexOf('/') + 1)}:${one.line}`,
          ]),
          paint,
        ),
      },
      {
        says:
          'These are names of modules, and driver_override wants the name of a driver. With the wrong one every write succeeds, and ' +
          `the device ends up with no driver at all. So the agent asks the loaded module: ${driversOfModules.join(', ')}.`,
      },
    ],
    checks: [
      check(
        `all ${transactions.length} transactions were applied, those of the plan among them`,
        [
          transactions.filter(({ outcome }) => outcome !== 'Applied').map(({ key }) => key),
          planned.filter((key) => !transactions.some((one) => one.key === key)),
        ],
        [[], []],
      ),
      check(
        `the kernel took all ${writes.length} writes`,
        writes.filter(({ answer }) => answer !== 'ok'),
        [],
      ),
      check(
        'the kernel has the GPU, its audio function, the spare drive and the spare card on vfio-pci',
        [values(drivers, taken), values(overrides, taken)],
        [taken.map(() => 'vfio-pci'), taken.map(() => 'vfio-pci')],
      ),
      check(
        `and ${at.connectXVirtualFunctions.length} virtual functions on ${choice?.chosen?.module ?? 'a variant'}; their card keeps mlx5_core`,
        [values(drivers, at.connectXVirtualFunctions), drivers[at.connectX]],
        [at.connectXVirtualFunctions.map(() => 'mlx5_vfio_pci'), 'mlx5_core'],
      ),
      check(
        'nothing was written to what the node lives on, and it lives on',
        [
          writes.filter((one) => [at.rootDisk, at.uplink].some((address) => addressOf(one) === address)),
          values(drivers, [at.rootDisk, at.uplink]),
          control.damage,
        ],
        [[], ['nvme', 'e1000e'], []],
      ),
    ],
  };
  return { chapter, agent };
}
