// Makes everything that follows from the two CRDs: TypeScript types, the schema that policy files are checked against, and docs/api.md.
// `node scripts/generate-api.mjs` writes; with `--check` it writes nothing and ends with 1 when a file is not what it would write.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildPolicySchema } from './api-policy-schema.mjs';
import { buildReference } from './api-reference.mjs';
import { buildTypes } from './api-types.mjs';
import { readCrd, root } from './crd-schema.mjs';

const policy = readCrd('vfiopolicies');
const kinds = [policy, readCrd('vfionodestates')];
const outputs = {
  'src/api/generated/types.ts': await buildTypes(kinds),
  'src/kube/generated/vfio-policy-schema.ts': await buildPolicySchema(policy),
  'docs/api.md': await buildReference(kinds),
};

const check = process.argv.includes('--check');
for (const [path, text] of Object.entries(outputs)) {
  const file = join(root, path);
  if (!check) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  } else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
    process.stderr.write(`${path} is not what the CRDs give: run \`npm run generate\` and commit the result\n`);
    process.exitCode = 1;
  }
}
