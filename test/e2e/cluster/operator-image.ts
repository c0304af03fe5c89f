// The image that nodes of the tests run: built from the Dockerfile, or, to try something by hand, an archive that VFIO_E2E_IMAGE names.

import { existsSync } from 'node:fs';
import { operatorImage } from '../image/operator-image.ts';
import type { OperatorImage } from '../image/operator-image.ts';
import { LabError, say } from '../lab/lab-error.ts';

/** Builds it when the cache lacks it. An archive of VFIO_E2E_IMAGE holds `lab.local/vfio-operator:e2e`. */
export async function clusterImage(): Promise<OperatorImage> {
  const archive = process.env['VFIO_E2E_IMAGE'] ?? '';
  if (archive === '') return operatorImage();
  if (!existsSync(archive)) throw new LabError(`VFIO_E2E_IMAGE names ${archive}, which is not there.`);
  say(`${archive} is the operator's image, by VFIO_E2E_IMAGE`);
  return { archive, repository: 'lab.local/vfio-operator', tag: 'e2e' };
}
