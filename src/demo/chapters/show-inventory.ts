// What the node has, as `vfio-operator devices` prints it.
import { describeHost, renderDevices } from '../../cli/devices-command.ts';
import { toDeviceView, toSources } from '../../cli/device-view.ts';
import { compareAddresses } from '../../domain/device.ts';
import type { Device } from '../../domain/device.ts';
import { readIommuEvidence } from '../../host/iommu-evidence.ts';
import { demoAddresses } from '../../simulation/nodes/demo-node.ts';
import { check } from '../chapter.ts';
import type { Chapter, Telling } from '../chapter.ts';
import { rehearse } from '../rehearse.ts';

/** Scans the node and compares what sysfs says with the kernel's own state. */
export async function showInventory({ stage, paint }: Telling): Promise<Chapter> {
  const { control, files, paths } = stage;
  const { input, unread } = await rehearse(stage, null);
  const { inventory, aliases, catalog } = input;
  const all = [...inventory.devices.values()].sort((a, b) => compareAddresses(a.address, b.address));
  const shown = all.filter(({ classCode }) => classCode?.startsWith('06') !== true);
  const sources = toSources(unread);
  const views = shown.map((device) =>
    toDeviceView(device, paths.device(device.bus, device.address), sources, { table: aliases, catalog }),
  );
  const { drivers, groups } = control.snapshot();
  const byAddress = <Value>(value: (device: Device) => Value): Record<string, Value> =>
    Object.fromEntries(all.map((device) => [device.address, value(device)]));
  const { gpu, gpuAudio } = demoAddresses;
  return {
    name: 'Inventory',
    title: 'What the node has',
    parts: [
      {
        says:
          'To hand a device to a virtual machine, its ordinary driver must let go of it and a VFIO driver take over: one that gives ' +
          'the device to a program instead of using it. So far every device here is on its ordinary driver.',
      },
      { shows: renderDevices(views, paint) },
      {
        shows: `${describeHost(inventory.kernel, inventory.groups.size, readIommuEvidence(files, paths))}\n${paint(
          'dim',
          `${all.length - shown.length} bridges and the like are left out here`,
        )}`,
      },
      {
        says:
          'GROUP is the IOMMU group: the hardware keeps groups apart, but not the devices inside one. A group therefore always goes ' +
          `to one virtual machine as a whole. The GPU and its audio function share group ${groups[gpu] ?? 'none'}.`,
      },
    ],
    checks: [
      check(
        `all ${all.length} devices read from /sys have the driver and the group that the kernel says they have`,
        [byAddress(({ driver }) => driver), byAddress(({ iommuGroup }) => iommuGroup)],
        [drivers, groups],
      ),
      check(
        `${gpu} and ${gpuAudio} are one group, and nothing else is in it`,
        inventory.groups.get(groups[gpu] ?? -1)?.members,
        [gpu, gpuAudio],
      ),
      check('nothing was written', stage.record.happenings.filter(({ kind }) => kind === 'Write').length, 0),
    ],
  };
}
