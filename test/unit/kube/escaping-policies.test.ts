// Policies whose words try to leave the place they are meant for: paths, kernel writes, module names, lines to kubelet. Each is refused at its
// field, and patterns made to take for ever are matched at once.
import { describe, expect, it } from 'vitest';
import { compileGlob } from '../../../src/domain/glob.ts';
import { parsePolicyFile } from '../../../src/kube/policy-documents.ts';

const evil = [
  '../../../etc/passwd',
  'a/b',
  '/sys/bus/pci/drivers/vfio-pci/unbind',
  'vfio-pci\nnvme',
  'vfio-pci\n',
  '\nvfio-pci',
  'vfio-pci\r',
  'vfio\0pci',
  'vfio pci',
  ' ',
  '',
  '$(reboot)',
  'a;reboot',
  'a|b',
  '`a`',
  '-a%2f..',
  '*',
  'ｖfio',
  'vfio\u2028pci',
  'vfio\u202epci',
  'x'.repeat(400),
];

/** Fields whose words become part of something; each with a document that has `word` there. */
const fields: Readonly<Record<string, (word: string) => object>> = {
  'metadata.name': (word) => ({ metadata: { name: word } }),
  'spec.driver.name': (word) => ({ driver: { name: word } }),
  'spec.driver.module': (word) => ({ driver: { name: 'vfio-pci', module: word } }),
  'spec.driver.aliases[0].module': (word) => ({
    driver: { aliases: [{ pattern: 'vfio_pci:v000015B3d*', module: word }] },
  }),
  'spec.devices[0].addresses[0]': (word) => ({ devices: [{ addresses: [word] }] }),
  'spec.devices[0].slots[0]': (word) => ({ devices: [{ slots: [word] }] }),
  'spec.devices[0].drivers[0]': (word) => ({ devices: [{ vendor: '15b3', drivers: [word] }] }),
  'spec.devices[0].physicalFunctions[0]': (word) => ({ devices: [{ physicalFunctions: [word] }] }),
  'spec.resource.name': (word) => ({ resource: { name: `example.org/${word}` } }),
};

function read(parts: object): ReturnType<typeof parsePolicyFile> {
  const { metadata = { name: 'example' }, ...spec } = parts as { readonly metadata?: object };
  const document = {
    apiVersion: 'vfio-operator.dev/v1alpha1',
    kind: 'VfioPolicy',
    metadata,
    spec: { devices: [{ vendor: '15b3' }], ...spec },
  };
  return parsePolicyFile(JSON.stringify(document), 'evil.yaml');
}

describe.each(Object.entries(fields))('%s', (path, make) => {
  it.each(evil)('does not take %j', (word) => {
    const { documents, problems } = read(make(word));
    expect(documents).toEqual([]);
    expect(problems.map((problem) => problem.path)).toContain(path);
  });

  it('takes a plain word', () => {
    expect(read(make('a1')).problems).toEqual([]);
  });
});

describe('addresses', () => {
  it.each(['.', '..', '.hidden', '-rf'])('do not begin as %j does', (word) => {
    expect(read({ devices: [{ addresses: [word] }] }).documents).toEqual([]);
  });
});

describe('patterns made to take for ever', () => {
  const body = 'a'.repeat(100_000);
  it.each([
    '*a'.repeat(120),
    '*'.repeat(240),
    '*?'.repeat(120),
    '*[a-z]'.repeat(40),
    '[a]*'.repeat(60),
    'a*'.repeat(120),
  ])('%s is a selector like any other, and is matched at once', (tail) => {
    const modalias = `pci:v000015B3${tail}`;
    expect(read({ devices: [{ modalias }] }).problems).toEqual([]);
    expect(compileGlob(modalias).glob?.matches(`pci:v000015B3${body}b!`)).toBe(/[*?]$/.test(tail));
  });
});
