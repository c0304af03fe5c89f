// On which kernels a scenario runs whose outcome is the agent's doing and not the kernel's: one in the everyday tier, more in the full one.
import type { KernelName } from '../lab/kernels.ts';

/** 6.1; in the full tier (FULL_TIER=1) 6.12 too. */
export const tierKernels: readonly KernelName[] = process.env['FULL_TIER'] === '1' ? ['6.1', '6.12'] : ['6.1'];
