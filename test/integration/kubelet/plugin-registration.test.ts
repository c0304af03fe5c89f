import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { answer, pluginRegistration } from '../../../src/kubelet/contracts.ts';
import { registerByDirectory } from '../../../src/kubelet/plugin-registration.ts';
import { createKubeletHost, listed, resource, until } from '../../support/kubelet-host.ts';

let host: ReturnType<typeof createKubeletHost>;
let registry: string;
beforeEach(() => {
  host = createKubeletHost({ watchesRegistry: true });
  registry = host.registryDirectory;
  mkdirSync(registry);
});
afterEach(() => host.close());

const counts = () => host.kubelet.resources().get(resource);
const plugin = (name = resource) =>
  host.plugin({ resource: name, registration: registerByDirectory(registry), devices: [listed('a')] });

describe('a plugin that waits to be found', () => {
  it('is found, told, listed, and leaves no other socket than its own', async () => {
    await host.kubelet.start();
    const found = plugin();
    found.start();
    await until('listed', () => counts()?.allocatable === 1 && found.state.registered);
    expect(readdirSync(registry)).toEqual([host.kubelet.socket(resource)]);
    expect(readdirSync(host.directory).filter((name) => name.endsWith('.sock'))).toEqual(['kubelet.sock']);
    await found.withdraw();
    await until('gone', () => counts()?.capacity === 0);
    expect(readdirSync(registry)).toEqual([]);
  });

  it('is found again after a restart of kubelet', async () => {
    const found = plugin();
    found.start();
    for (let round = 0; round < 2; round += 1) {
      await host.kubelet.start();
      await until('listed', () => counts()?.allocatable === 1);
      await host.kubelet.stop();
    }
    await until('lost', () => !found.state.registered);
    await host.kubelet.start();
    await until('listed', () => counts()?.allocatable === 1 && found.state.registered);
  });

  it('comes back after its stream was cut, and after its socket was deleted', async () => {
    await host.kubelet.start();
    plugin().start();
    await until('listed', () => counts()?.allocatable === 1);
    host.kubelet.cutStream(resource);
    await until('listed again', () => counts()?.allocatable === 1);
    rmSync(join(registry, host.kubelet.socket(resource) ?? ''));
    await until('gone', () => host.kubelet.socket(resource) === null);
    await until('listed once more', () => counts()?.allocatable === 1);
  });

  it('hears why it is refused', async () => {
    await host.kubelet.start();
    const refused = plugin('kubernetes.io/gpu');
    refused.start();
    await until('refused', () => refused.state.lastError !== null);
    expect(refused.state.lastError).toBe(
      `kubelet refused kubernetes.io/gpu found in ${registry}: resource name kubernetes.io/gpu lies in kubernetes.io, which belongs to Kubernetes`,
    );
  });

  it('is left alone when it is of another kind or no plugin at all', async () => {
    const statuses: string[] = [];
    const server = await host.ports.grpc.serve(join(registry, 'csi.sock'), [
      answer(pluginRegistration.getInfo, () => ({
        type: 'CSIPlugin',
        name: 'csi.example.com',
        endpoint: '',
        supportedVersions: ['1.0.0'],
      })),
      answer(pluginRegistration.notifyRegistrationStatus, ({ error }) => {
        statuses.push(error);
        return {};
      }),
    ]);
    writeFileSync(join(registry, 'note.txt'), '');
    const mute = await host.ports.grpc.serve(join(registry, 'mute.sock'), []);
    await host.kubelet.start();
    await until('told', () => statuses.length > 0);
    expect(statuses[0]).toBe('no handler for plugins of type CSIPlugin');
    expect(host.kubelet.resources().size).toBe(0);
    await Promise.all([server.close(0), mute.close(0)]);
  });
});
