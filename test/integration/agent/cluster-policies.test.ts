// Policies from a cluster. Not seeing is not "none": whatever the API server says or does not say, only a policy that is proven gone
// gives its devices back.
import { beforeEach, describe, expect, it, test } from 'vitest';
import type { AgentLife } from '../../support/agent-node.ts';
import { nicPod, nicResource, verdictOn } from '../../support/agent-node.ts';
import { aNodeObject, aPolicyObject } from '../../support/cluster-objects.ts';
import { clusterNode, toJson, type ClusterNode, type NodeStateObject } from '../../support/cluster-node.ts';
import { demoAddresses as at } from '../../../src/simulation/nodes/demo-node.ts';

let cluster: ClusterNode;
let life: AgentLife;

const nics = (parts: Parameters<typeof aPolicyObject>[1] = {}): ReturnType<typeof toJson> =>
  toJson(
    aPolicyObject('nics', {
      ...parts,
      spec: { devices: [{ addresses: [at.spareNic] }], resource: { name: nicResource }, ...parts.spec },
    }),
  );
const uidOf = (resource: string, name: string): unknown =>
  (cluster.api.get(resource, name) as unknown as NodeStateObject | null)?.metadata.uid;
const driver = (): unknown => cluster.node.driverOf(at.spareNic);
const known = (): unknown => life.agent.report?.policies.complete;
const why = (): string => life.agent.report?.policies.why ?? '';
const condition = (type: string): unknown =>
  cluster.nodeState()?.status?.conditions?.find((one) => one.type === type)?.status;

beforeEach(async () => {
  cluster = await clusterNode();
  cluster.api.put('vfiopolicies', nics());
  life = await cluster.node.start();
});

describe('a policy of the cluster', () => {
  it('is acted on, offered, and told in the node state', () => {
    expect([driver(), cluster.node.offered(nicResource), known()]).toEqual([
      'vfio-pci',
      { [at.spareNic]: 'Healthy' },
      true,
    ]);
    expect(cluster.nodeState()).toMatchObject({
      metadata: { ownerReferences: [{ kind: 'Node', name: 'node-1', uid: uidOf('nodes', 'node-1') }] },
      status: {
        devices: [{ address: at.spareNic, decision: 'Bound' }],
        policies: [{ name: 'nics', uid: uidOf('vfiopolicies', 'nics'), observedGeneration: 1 }],
      },
    });
    expect([condition('Ready'), condition('PoliciesKnown'), condition('Registered')]).toEqual(['True', 'True', 'True']);
  });

  it('that is deleted gives its devices back, once it is proven gone', async () => {
    cluster.api.delete('vfiopolicies', 'nics');
    await cluster.clock.advance(1_900);
    expect(driver()).toBe('vfio-pci');
    await cluster.clock.advance(10_000);
    expect([driver(), cluster.node.offered(nicResource)]).toEqual(['e1000e', {}]);
    expect(cluster.nodeState()?.status?.devices).toBeUndefined();
  });

  it('that is deleted while the watch is cut is missed in the next list', async () => {
    cluster.api.faults.goAway();
    cluster.api.delete('vfiopolicies', 'nics');
    await cluster.clock.advance(60_000);
    expect(driver()).toBe('vfio-pci');
    cluster.api.faults.comeBack();
    cluster.api.faults.compact();
    await cluster.clock.advance(90_000);
    expect(driver()).toBe('e1000e');
  });

  it('that is deleted and made again within a moment is another one, and nothing is given back', async () => {
    const before = cluster.node.writes.length;
    const uid = uidOf('vfiopolicies', 'nics');
    cluster.api.delete('vfiopolicies', 'nics');
    await cluster.clock.advance(500);
    cluster.api.put('vfiopolicies', nics());
    expect(uidOf('vfiopolicies', 'nics')).not.toBe(uid);
    await cluster.clock.advance(20_000);
    expect([driver(), known()]).toEqual(['vfio-pci', true]);
    expect(cluster.node.writes.slice(before)).toEqual([]);
    expect(cluster.nodeState()?.status?.policies).toMatchObject([{ name: 'nics', uid: uidOf('vfiopolicies', 'nics') }]);
  });

  it('that does not parse any more keeps its last good version, and is told', async () => {
    cluster.api.put('vfiopolicies', nics({ generation: 2, spec: { devices: [{ colour: 'red' }] } }));
    await cluster.clock.advance(10_000);
    expect([driver(), known()]).toEqual(['vfio-pci', true]);
    expect(cluster.nodeState()?.status?.policies).toMatchObject([
      { name: 'nics', observedGeneration: 2, code: 'Invalid' },
    ]);
    expect(condition('Stalled')).toBe('True');
    cluster.api.put('vfiopolicies', nics({ generation: 3, spec: { devices: [{ vendor: '1234' }] } }));
    await cluster.clock.advance(10_000);
    expect([driver(), condition('Stalled')]).toEqual(['e1000e', undefined]);
  });

  it('follows the labels of the Node', async () => {
    cluster.api.put('vfiopolicies', nics({ spec: { nodeSelector: { matchLabels: { zone: 'a' } } } }));
    await cluster.clock.advance(10_000);
    expect(driver()).toBe('vfio-pci');
    cluster.api.put('nodes', toJson(aNodeObject('node-1', { labels: { zone: 'b' } })));
    await cluster.clock.advance(10_000);
    expect(driver()).toBe('e1000e');
  });
});

