// The few things every case does: read and write a device's attributes, bind, look at what came of it, and put everything back.
import type { Role, Subject } from './subject.ts';

export const devicePath = (address: string): string => `/sys/bus/pci/devices/${address}`;
export const driverPath = (driver: string): string => `/sys/bus/pci/drivers/${driver}`;

/** Driver each role has by nature. */
export const nativeDrivers: Readonly<Record<Role, string | null>> = {
  edu: null,
  nic: 'e1000e',
  pair0: 'e1000e',
  pair1: 'e1000e',
  hot: 'e1000e',
  bridge: null,
  'legacy-nic': 'e1000',
  'legacy-edu': null,
  igb: 'igb',
  nvme: 'nvme',
  faulty: 'vmxnet3',
  'numa-edu': null,
  'numa-nic': 'e1000e',
};

/** Writes and waits for the end: `ok` or an errno name. */
export async function put(subject: Subject, path: string, text: string): Promise<string> {
  return (await subject.write(path, text)).end;
}

/** Reads and waits for the end. */
export async function get(subject: Subject, path: string): Promise<string> {
  return (await subject.read(path)).end;
}

export const setOverride = (subject: Subject, address: string, text: string): Promise<string> =>
  put(subject, `${devicePath(address)}/driver_override`, text);

export const readOverride = (subject: Subject, address: string): Promise<string> =>
  get(subject, `${devicePath(address)}/driver_override`);

/** Name of the driver, or null. */
export async function driverOf(subject: Subject, address: string): Promise<string | null> {
  const link = await subject.readLink(`${devicePath(address)}/driver`);
  return link.includes('/') ? link.slice(link.lastIndexOf('/') + 1) : null;
}

/** Number of the IOMMU group, or null. */
export async function groupOf(subject: Subject, address: string): Promise<string | null> {
  const link = await subject.readLink(`${devicePath(address)}/iommu_group`);
  return link.includes('/') ? link.slice(link.lastIndexOf('/') + 1) : null;
}

/** Unbinds from whatever driver it has. */
export async function unbind(subject: Subject, address: string): Promise<string> {
  return put(subject, `${devicePath(address)}/driver/unbind`, address);
}

export const bind = (subject: Subject, driver: string, address: string): Promise<string> =>
  put(subject, `${driverPath(driver)}/bind`, address);

export const probe = (subject: Subject, address: string): Promise<string> =>
  put(subject, '/sys/bus/pci/drivers_probe', address);

/** Loads vfio-pci, and takes the device from its driver to vfio-pci. */
export async function bindToVfio(subject: Subject, address: string, driver = 'vfio-pci'): Promise<void> {
  if (driver === 'vfio-pci') await subject.modprobe('vfio_pci');
  const steps = [await setOverride(subject, address, driver)];
  if ((await driverOf(subject, address)) !== null) steps.push(await unbind(subject, address));
  steps.push(await bind(subject, driver, address));
  if (steps.some((step) => step !== 'ok')) throw new Error(`${address} did not go to ${driver}: ${steps.join(', ')}`);
}

/** Address of VF number `index` of a PF. */
export async function virtualFunction(subject: Subject, pf: string, index = 0): Promise<string> {
  const link = await subject.readLink(`${devicePath(pf)}/virtfn${index}`);
  return link.slice(link.lastIndexOf('/') + 1);
}

/** Gives every device back to its own driver, without override, without VFs. */
export async function restoreAll(subject: Subject): Promise<void> {
  for (const pf of [subject.addresses.igb, subject.addresses.nvme]) {
    if (!(await subject.exists(`${devicePath(pf)}/sriov_numvfs`))) continue;
    if ((await get(subject, `${devicePath(pf)}/sriov_numvfs`)) !== '0\n') {
      await put(subject, `${devicePath(pf)}/sriov_numvfs`, '0');
    }
    await put(subject, `${devicePath(pf)}/sriov_drivers_autoprobe`, '1');
  }
  await Promise.all((Object.keys(nativeDrivers) as Role[]).map((role) => restore(subject, role)));
}

async function restore(subject: Subject, role: Role): Promise<void> {
  const address = subject.addresses[role];
  const native = nativeDrivers[role];
  const override = await readOverride(subject, address);
  if (override === 'ENOENT') throw new Error(`${role} ${address} is gone after the case`);
  if (override !== '(null)\n') await setOverride(subject, address, '\n');
  const now = await driverOf(subject, address);
  if (now === native) return;
  if (now !== null) await unbind(subject, address);
  await probe(subject, address);
  const then = await driverOf(subject, address);
  if (then !== native)
    throw new Error(`${role} ${address} is on ${then ?? 'no driver'}, not back on ${native ?? 'none'}`);
}
