// Builds the operator's image as the sources are now: node test/e2e/image/build.ts. Prints NAME ARCHIVE on stdout, progress on stderr.

import { LabError, say } from '../lab/lab-error.ts';
import { operatorImage } from './operator-image.ts';

try {
  const { repository, tag, archive } = await operatorImage();
  process.stdout.write(`${repository}:${tag} ${archive}\n`);
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  say(error.message);
  process.exit(1);
}
