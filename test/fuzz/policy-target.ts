// Policy files of any content: nothing throws, a file gives documents or problems, and no document that is taken can lead out of where its
// words belong, select a whole node, or take long to match.
import { compileGlob } from '../../src/domain/glob.ts';
import { parsePolicyFile } from '../../src/kube/policy-documents.ts';
import type { PolicyDocument } from '../../src/kube/policy-documents.ts';
import { maxPolicyFileBytes } from '../../src/kube/read-policy-files.ts';
import { policyTable } from '../support/policy-table.ts';
import { fuzzTarget, mustHold } from './fuzz-target.ts';
import { mutatedText } from './mutated-bytes.ts';

const full = `apiVersion: vfio-operator.dev/v1alpha1
kind: VfioPolicy
metadata: { name: full, labels: { team: hpc } }
spec:
  nodeSelector: { matchLabels: { rack: a1 }, matchExpressions: [{ key: gpu, operator: In, values: [a, b] }] }
  priority: 7
  devices:
    - { bus: pci, vendor: "15b3", device: "101e", class: "0200", function: Virtual, numaNodes: [0] }
    - { modalias: "pci:v000015B3d*sv*sd*bc02*", addresses: ["0000:3b:00.0"], slots: ["4"], drivers: [mlx5_core] }
    - { serialNumbers: [b8-ce-f6-03-00-4a-1c-2e], acpiIndexes: [1], physicalFunctions: [enp59s0f0np0, "0000:3b:00.0"] }
  exclude: [{ addresses: ["0000:3b:00.1"] }]
  driver: { name: vfio-pci, module: vfio_pci, aliases: [{ pattern: "vfio_pci:v000015B3d*", module: mlx5_vfio_pci }] }
  resource: { name: example.org/nic, unit: Function, environment: [KubeVirt] }
  allow: [NotOurs]
`;
const corpus = [
  ...policyTable.map(({ text }) => text).filter((text) => text.length < 1_500),
  ...Array.from({ length: 60 }, () => full),
];
const longText = `vfio_pci:${'v000015B3d*'.repeat(40)}`;

export const policyTarget = fuzzTarget('policy', ['taken', 'refused', 'empty'], mutatedText(corpus, 5_000), (whole) => {
  // Nothing longer is ever parsed.
  const { documents, problems } = parsePolicyFile(whole.slice(0, maxPolicyFileBytes), 'any.yaml');
  mustHold(documents.length === 0 || problems.length === 0, 'documents or problems, never both');
  mustHold(problems.length <= 101, 'problems that can be read');
  for (const { line, message } of problems) {
    mustHold(line >= 0, 'a line that is one');
    mustHold(message !== '', 'a sentence');
  }
  for (const document of documents) examineTaken(document);
  return documents.length > 0 ? 'taken' : problems.length > 0 ? 'refused' : 'empty';
});

function examineTaken({ document, policy }: PolicyDocument): void {
  const { driver, resource } = policy;
  const selectors = [...policy.devices, ...policy.exclude];
  // Each of these becomes part of a path, a kernel write, a module's name or a line for kubelet.
  const words = [
    policy.name,
    driver.name ?? 'x',
    driver.module ?? 'x',
    ...driver.aliases.map(({ module }) => module),
    ...selectors.flatMap(({ addresses, slots, drivers, physicalFunctions }) => [
      ...addresses,
      ...slots.map((slot) => `x${slot}`),
      ...drivers,
      ...physicalFunctions,
    ]),
    ...(resource?.name.split('/') ?? []),
  ];
  for (const word of words)
    mustHold(/^[A-Za-z0-9_][A-Za-z0-9_.:,@+-]*$/.test(word), `${JSON.stringify(word)} is harmless`);
  for (const { modalias } of selectors) if (modalias !== null) examineGlob(modalias);
  for (const { pattern } of driver.aliases) examineGlob(pattern);
  mustHold(
    policy.devices.every(
      (selector) =>
        selector.vendor !== null ||
        selector.class !== null ||
        selector.modalias !== null ||
        [
          selector.addresses,
          selector.slots,
          selector.serialNumbers,
          selector.acpiIndexes,
          selector.physicalFunctions,
        ].some((list) => list.length > 0),
    ),
    'every selector is narrow',
  );
  const [again] = parsePolicyFile(JSON.stringify(document), 'again.json').documents;
  mustHold(
    JSON.stringify(again?.policy) === JSON.stringify({ ...policy, source: 'again.json:1' }),
    'read again it is the same',
  );
}

/** Any pattern that passes the schema compiles, and is matched at once. */
function examineGlob(pattern: string): void {
  const { glob } = compileGlob(pattern);
  mustHold(glob !== null, `${JSON.stringify(pattern)} is a glob`);
  glob?.matches(longText);
}
