// A use of a device that the node cannot lose: what makes it on a host in memory, what must be found, and which sources prove it. And
// the device that all of them are about.
import type { RefusalCode } from '../../src/domain/codes.ts';
import type { ProofHost } from './proof-host.ts';

/** One use. */
export interface CriticalUse {
  readonly name: string;
  /** Makes the use. The device under test has the address below, unless `address` says another. */
  readonly make: (host: ProofHost) => void;
  readonly address?: string;
  readonly code: RefusalCode;
  readonly proof: RegExp;
  /** Without any one of these the device must be Unproven. A path stands for itself and all below it. */
  readonly sources: readonly string[];
}

/** The device that the uses are about. */
export const subject = '0000:3b:00.0';

/** A disk, a NIC and a GPU on their host drivers. */
export const nvme = { address: subject, classCode: '010802', driver: 'nvme', iommuGroup: 7 };
export const nic = { address: subject, classCode: '020000', driver: 'mlx5_core', iommuGroup: 7 };
export const gpu = { address: subject, classCode: '030000', driver: 'amdgpu', iommuGroup: 7 };

/** A PCI NVMe disk without anything on it. */
export function addNvme(host: ProofHost, udev: Readonly<Record<string, string>> | null = {}): string {
  const controller = `${host.device(nvme)}/nvme/nvme0`;
  host.block('nvme0n1', { under: controller, number: '259:0', udev });
  return `${controller}/nvme0n1`;
}

/** The same with one partition. */
export function addPartitionedNvme(host: ProofHost): void {
  const disk = addNvme(host, { ID_PART_TABLE_TYPE: 'gpt' });
  host.block('nvme0n1p1', { under: disk, number: '259:1', partitionOf: 'nvme0n1' });
}

/** A NIC with one interface that is up and has no address. */
export function addNic(host: ProofHost, flags = '0x1003'): void {
  host.interface('eth1', { under: host.device(nic), flags });
}

/** What shows that /proc is the host's. */
export const init = '/proc/1/ns/pid';
