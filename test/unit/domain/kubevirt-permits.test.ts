import { describe, expect, it } from 'vitest';
import { toKubeVirtNote } from '../../../src/domain/kubevirt-note.ts';
import {
  findPermitProblems,
  type KubeVirtConfig,
  type OfferedResource,
  toPatchCommand,
  toPermitPatch,
} from '../../../src/domain/kubevirt-permits.ts';
import { parseKubeVirt } from '../../../src/domain/parse-kubevirt.ts';
import { applyPatch } from '../../support/json-patch.ts';
import { kubeVirtObject, ownPlugins, type PciHostDevice, pciHostDevicesOf, permits } from '../../support/kubevirt.ts';

const gpu: OfferedResource = { name: 'vfio-operator.dev/l40s', ids: ['10de:26b9'] };
const nic: OfferedResource = { name: 'vfio-operator.dev/vf', ids: ['15b3:101e', '15b3:1021'] };
const good: PciHostDevice = {
  pciVendorSelector: '10de:26b9',
  resourceName: 'vfio-operator.dev/l40s',
  externalResourceProvider: true,
};

function parse(object: unknown): KubeVirtConfig {
  const config = parseKubeVirt(object);
  if (config === null) throw new Error('no KubeVirt');
  return config;
}

/** What is wrong, and what is there once the patch is applied. */
function check(devices: Parameters<typeof kubeVirtObject>[0], resources: readonly OfferedResource[]) {
  const object = kubeVirtObject(devices);
  const config = parse(object);
  const cured = applyPatch(object, toPermitPatch(config, resources));
  return { codes: findPermitProblems(config, resources).map(({ code }) => code), cured };
}

describe('what KubeVirt permits', () => {
  it.each<[string, Parameters<typeof kubeVirtObject>[0], readonly string[], readonly PciHostDevice[] | undefined]>([
    ['no list at all', undefined, [], undefined],
    ['all as it should be', [good], [], [good]],
    [
      'upper-case ids',
      [{ ...good, pciVendorSelector: '10DE:26B9' }],
      [],
      [{ ...good, pciVendorSelector: '10DE:26B9' }],
    ],
    ['an empty list', [], ['NotPermitted'], [good]],
    ['a list of other kinds alone', null, ['NotPermitted'], [good]],
    ['no flag', [{ ...good, externalResourceProvider: false }], ['NotExternal'], [good]],
    [
      'the flag not even named',
      [{ pciVendorSelector: '10de:26b9', resourceName: good.resourceName }],
      ['NotExternal'],
      [good],
    ],
    ['the id of another device', [{ ...good, pciVendorSelector: '10de:1eb8' }], ['OtherSelector'], [good]],
    [
      'one of two entries right',
      [{ ...good, pciVendorSelector: '10de:1eb8' }, good],
      [],
      [{ ...good, pciVendorSelector: '10de:1eb8' }, good],
    ],
    [
      "KubeVirt's own plugin for the same device",
      [{ pciVendorSelector: '10de:26b9', resourceName: 'nvidia.com/L40S' }, good],
      ['OfferedTwice'],
      [good],
    ],
    [
      'another external provider for the same device',
      [{ pciVendorSelector: '10de:26b9', resourceName: 'nvidia.com/L40S', externalResourceProvider: true }, good],
      [],
      [{ pciVendorSelector: '10de:26b9', resourceName: 'nvidia.com/L40S', externalResourceProvider: true }, good],
    ],
  ])('%s', (_title, devices, codes, after) => {
    const result = check(devices, [gpu]);
    expect(result.codes).toEqual(codes);
    expect(pciHostDevicesOf(result.cured)).toEqual(after);
    expect(findPermitProblems(parse(result.cured), [gpu])).toEqual([]);
    expect(permits(result.cured, gpu.name)).toBe(true);
    expect(ownPlugins(result.cured).some(({ resourceName }) => resourceName === gpu.name)).toBe(false);
  });

  it('says nothing of an id that no node has shown, and adds no entry without one', () => {
    const unknown = { ...gpu, ids: [] };
    expect(check([good], [unknown]).codes).toEqual([]);
    expect(check([], [unknown])).toMatchObject({ codes: ['NotPermitted'], cured: kubeVirtObject([]) });
  });

  it('mends several resources by one patch', () => {
    const rival = { pciVendorSelector: '15b3:1021', resourceName: 'mellanox.com/vf' };
    const { codes, cured } = check([rival, { ...good, externalResourceProvider: false }, rival], [gpu, nic]);
    expect(codes).toEqual(['NotExternal', 'NotPermitted', 'OfferedTwice', 'OfferedTwice']);
    expect(pciHostDevicesOf(cured)).toEqual([
      good,
      { pciVendorSelector: '15b3:101e', resourceName: nic.name, externalResourceProvider: true },
    ]);
  });

  it('keeps its hands off a list that has changed since it was printed', () => {
    const patch = toPermitPatch(parse(kubeVirtObject([{ ...good, externalResourceProvider: false }])), [gpu]);
    const other = kubeVirtObject([{ pciVendorSelector: '8086:1572', resourceName: 'intel.com/nic' }]);
    expect(() => applyPatch(other, patch)).toThrow(/test .* fails/);
  });

  it('reads what it does not understand as not there', () => {
    expect(parseKubeVirt(null)).toBeNull();
    expect(parseKubeVirt({ metadata: { name: 'a' } })).toBeNull();
    const odd = {
      ...kubeVirtObject([]),
      spec: { configuration: { permittedHostDevices: { pciHostDevices: ['x', {}] } } },
    };
    expect(parse(odd).permitted?.devices).toEqual([
      { selector: '', resource: '', external: false },
      { selector: '', resource: '', external: false },
    ]);
  });
});

describe('the condition KubeVirtPermitted', () => {
  it.each([
    [undefined, 'True', 'Unrestricted'],
    [[good], 'True', 'Permitted'],
    [[], 'False', 'NotPermitted'],
    [[{ ...good, externalResourceProvider: false }], 'False', 'NotExternal'],
  ] as const)('%#: %s', (devices, status, reason) => {
    expect(toKubeVirtNote(parse(kubeVirtObject(devices)), gpu)).toMatchObject({
      type: 'KubeVirtPermitted',
      status,
      reason,
    });
  });

  it('carries the command that cures it', () => {
    const config = parse(kubeVirtObject([]));
    const { message } = toKubeVirtNote(config, gpu);
    expect(message).toBe(
      'KubeVirt kubevirt/kubevirt: vfio-operator.dev/l40s is not in permittedHostDevices.pciHostDevices. ' +
        `Cure: ${toPatchCommand(config, toPermitPatch(config, [gpu]))}`,
    );
    expect(message).toContain("kubectl -n kubevirt patch kubevirts.kubevirt.io kubevirt --type=json -p '[{");
  });

  it('sends people to the object that the KubeVirt object is made from', () => {
    const object = kubeVirtObject([]);
    const owned = {
      ...object,
      metadata: { name: 'kubevirt', namespace: 'kubevirt', ownerReferences: [{ kind: 'HyperConverged', name: 'hco' }] },
    };
    expect(toKubeVirtNote(parse(owned), gpu).message).toMatch(
      /made from HyperConverged\/hco: change permittedHostDevices there\.$/,
    );
  });

  it('says what is missing when no patch can be made', () => {
    expect(toKubeVirtNote(parse(kubeVirtObject([])), { ...gpu, ids: [] }).message).toMatch(/needs the id of a device/);
  });
});
