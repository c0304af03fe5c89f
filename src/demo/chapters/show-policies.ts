// The policies, as the files that the agent will read.
import { policyDirectory, policyFiles } from '../demo-policies.ts';
import { check } from '../chapter.ts';
import type { Chapter, Telling } from '../chapter.ts';
import { rehearse } from '../rehearse.ts';

/** Puts the files on the node, and reads them back as policies. */
export async function showPolicies({ stage, paint }: Telling): Promise<Chapter> {
  const { files } = stage;
  for (const [name, text] of Object.entries(policyFiles)) files.put(`${policyDirectory}/${name}`, text);
  const names = [...files.list(policyDirectory)].sort();
  const texts = names.map((name) => files.readText(`${policyDirectory}/${name}`));
  const { input } = await rehearse(stage, policyDirectory);
  const [head = ''] = texts.map((text) => text.split('\nmetadata')[0]);
  return {
    name: 'Policies',
    title: 'What somebody wants',
    parts: [
      {
        says:
          'Policies say which devices shall go to virtual machines, by what they are and not by where they are plugged in. They are ' +
          `kept in Git; on a node without a cluster they are files in ${policyDirectory}. Each begins like this:`,
      },
      { shows: paint('dim', head) },
      {
        shows: names
          .map((name, index) => `${paint('bold', name)}\n${(texts[index] ?? '').slice(head.length + 1).trimEnd()}`)
          .join('\n\n'),
      },
      {
        says:
          'Two of them are careless: "every NVMe drive" includes the one that the node booted from, and the two network cards are of ' +
          'one model, but the node is reached through one of them.',
      },
    ],
    checks: [
      check(
        `${names.length} files are ${names.length} valid policies`,
        input.policies.policies.map(({ name }) => name).toSorted(),
        names.map((name) => name.replace('.yaml', '')),
      ),
    ],
  };
}
