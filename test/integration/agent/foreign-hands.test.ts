// Somebody else's hands on devices of ours, below the whole agent: what driverctl, libvirt and an administrator do with the kernel's own
// files is respected and said, and answered by no write until it is taken back.
import { beforeEach, expect, it } from 'vitest';
import { demoAddresses as at } from '../../../src/simulation/nodes/demo-node.ts';
import {
  type AgentLife,
  type AgentNode,
  decisionOn,
  livingNode,
  nicPod,
  nicPolicy,
  nicResource,
  verdictOn,
} from '../../support/agent-node.ts';

const device = `/sys/bus/pci/devices/${at.spareNic}`;
const override = `${device}/driver_override`;

let node: AgentNode;
let life: AgentLife;

beforeEach(async () => {
  ({ node, life } = await livingNode([nicPolicy]));
  node.writes.length = 0;
});

/** One write by hand. */
function echo(text: string, path: string): void {
  node.kernel.files.openAttribute(path).write?.(text);
}

/** As driverctl does it: the override, off the driver, and the kernel matches again. */
function setOverride(text: string): void {
  if (node.driverOf(at.spareNic) !== null) echo(at.spareNic, `${device}/driver/unbind`);
  echo(text, override);
  echo(at.spareNic, '/sys/bus/pci/drivers_probe');
}

const pass = (passes = 1): Promise<void> => node.clock.advance(passes * 31_000);
const health = (): string | undefined => node.offered(nicResource)?.[at.spareNic];

it('an override on a bound device: said, offered to nobody new, and as it was once it is gone', async () => {
  await node.when(node.kubelet.run(nicPod));
  echo('pci-stub\n', override);
  await pass(3);
  expect(verdictOn(life, at.spareNic)).toBe('Refused NotOurs');
  expect(decisionOn(life, at.spareNic)?.message).toMatch(/driver_override is 'pci-stub' now: somebody else claims it/);
  expect([health(), node.driverOf(at.spareNic), node.writes]).toEqual(['Unhealthy', 'vfio-pci', []]);
  echo('\n', override);
  await pass();
  expect([verdictOn(life, at.spareNic), health(), node.writes]).toEqual(['Bound', 'Healthy', []]);
});

it('given to its host driver by an override: theirs until the override is gone, then taken again, once', async () => {
  setOverride('e1000e\n');
  await pass(3);
  expect(verdictOn(life, at.spareNic)).toBe('Refused NotOurs');
  expect([health(), node.driverOf(at.spareNic), node.writes]).toEqual(['Unhealthy', 'e1000e', []]);
  echo('\n', override);
  await pass();
  expect([verdictOn(life, at.spareNic), health()]).toEqual(['Bound', 'Healthy']);
  expect(node.writes).toHaveLength(3);
});

it('the claim outlives the agent', async () => {
  setOverride('none\n');
  await pass();
  life.kill();
  const next = await node.start();
  await pass(3);
  expect([verdictOn(next, at.spareNic), node.driverOf(at.spareNic), node.writes]).toEqual([
    'Refused NotOurs',
    null,
    [],
  ]);
});

it('the policy goes while somebody claims the device: it waits for the claim, then it is given back', async () => {
  echo('pci-stub\n', override);
  await pass();
  await node.setPolicies([]);
  await pass(3);
  expect([verdictOn(life, at.spareNic), node.driverOf(at.spareNic), node.writes]).toEqual([
    'Refused NotOurs',
    'vfio-pci',
    [],
  ]);
  echo('\n', override);
  await pass();
  expect([verdictOn(life, at.spareNic), node.driverOf(at.spareNic)]).toEqual(['None', 'e1000e']);
});

it('the policy goes after somebody has given the device away: it is theirs, and forgotten', async () => {
  setOverride('e1000e\n');
  await pass();
  await node.setPolicies([]);
  expect([verdictOn(life, at.spareNic), node.driverOf(at.spareNic), node.writes]).toEqual(['None', 'e1000e', []]);
  expect(node.control.snapshot().overrides[at.spareNic]).toBe('e1000e');
});
