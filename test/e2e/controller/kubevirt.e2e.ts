// KubeVirt's configuration on a real API server, by a CRD of its documented shape: the controller says on the policy what it lacks, the
// printed command is run as it is, and then nothing is lacking. And what `status --cluster` shows beside it.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Condition, VfioPolicyStatus } from '../../../src/api/generated/types.ts';
import { type PciHostDevice, kubeVirtObject, pciHostDevicesOf } from '../../support/kubevirt.ts';
import { startCli } from '../../support/run-cli.ts';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import type { Service } from '../cluster/service.ts';
import { until } from '../cluster/until.ts';
import {
  addNode,
  applyPolicy,
  applyState,
  fullDevice,
  newController,
  permitController,
  policiesPath,
  seenPolicy,
  USER,
} from './controller-lab.ts';

const resource = 'vfio-operator.dev/connectx7-vf';
const kubeVirtPath = '/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt';
let cluster: ControlPlane;
let controller: Service;

beforeAll(async () => {
  cluster = await startControlPlane({ users: { [USER]: ['operators'] } });
  await permitController(cluster);
  controller = newController(cluster, 'one', { flags: ['--kubevirt-preflight'] });
  await controller.start();
});
afterAll(async () => {
  await controller?.stop('SIGKILL');
  await cluster?.stop();
});

/** The part of KubeVirt's CRD that is looked at, as its API documentation has it. */
const crd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'kubevirts.kubevirt.io' },
  spec: {
    group: 'kubevirt.io',
    scope: 'Namespaced',
    names: {
      kind: 'KubeVirt',
      listKind: 'KubeVirtList',
      plural: 'kubevirts',
      singular: 'kubevirt',
      shortNames: ['kv'],
    },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                properties: {
                  configuration: {
                    type: 'object',
                    properties: {
                      developerConfiguration: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                      permittedHostDevices: {
                        type: 'object',
                        properties: {
                          usb: { type: 'array', items: { type: 'object' } },
                          pciHostDevices: {
                            type: 'array',
                            'x-kubernetes-list-type': 'atomic',
                            items: {
                              type: 'object',
                              required: ['pciVendorSelector', 'resourceName'],
                              properties: {
                                pciVendorSelector: { type: 'string' },
                                resourceName: { type: 'string' },
                                externalResourceProvider: { type: 'boolean' },
                              },
                            },
                          },
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};

async function condition(): Promise<Condition | undefined> {
  const policy = await cluster.admin.expect({ path: `${policiesPath}/nics` });
  const status: VfioPolicyStatus = policy['status'] ?? {};
  return status.conditions?.find(({ type }) => type === 'KubeVirtPermitted');
}

const untilReason = (reason: string): Promise<void> =>
  until(`KubeVirtPermitted being ${reason}`, async () => (await condition())?.reason === reason, 240);

/** Runs what `kubevirt patch` printed, as a shell would. */
async function runPrinted(text: string): Promise<void> {
  const command = text.split('\n').find((line) => line.startsWith('kubectl '));
  const match = /^kubectl (.*) -p '(.*)'$/.exec(command ?? '');
  if (match === null) throw new Error(`no command in: ${text}`);
  await cluster.kubectl([...(match[1] ?? '').split(' '), '-p', match[2] ?? '']);
}

const setDevices = async (devices: readonly PciHostDevice[]): Promise<void> =>
  void (await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(kubeVirtObject(devices))));
const kubeVirtPatch = (): ReturnType<typeof startCli> =>
  startCli(['kubevirt', 'patch', '--kubeconfig', cluster.kubeconfig()]);

it('says nothing of KubeVirt where there is none', async () => {
  const policy = await applyPolicy(cluster, 'nics', { devices: [{ vendor: '15b3' }], resource: { name: resource } });
  await addNode(cluster, 'a');
  await applyState(cluster, 'a', { policies: [seenPolicy(policy)], devices: [fullDevice(0), fullDevice(1)] });
  await until('a status', async () => {
    const { status } = (await cluster.admin.expect({ path: `${policiesPath}/nics` })) as { status?: VfioPolicyStatus };
    return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
  });
  expect(await condition()).toBeUndefined();
  const { code, stderr } = await kubeVirtPatch();
  expect([code, stderr]).toEqual([1, 'this cluster has no KubeVirt (kubevirts.kubevirt.io)\n']);
});

it('finds the entry missing, and the printed command puts it there beside the others', async () => {
  await cluster.kubectl(['create', '-f', '-'], JSON.stringify(crd));
  await cluster.kubectl(['create', 'namespace', 'kubevirt']);
  await until(
    'the new kind',
    async () => (await cluster.admin.request({ path: '/apis/kubevirt.io/v1/kubevirts' })).status === 200,
  );
  const other = { pciVendorSelector: '10de:1eb8', resourceName: 'nvidia.com/T4' };
  await setDevices([other]);
  await untilReason('NotPermitted');
  const { code, stdout } = await kubeVirtPatch();
  expect(code).toBe(0);
  expect(stdout).toContain(`# ${resource} is not in permittedHostDevices.pciHostDevices\n`);
  await runPrinted(stdout);
  await untilReason('Permitted');
  expect(pciHostDevicesOf(await cluster.admin.expect({ path: kubeVirtPath }))).toEqual([
    other,
    { pciVendorSelector: '15b3:101e', resourceName: resource, externalResourceProvider: true },
  ]);
  expect((await kubeVirtPatch()).stdout).toBe(`# KubeVirt kubevirt/kubevirt permits ${resource}.\n`);
});

it("finds KubeVirt's own plugins that would take the devices, and the condition's own command ends them", async () => {
  await setDevices([
    { pciVendorSelector: '15B3:101E', resourceName: 'mellanox.com/cx7' },
    { pciVendorSelector: '15b3:101e', resourceName: resource },
  ]);
  await untilReason('NotExternal');
  const message = (await condition())?.message ?? '';
  expect(message).toContain("which KubeVirt's own plugin offers as mellanox.com/cx7 too");
  await runPrinted(message.slice(message.indexOf('kubectl ')));
  await untilReason('Permitted');
  expect(pciHostDevicesOf(await cluster.admin.expect({ path: kubeVirtPath }))).toEqual([
    { pciVendorSelector: '15b3:101e', resourceName: resource, externalResourceProvider: true },
  ]);
});

it('shows the cluster to a person', async () => {
  const { code, stdout } = await startCli(['status', '--cluster', '--kubeconfig', cluster.kubeconfig()]);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^POLICY +MODE +RESOURCE +NODES +BOUND +READY +WHY\nnics +Enforce +\S+ +1\/1 +2 +True +AllDone: /,
  );
  expect(stdout).toMatch(/\nNODE +KERNEL +BOUND +RESOURCES +READY +WHY\na /);
  const nowhere = await startCli(['status', '--cluster', '--kubeconfig', '/nowhere']);
  expect(nowhere.code).toBe(2);
  expect(nowhere.stderr).toMatch(/^\/nowhere cannot be read: /);
});
