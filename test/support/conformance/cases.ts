// Every behaviour of the kernel that we rely on, as one list that runs on the simulated kernel and on live ones.
import { bindingCases } from './binding-cases.ts';
import { blockingCases } from './blocking-cases.ts';
import { restoreAll } from './device-actions.ts';
import { groupCases } from './group-cases.ts';
import { modprobeCases, modulesDisabledCase } from './modprobe-cases.ts';
import { overrideCases } from './override-cases.ts';
import { sriovCases } from './sriov-cases.ts';
import type { ConformanceCase, Subject } from './subject.ts';
import { verifyCases } from './verify-cases.ts';

/** The list, in the order in which it runs: what can be shown but once per boot comes before what loads the same module. */
const conformanceCases: readonly ConformanceCase[] = [
  ...modprobeCases,
  ...overrideCases,
  ...bindingCases,
  ...verifyCases,
  ...groupCases,
  ...sriovCases,
  ...blockingCases,
  modulesDisabledCase,
];

/** The cases that this kernel can show. */
export const casesFor = (kernel: string): readonly ConformanceCase[] =>
  conformanceCases.filter(({ kernels }) => kernels === undefined || kernels(kernel));

/** Runs one case and puts every device back; what was observed. */
export async function observe(subject: Subject, { run }: ConformanceCase): Promise<unknown> {
  let observed: unknown;
  try {
    observed = await run(subject);
  } catch (error) {
    observed = `case failed: ${error instanceof Error ? error.message : String(error)}`;
  }
  await restoreAll(subject);
  return observed;
}
