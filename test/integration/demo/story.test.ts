// The demo's story, told at once: it must happen as told on the simulated kernel and kubelet, leave the node as it was, and say so when
// something does not happen.
import { describe, expect, it } from 'vitest';
import { paintNothing } from '../../../src/cli/terminal.ts';
import { chapterNames } from '../../../src/demo/chapter.ts';
import { createDemoStage } from '../../../src/demo/demo-stage.ts';
import type { DemoStage } from '../../../src/demo/demo-stage.ts';
import { createNarrator } from '../../../src/demo/narrator.ts';
import { heard } from '../../../src/demo/tap-grpc.ts';
import { tellDemo } from '../../../src/demo/tell-demo.ts';
import { addressOf, toldTransactions } from '../../../src/demo/told-transactions.ts';
import { devicePlugin, registration } from '../../../src/kubelet/contracts.ts';
import { GrpcError } from '../../../src/kubelet/ports.ts';
import { demoAddresses } from '../../../src/simulation/nodes/demo-node.ts';
import { settleByImmediate } from '../../../src/simulation/settle-adapter.ts';

const at = demoAddresses;

async function tell(prepare: (stage: DemoStage) => void = () => {}) {
  const stage = createDemoStage(settleByImmediate);
  const before = stage.control.snapshot();
  prepare(stage);
  const lines: string[] = [];
  const narrator = createNarrator({
    print: (text) => void lines.push(text),
    paint: paintNothing,
    width: 100,
    pause: () => Promise.resolve(),
  });
  const outcome = await tellDemo(stage, narrator);
  return { stage, before, outcome, text: lines.join('\n') };
}

describe('the story', () => {
  it('is told whole, and every check was made and holds', async () => {
    const { outcome } = await tell();
    expect(outcome.failure).toBe(null);
    expect(outcome.chapters.map(({ name }) => name)).toEqual(chapterNames);
    for (const { checks } of outcome.chapters) expect(checks.length).toBeGreaterThan(0);
    expect(outcome.chapters.flatMap(({ checks }) => checks).filter(({ holds }) => !holds)).toEqual([]);
  });

  it('leaves the kernel as it was, and never writes to what the node lives on', async () => {
    const { stage, before } = await tell();
    expect(stage.control.snapshot()).toEqual(before);
    expect(stage.control.damage).toEqual([]);
    expect(stage.control.sleeping).toBe(0);
    const written = new Set(
      stage.record.happenings.flatMap((one) => (one.kind === 'Write' ? [addressOf(one) ?? one.path] : [])),
    );
    const ours = [at.gpu, at.gpuAudio, at.connectX, ...at.connectXVirtualFunctions, at.spareDisk, at.spareNic];
    expect([...written].sort()).toEqual([...ours].sort());
  });

  it('is told by real transactions, Registers and Allocates', async () => {
    const { stage } = await tell();
    const { happenings } = stage.record;
    const kinds = toldTransactions(happenings).map(({ kind, outcome }) => `${kind} ${outcome}`);
    expect(kinds.filter((kind) => kind === 'Bind Applied')).toHaveLength(8);
    expect(kinds.filter((kind) => kind === 'Release Applied')).toHaveLength(3);
    expect(kinds).toContain('CreateVirtualFunctions Applied');
    expect(kinds).toContain('RemoveVirtualFunctions Applied');
    // Three resources, each before and after kubelet's restart.
    expect(heard(happenings, registration.register).map(({ request }) => request.resourceName)).toHaveLength(6);
    const answers = heard(happenings, devicePlugin.allocate).flatMap(({ response }) => response.containerResponses);
    expect(answers.map(({ envs }) => envs)).toEqual([
      { 'PCI_RESOURCE_VFIO-OPERATOR_DEV_GPU': at.gpu },
      { 'PCI_RESOURCE_VFIO-OPERATOR_DEV_CONNECTX-VF': at.connectXVirtualFunctions[0] },
    ]);
    const bound = happenings.filter((one) => one.kind === 'Write' && one.path.endsWith('/mlx5_vfio_pci/bind'));
    expect(bound).toHaveLength(4);
  });

  it('shows what happened, and the same every time', async () => {
    const { text } = await tell();
    expect((await tell()).text).toBe(text);
    for (const part of ['RootStorage', 'PrimaryNetwork', 'nvme0n1p2 is mounted on /', 'eno1 carries the default route'])
      expect(text).toContain(part);
    expect(text).toContain('npm run -s vfio -- plan --policies examples');
    expect(text).not.toContain('undefined');
  });
});

describe('what does not happen as told', () => {
  it('a probe that fails ends the story at the transactions, and the device is rolled back', async () => {
    const { outcome, stage } = await tell(({ control }) => control.failProbe(at.gpu, { errno: 'EIO' }, 'vfio-pci'));
    expect(outcome.chapters.at(-1)?.name).toBe('Transactions');
    expect(outcome.failure).toMatch(/not so: .*transactions were applied/);
    expect(stage.control.snapshot().drivers).toMatchObject({ [at.gpu]: 'nouveau', [at.gpuAudio]: 'snd_hda_intel' });
  });

  it('a drive that is mounted after all is refused, and the story told of it is wrong', async () => {
    const { outcome, stage } = await tell(({ control }) =>
      control.mount({ number: '259:3', source: '/dev/nvme1n1', target: '/srv', type: 'xfs' }),
    );
    expect(outcome.chapters.at(-1)?.name).toBe('Plan');
    expect(outcome.failure).toMatch(/and only they/);
    expect(stage.control.snapshot().drivers[at.spareDisk]).toBe('nvme');
  });

  it('a kubelet that takes no Register ends it there', async () => {
    const { outcome } = await tell(({ kubelet }) => {
      kubelet.faults.register = new GrpcError('Unavailable', 'not now');
    });
    expect(outcome.chapters.at(-1)?.name).toBe('Register');
    expect(outcome.failure).toMatch(/what is offered is what is bound/);
  });

  it('a node that breaks the telling itself is a failure too', async () => {
    const { outcome } = await tell(({ files }) =>
      files.setFault((operation, path) =>
        operation === 'mkdir' && path.startsWith('/var/lib/vfio-operator') ? 'EROFS' : null,
      ),
    );
    expect(outcome.failure).toMatch(/it broke off: .*EROFS/);
    expect(outcome.chapters.map(({ name }) => name)).toEqual(['Inventory', 'Policies', 'Plan']);
  });
});