describe('nothing is released', () => {
  /** What is unknown, how it comes about, and how it is cured. */
  const blindness: readonly (readonly [string, (cluster: ClusterNode) => void, RegExp])[] = [
    ['404: the collection is gone', ({ api }) => api.faults.refuse('vfiopolicies', 404), /NotFound|404/],
    ['401', ({ api }) => api.faults.refuse('vfiopolicies', 401), /401/],
    ['403', ({ api }) => api.faults.refuse('vfiopolicies', 403), /403/],
    ['403 for the Node', ({ api }) => api.faults.refuse('nodes', 403), /403/],
    ['the Node is missing', ({ api }) => void api.delete('nodes', 'node-1'), /there is no Node node-1/],
    [
      'a list that is older than what was acted on',
      ({ api }) => {
        api.faults.serveOld(60, false);
      },
      /was known before/,
    ],
    ['an answer that is none', ({ api }) => api.faults.garble('<html>'), /./],
  ];

  it.each(blindness)('after a deletion that nobody can prove: %s', async (_, blind, sentence) => {
    cluster.api.skip(50);
    blind(cluster);
    cluster.api.faults.compact();
    cluster.api.faults.expireWatches();
    await cluster.clock.advance(60_000);
    expect(driver()).toBe('vfio-pci');
    if (sentence.source !== '.') expect([known(), why()]).toEqual([false, expect.stringMatching(sentence)]);
    expect(cluster.node.offered(nicResource)).toEqual({ [at.spareNic]: 'Healthy' });
    // Nor after a restart, when all there is is what was kept.
    await cluster.node.when(life.agent.stop());
    life = await cluster.node.start();
    await cluster.clock.advance(60_000);
    expect([driver(), cluster.node.offered(nicResource)]).toEqual(['vfio-pci', { [at.spareNic]: 'Healthy' }]);
  });

  it('while the CRD is being deleted, and its objects with it; once it was made again, what is not there is gone', async () => {
    cluster.api.deleteCrd('vfiopolicies');
    await cluster.clock.advance(4_000);
    expect([driver(), known(), why()]).toEqual(['vfio-pci', false, expect.stringMatching(/CRD.*being deleted/)]);
    await cluster.clock.advance(600_000);
    expect([driver(), known(), why()]).toEqual(['vfio-pci', false, expect.stringMatching(/404/)]);
    cluster.api.createCrd('vfiopolicies');
    await cluster.clock.advance(120_000);
    expect([driver(), known()]).toEqual(['e1000e', true]);
  });

  it('by a list that breaks off in the middle, page by page', async () => {
    for (let number = 0; number < 250; number += 1) {
      const name = `z${String(number).padStart(3, '0')}`;
      cluster.api.put('vfiopolicies', toJson(aPolicyObject(name, { spec: { devices: [{ vendor: 'ffff' }] } })));
    }
    await cluster.clock.advance(20_000);
    cluster.api.faults.compact();
    cluster.api.faults.expireWatches();
    cluster.api.faults.losePages(1_000);
    cluster.api.delete('vfiopolicies', 'nics');
    await cluster.clock.advance(60_000);
    expect([driver(), known()]).toEqual(['vfio-pci', false]);
    cluster.api.faults.heal();
    await cluster.clock.advance(120_000);
    expect([driver(), known()]).toEqual(['e1000e', true]);
  });

  it('by an API server that does not answer: what was seen stays proven, for hours', async () => {
    cluster.api.faults.freeze();
    await cluster.clock.advance(3_600_000);
    cluster.api.faults.goAway();
    await cluster.clock.advance(3_600_000);
    expect([driver(), known()]).toEqual(['vfio-pci', true]);
  });
});

describe('without an API server', () => {
  beforeEach(async () => {
    await cluster.node.when(life.agent.stop());
    cluster.api.faults.goAway();
  });

  it('a restarted agent serves its devices from what it last knew', async () => {
    life = await cluster.node.start();
    expect([cluster.node.offered(nicResource), known()]).toEqual([{ [at.spareNic]: 'Healthy' }, false]);
    expect(why()).toMatch(/not known yet/);
    const started = await cluster.node.when(cluster.node.kubelet.run(nicPod));
    expect(started.get('compute')?.envs).toEqual({ 'PCI_RESOURCE_VFIO-OPERATOR_DEV_NIC': at.spareNic });
  });

  it('a rebooted node binds and registers, and catches up when the API server is back', async () => {
    cluster.node.control.reboot();
    await cluster.node.boot();
    expect(driver()).toBe('e1000e');
    life = await cluster.node.start();
    expect([driver(), cluster.node.offered(nicResource)]).toEqual(['vfio-pci', { [at.spareNic]: 'Healthy' }]);
    cluster.api.delete('vfiopolicies', 'nics');
    await cluster.clock.advance(120_000);
    expect(driver()).toBe('vfio-pci');
    cluster.api.faults.comeBack();
    await cluster.clock.advance(120_000);
    expect([driver(), known()]).toEqual(['e1000e', true]);
  });

  it('an agent that has lost what it knew binds nothing, releases nothing, and goes on offering what it holds', async () => {
    await cluster.node.when(cluster.node.kernel.files.remove('/var/lib/vfio-operator/cluster'));
    life = await cluster.node.start();
    await cluster.clock.advance(60_000);
    expect([driver(), cluster.node.offered(nicResource), known()]).toEqual([
      'vfio-pci',
      { [at.spareNic]: 'Healthy' },
      false,
    ]);
    expect(verdictOn(life, at.spareNic)).toBe('Bound');
    expect(why()).toMatch(/labels of Node node-1 are not known/);
  });
});

test('a killed agent knows after its restart what it knew before', async () => {
  life.kill();
  cluster.api.faults.goAway();
  life = await cluster.node.start();
  expect([driver(), cluster.node.offered(nicResource)]).toEqual(['vfio-pci', { [at.spareNic]: 'Healthy' }]);
});
