// Network interfaces in sysfs: those of devices, and bridges, bonds, VLANs and macvlans on top of them.
import type { Entry } from '../memory/entry.ts';
import { relativeLink } from './machine.ts';
import type { Machine, SimDevice } from './machine.ts';
import type { ChildSpec, KernelSpec, NetSpec } from './spec.ts';

type VirtualInterface = NonNullable<KernelSpec['virtualInterfaces']>[number];

/** Shows an interface of a device below `base`. */
export function showInterface(machine: Machine, device: SimDevice, base: string, net: NetSpec): void {
  const directory = `${base}/net/${net.name}`;
  const short = `/sys/class/net/${net.name}`;
  machine.files.put(directory, { directory: interfaceEntries(net) });
  machine.files.put(`${directory}/device`, relativeLink(`${directory}/device`, base));
  machine.files.put(short, relativeLink(short, directory));
  device.shown.push(`${base}/net`, short);
}

/** Shows the loopback interface. */
export function showLoopback(machine: Machine): void {
  const directory = '/sys/devices/virtual/net/lo';
  const entries = interfaceEntries({ name: 'lo', up: true });
  machine.files.put(directory, { directory: { ...entries, flags: '0x9\n', operstate: 'unknown\n', type: '772\n' } });
  machine.files.put('/sys/class/net/lo', relativeLink('/sys/class/net/lo', directory));
}

/** Shows an interface without a device. */
export function showVirtualInterface(machine: Machine, net: VirtualInterface): void {
  const directory = `/sys/devices/virtual/net/${net.name}`;
  const kinds: Record<VirtualInterface['type'], Record<string, Entry>> = {
    bridge: { bridge: { directory: { bridge_id: '8000.000000000000\n' } }, brif: { directory: {} } },
    bond: { bonding: { directory: { slaves: `${net.lowers.join(' ')}\n`, mode: 'active-backup 1\n' } } },
    vlan: {},
    macvlan: {},
  };
  machine.files.put(directory, { directory: { ...interfaceEntries(net), ...kinds[net.type] } });
  machine.files.put(`/sys/class/net/${net.name}`, relativeLink(`/sys/class/net/${net.name}`, directory));
  linkInterfaces(machine);
}

/** Links what lies on top of what, both ways, as far as both are there; drops links to what is gone. */
export function linkInterfaces(machine: Machine): void {
  const { files } = machine;
  for (const upper of machine.spec.virtualInterfaces ?? []) {
    const above = `/sys/devices/virtual/net/${upper.name}`;
    if (!files.exists(above)) continue;
    for (const lower of upper.lowers) {
      if (!files.exists(`/sys/class/net/${lower}`)) {
        files.drop(`${above}/lower_${lower}`);
        files.drop(`${above}/brif/${lower}`);
        continue;
      }
      const below = files.realPath(`/sys/class/net/${lower}`);
      const link = (from: string, to: string): void => files.put(from, relativeLink(from, to));
      link(`${above}/lower_${lower}`, below);
      link(`${below}/upper_${upper.name}`, above);
      if (upper.type === 'bridge') {
        files.put(`${below}/brport`, { directory: {} });
        link(`${below}/brport/bridge`, above);
        link(`${above}/brif/${lower}`, `${below}/brport`);
      }
      if (upper.type === 'bridge' || upper.type === 'bond') link(`${below}/master`, above);
    }
  }
}

const loopback: NetSpec = { name: 'lo', ipv4: ['127.0.0.1/8'], ipv6: ['::1/128'] };

/** The interfaces there are now, with their addresses. */
export function presentInterfaces(machine: Machine): readonly NetSpec[] {
  const children = [...machine.devices.values()].flatMap(({ spec }) => spec.children ?? []);
  const known = [loopback, ...children.flatMap(interfacesOf), ...(machine.spec.virtualInterfaces ?? [])];
  return known.filter(({ name, elsewhere }) => elsewhere !== true && machine.files.exists(`/sys/class/net/${name}`));
}

function interfacesOf(child: ChildSpec): readonly NetSpec[] {
  if (child.kind === 'net') return [child];
  return child.kind === 'virtio' ? child.children.flatMap(interfacesOf) : [];
}

function interfaceEntries(net: NetSpec): Record<string, Entry> {
  const up = net.up === true;
  return {
    flags: up ? '0x1003\n' : '0x1002\n',
    operstate: up ? 'up\n' : 'down\n',
    type: '1\n',
    ifindex: '2\n',
    address: '52:54:00:00:00:01\n',
    carrier: up ? '1\n' : '0\n',
  };
}
