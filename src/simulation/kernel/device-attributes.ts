// What a device's directory in sysfs holds: identity as text, and the attributes that do something.
import type { Entry } from '../memory/entry.ts';
import { attributeEntry, parseBoolean, parseNumber } from './attribute.ts';
import type { Attribute } from './attribute.ts';
import { configSpace } from './config-space.ts';
import type { Errno, Machine, SimDevice } from './machine.ts';
import { immediately, locked } from './scheduler.ts';
import type { Thread } from './scheduler.ts';
import { isPci } from './spec.ts';
import type { PciSpec } from './spec.ts';
import { setVirtualFunctions } from './sriov.ts';

/** The longest driver_override: a page less the newline and the NUL that the read adds. */
const overrideLimit = 4094;

/** All entries of a new device's directory but links and children. */
export function deviceDirectory(machine: Machine, device: SimDevice): Record<string, Entry> {
  const attribute = (definition: Attribute): Entry => attributeEntry(machine, definition);
  const locking = (name: string): Pick<Attribute, 'readLock'> =>
    machine.quirks.lockingReads.includes(name) ? { readLock: device.lock } : {};
  const entries: Record<string, Entry> = {
    modalias: `${device.modalias}\n`,
    uevent: attribute({ show: () => ueventText(device), ...locking('uevent'), store: accept }),
    driver_override: attribute({
      show: () => `${device.override ?? '(null)'}\n`,
      ...locking('driver_override'),
      store: (text) => storeOverride(machine, device, text),
    }),
    power: {
      directory: {
        control: 'auto\n',
        runtime_status: attribute({ show: () => `${runtimeStatus(device)}\n` }),
      },
    },
    numa_node: `${device.spec.numaNode ?? -1}\n`,
  };
  if (!isPci(device.spec)) return entries;
  return { ...entries, ...pciEntries(machine, device, device.spec, attribute, locking) };
}

function pciEntries(
  machine: Machine,
  device: SimDevice,
  spec: PciSpec,
  attribute: (definition: Attribute) => Entry,
  locking: (name: string) => Pick<Attribute, 'readLock'>,
): Record<string, Entry> {
  const { quirks } = machine;
  const isBridge = spec.secondaryBus !== undefined;
  return {
    vendor: `0x${spec.vendor}\n`,
    device: `0x${spec.device}\n`,
    subsystem_vendor: `0x${spec.subsystemVendor ?? '0000'}\n`,
    subsystem_device: `0x${spec.subsystemDevice ?? '0000'}\n`,
    class: `0x${spec.class}\n`,
    revision: '0x01\n',
    irq: '0\n',
    local_cpulist: '0-1\n',
    resource: `0x${'0'.repeat(16)} 0x${'0'.repeat(16)} 0x${'0'.repeat(16)}\n`.repeat(13),
    config: { file: configSpace(spec), mode: 0o644 },
    enable: attribute({ show: () => `${device.users > 0 || hostDriven(device) ? 1 : 0}\n`, store: accept }),
    remove: attribute({ store: (text) => storeRemove(machine, device, text) }),
    rescan: attribute({ store: () => rescan(machine) }),
    ...(quirks.powerState
      ? { power_state: attribute({ show: () => (runtimeStatus(device) === 'suspended' ? 'D3hot\n' : 'D0\n') }) }
      : {}),
    ...(quirks.resetMethod && !isBridge ? { reset_method: 'flr bus\n' } : {}),
    ...(isBridge ? bridgeEntries(spec) : {}),
    ...(/^(0300|0001)/.test(spec.class) ? { boot_vga: `${spec.bootVga === true ? 1 : 0}\n` } : {}),
    ...(spec.acpiIndex === undefined ? {} : { acpi_index: `${spec.acpiIndex}\n` }),
    ...(spec.sriov === undefined ? {} : sriovEntries(machine, device, spec.sriov.total, attribute, locking)),
  };
}

