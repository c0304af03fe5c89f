// `devices`: everything the host has on its buses, with what the alias algorithm would bind. Looks, asks no policy, changes nothing.
import { compareAddresses, type KernelFacts } from '../domain/device.ts';
import { readIommuEvidence, type IommuEvidence } from '../host/iommu-evidence.ts';
import { readHostAliases } from './alias-evidence.ts';
import { classNameOf } from './class-names.ts';
import { printAnswer, type CliParts, type OutputFormat } from './cli-parts.ts';
import { toDeviceView, toSources, type DeviceView } from './device-view.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { openHost, scanHost, type HostOptions } from './open-host.ts';
import { renderTable, type Cell } from './render-table.ts';
import { joinSections, renderUnread, toUnread, withoutRepeats } from './render-unread.ts';
import type { Paint } from './terminal.ts';

export interface DevicesOptions extends HostOptions {
  readonly output: OutputFormat;
}

/** The command. Always `ok` on a host that can be looked at: what cannot be read is part of the answer. */
export async function runDevices(options: DevicesOptions, parts: CliParts): Promise<ExitCode> {
  const host = openHost(parts.files, options);
  const inventory = await scanHost(parts.files, host, { wantSerialNumbers: false });
  const evidence = readHostAliases(parts.files, host);
  const sources = toSources(inventory.unread);
  const devices = [...inventory.devices.values()]
    .sort((a, b) => compareAddresses(a.address, b.address))
    .map((device) => toDeviceView(device, host.paths.device(device.bus, device.address), sources, evidence));
  const unread = withoutRepeats([
    ...host.unread,
    ...inventory.unread,
    ...evidence.unread,
    ...toUnread(evidence.problems),
  ]);
  await printAnswer(parts, options.output, { devices, unread }, () =>
    joinSections([
      renderDevices(devices, parts.terminal.paint),
      describeHost(inventory.kernel, inventory.groups.size, readIommuEvidence(parts.files, host.paths)),
      renderUnread(unread, parts.terminal.paint),
    ]),
  );
  return exitCodes.ok;
}

const header = ['ADDRESS', 'ID', 'CLASS', 'DRIVER', 'GROUP', 'NUMA', 'VFIO MODULE', 'NOTES'];

/** The table of devices. */
export function renderDevices(devices: readonly DeviceView[], paint: Paint): string {
  if (devices.length === 0) return 'No devices found.';
  return renderTable(header, devices.map(toRow), paint);
}

function toRow(view: DeviceView): readonly Cell[] {
  const id = view.vendor === null ? '' : `${view.vendor}:${view.device ?? ''}`;
  const className = view.class === null ? '' : (classNameOf(view.class) ?? view.class);
  return [
    view.address,
    id,
    className,
    view.vfioDevice === null ? show(view.driver) : { text: show(view.driver), tone: 'good' },
    show(view.iommuGroup),
    show(view.numaNode),
    view.vfioModule ?? '',
    { text: describeNotes(view).join(', '), tone: 'dim' },
  ];
}

function describeNotes(view: DeviceView): readonly string[] {
  return [
    ...(view.bus === 'pci' ? [] : [`bus ${view.bus}`]),
    ...(view.physicalFunction === null ? [] : [`VF of ${view.physicalFunction}`]),
    ...(view.totalVirtualFunctions === 0 ? [] : [`${view.virtualFunctions.length}/${view.totalVirtualFunctions} VFs`]),
    ...view.interfaces,
    ...(view.diskSerial === null ? [] : [`serial ${view.diskSerial}`]),
    ...(view.slot === null ? [] : [`slot ${view.slot}`]),
  ];
}

function show(value: string | number | null): string {
  return value === null ? '' : String(value);
}

/** Kernel and IOMMU in a line or two: what every question about VFIO begins with. */
export function describeHost(kernel: KernelFacts, groups: number, iommu: IommuEvidence): string {
  const units = iommu.units.length === 0 ? '' : ` (${iommu.units.join(', ')})`;
  const state = kernel.iommu
    ? `IOMMU on: ${groups} groups${units}`
    : iommu.units.length === 0
      ? 'no IOMMU groups: there is no IOMMU, or it is switched off'
      : `IOMMU units${units}, but no groups`;
  const hints = [
    ...iommu.parameters,
    ...(iommu.interruptRemapping === false ? ['interrupts are not remapped'] : []),
    ...(kernel.noIommuMode ? ['no-IOMMU mode is enabled'] : []),
  ];
  const parts = [
    `Kernel ${kernel.release === '' ? 'unknown' : kernel.release}`,
    state,
    kernel.iommufd ? 'iommufd' : 'no iommufd',
    ...hints,
  ];
  return parts.join('; ');
}
