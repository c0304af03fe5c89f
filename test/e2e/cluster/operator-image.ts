// The operator's image as an OCI archive that nodes of the tests import.

import { existsSync } from 'node:fs';
import { LabError } from '../lab/lab-error.ts';

export interface OperatorImage {
  /** OCI archive on the test machine, where guests see it. */
  readonly archive: string;
  readonly repository: string;
  readonly tag: string;
}

/** The archive that VFIO_E2E_IMAGE names, holding `lab.local/vfio-operator:dev`. */
export async function operatorImage(): Promise<OperatorImage> {
  const archive = process.env['VFIO_E2E_IMAGE'] ?? '';
  if (!existsSync(archive)) throw new LabError('VFIO_E2E_IMAGE names no archive.');
  return { archive, repository: 'lab.local/vfio-operator', tag: 'dev' };
}
