// A pod whose container is a hypervisor, as its users would write one: QEMU starts a virtual machine with the device that the environment
// names, passed through, and answers QMP into the container's log. What its container may do is the test's to say.

import type { KubernetesObject } from './api-client.ts';
import { HYPERVISOR_IMAGE } from './hypervisor-image.ts';
import type { SmallLinux } from './small-linux.ts';

/** What is asked of kubelet beside the device; `security` is the container's securityContext. */
export interface HypervisorPod {
  readonly name: string;
  readonly resource: string;
  readonly security?: Readonly<Record<string, unknown>>;
  /** Memory of the virtual machine, MiB. */
  readonly memoryMebibytes: number;
  /** The container's memory limit, MiB; none unless given. */
  readonly memoryLimitMebibytes?: number;
  /** Take the device by its cdev and /dev/iommu; otherwise by its group. */
  readonly iommufd?: boolean;
  /** Boot this; otherwise the machine is made and stays paused before its first instruction. */
  readonly linux?: SmallLinux;
}

/** A securityContext with all that QEMU needs for a device, and nothing else. */
export const ENOUGH = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'], add: ['IPC_LOCK'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

/** The pod; its one container `main` ends with QEMU. */
export function hypervisorPod(pod: HypervisorPod): KubernetesObject {
  const memory = pod.memoryLimitMebibytes;
  const limits = { [pod.resource]: 1, ...(memory === undefined ? {} : { memory: `${memory}Mi` }) };
  const files = pod.linux === undefined ? [] : [pod.linux.kernel, pod.linux.initramfs];
  const volumes = files.map((path, index) => ({ name: `file-${index}`, hostPath: { path, type: 'File' } }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod.name, namespace: 'default' },
    spec: {
      hostNetwork: true,
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 30,
      automountServiceAccountToken: false,
      volumes,
      containers: [
        {
          name: 'main',
          image: HYPERVISOR_IMAGE,
          imagePullPolicy: 'Never',
          args: ['-c', startScript(pod)],
          resources: { limits },
          ...(pod.security === undefined ? {} : { securityContext: pod.security }),
          volumeMounts: volumes.map(({ name, hostPath }) => ({ name, mountPath: hostPath.path, readOnly: true })),
        },
      ],
    },
  };
}

/**
 * Time of the machine goes by its instructions: by the clock, an emulation within an emulation would do little else than its own timer's
 * interrupts.
 */
const CLOCK = '-icount shift=5,sleep=off';

/** QMP comes from a FIFO that stays open; the shell's own environment lacks variables with hyphens. */
function startScript({ memoryMebibytes, iommufd = false, linux }: HypervisorPod): string {
  const boot =
    linux === undefined
      ? '-S'
      : `${CLOCK} -no-reboot -serial file:/dev/stderr -kernel ${linux.kernel} -initrd ${linux.initramfs} -append '${linux.commandLine}'`;
  const [object, by] = iommufd ? ['-object iommufd,id=iommufd0 ', ',iommufd=iommufd0'] : ['', ''];
  return [
    "tr '\\0' '\\n' < /proc/1/environ | grep ^PCI_RESOURCE_",
    "address=$(tr '\\0' '\\n' < /proc/1/environ | sed -n 's/^PCI_RESOURCE_[^=]*=//p')",
    'mkfifo /tmp/qmp && exec 3<>/tmp/qmp',
    `printf '%s\\n' '{"execute":"qmp_capabilities"}' '{"execute":"query-pci","id":"pci"}' >&3`,
    `exec qemu-system-x86_64 -machine q35,accel=tcg -cpu max -m ${memoryMebibytes}M -nodefaults -no-user-config -display none ${boot} \\`,
    `  ${object}-device "vfio-pci,host=$address,id=dut,rombar=0${by}" -qmp stdio <&3`,
  ].join('\n');
}

/** A device of the virtual machine as `query-pci` has it. */
export interface PciDevice {
  readonly qdev_id: string;
  readonly id: { readonly vendor: number; readonly device: number };
  readonly regions: readonly { readonly bar: number; readonly type: string; readonly size: number }[];
}

/** What a hypervisor's container wrote. */
export interface HypervisorLog {
  /** Of its environment. */
  readonly address: string;
  /** QEMU's answer to `query-pci`; undefined until it has realised its devices. */
  readonly devices: readonly PciDevice[] | undefined;
}

export function parseHypervisorLog(log: string): HypervisorLog {
  const address = /^PCI_RESOURCE_[^=]*=(\S*)$/m.exec(log)?.[1] ?? '';
  const answer = log.split('\n').find((line) => line.startsWith('{') && line.includes('"id": "pci"'));
  const buses = answer === undefined ? undefined : (JSON.parse(answer) as { return: readonly PciBus[] }).return;
  return { address, devices: buses?.flatMap((bus) => bus.devices) };
}

interface PciBus {
  readonly devices: readonly PciDevice[];
}

/** Lines of a container's log file as kubelet keeps it, each with the seconds since the first. */
export function parseLogTimes(file: string): readonly { readonly seconds: number; readonly line: string }[] {
  const lines = [...file.matchAll(/^(\S+) std(?:out|err) [FP] (.*?)\r?$/gm)].map(([, time = '', line = '']) => ({
    time: Date.parse(time),
    line,
  }));
  const first = lines[0]?.time ?? 0;
  return lines.map(({ time, line }) => ({ seconds: (time - first) / 1000, line }));
}