function bridgeEntries(spec: PciSpec): Record<string, Entry> {
  const number = spec.secondaryBus ?? 0;
  const name = `${spec.address.slice(0, 5)}${number.toString(16).padStart(2, '0')}`;
  return {
    secondary_bus_number: `${number}\n`,
    subordinate_bus_number: `${number}\n`,
    pci_bus: { directory: { [name]: { directory: {} } } },
  };
}

function sriovEntries(
  machine: Machine,
  device: SimDevice,
  total: number,
  attribute: (definition: Attribute) => Entry,
  locking: (name: string) => Pick<Attribute, 'readLock'>,
): Record<string, Entry> {
  return {
    sriov_totalvfs: `${total}\n`,
    sriov_numvfs: attribute({
      show: () => `${device.virtualFunctions.length}\n`,
      ...locking('sriov_numvfs'),
      store: (text) => setVirtualFunctions(machine, device, text),
    }),
    sriov_drivers_autoprobe: attribute({
      show: () => `${device.sriovAutoprobe ? 1 : 0}\n`,
      store: (text) => storeAutoprobe(device, text),
    }),
    ...(machine.quirks.totalMsix
      ? { sriov_vf_total_msix: attribute({ show: () => '0\n', ...locking('sriov_vf_total_msix') }) }
      : {}),
  };
}

/** Up to the first newline or NUL; nothing there clears. Blanks are kept, and no such driver need exist. */
function* storeOverride(machine: Machine, device: SimDevice, text: string): Thread<Errno> {
  if (new TextEncoder().encode(text).length > overrideLimit) return 'EINVAL';
  const [untilNul = ''] = text.split('\0');
  const [value = ''] = untilNul.split('\n');
  const set = (): Thread<Errno> =>
    immediately(() => {
      device.override = value === '' ? null : value;
      return null;
    });
  return yield* machine.quirks.overrideWriteLocks ? locked(device.lock, set) : set();
}

function* storeRemove(machine: Machine, device: SimDevice, text: string): Thread<Errno> {
  const value = parseNumber(text);
  if (value === null) return 'EINVAL';
  if (value === 0) return null;
  machine.files.drop(`${device.path}/remove`);
  yield* locked(machine.rescanLock, () => machine.parts.removeDevice(device));
  return null;
}

/** `rescan` of a device or the bus. */
export function* rescan(machine: Machine): Thread<Errno> {
  yield* locked(machine.rescanLock, () => machine.parts.rescan());
  return null;
}

function storeAutoprobe(device: SimDevice, text: string): Thread<Errno> {
  return immediately(() => {
    const value = parseBoolean(text);
    if (value === null) return 'EINVAL';
    device.sriovAutoprobe = value;
    return null;
  });
}

const accept = (): Thread<Errno> => immediately(() => null);

const hostDriven = (device: SimDevice): boolean => device.driver !== null && device.vfioNumber === null;

/** VFIO lets an unused device sleep and wakes it when it is opened. */
function runtimeStatus(device: SimDevice): string {
  return device.vfioNumber !== null && device.users === 0 ? 'suspended' : 'active';
}

function ueventText(device: SimDevice): string {
  const driver = device.driver === null ? '' : `DRIVER=${device.driver.name}\n`;
  if (!isPci(device.spec)) return `${driver}MODALIAS=${device.modalias}\n`;
  const { spec } = device;
  const ids = (vendor: string, id: string): string => `${vendor}:${id}`.toUpperCase();
  return [
    driver,
    `PCI_CLASS=${spec.class.toUpperCase().replace(/^0/, '')}\n`,
    `PCI_ID=${ids(spec.vendor, spec.device)}\n`,
    `PCI_SUBSYS_ID=${ids(spec.subsystemVendor ?? '0000', spec.subsystemDevice ?? '0000')}\n`,
    `PCI_SLOT_NAME=${device.address}\n`,
    `MODALIAS=${device.modalias}\n`,
  ].join('');
}
