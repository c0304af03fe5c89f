// The ordinary scenarios of agent-devices.e2e.ts on the newest kernel that Debian has the source of: what has changed in sysfs, modprobe and
// VFIO since 6.12 shows here first.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { AgentOnFullMachine } from './support/agent-on-full-machine.ts';
import { bootAgentOnFullMachine } from './support/agent-on-full-machine.ts';
import { testBinding } from './support/binding-tests.ts';
import { kernelComplaints } from './support/devices-in-guest.ts';
import { describeOnOwnKernel } from './support/on-own-kernel.ts';
import { testRefusals } from './support/refusal-tests.ts';

describeOnOwnKernel('devices on the newest kernel', () => {
  let machine: AgentOnFullMachine;

  beforeAll(async () => {
    machine = await bootAgentOnFullMachine('7.x');
  });
  afterEach(async () => void (await machine.guest.run(`rm -f ${machine.agent.policies}/*`)));
  afterAll(async () => machine?.guest.shutdown());

  testBinding(() => machine);
  testRefusals(() => machine);

  test('after all that the kernel has nothing to complain of, and the agent ends cleanly', async () => {
    await machine.agent.stop();
    expect(await kernelComplaints(machine.guest)).toEqual([]);
  });
});
