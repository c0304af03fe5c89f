// All uses of a device that the node cannot lose, for the tests that go through every one of them.
import { gpu, init, subject, type CriticalUse } from './critical-use.ts';
import { networkUses } from './network-uses.ts';
import { storageUses } from './storage-uses.ts';

/** Displays, GPUs, and the machine itself. */
const otherUses: readonly CriticalUse[] = [
  {
    name: 'boot_vga',
    make: (host) => host.files.put(`${host.device(gpu)}/boot_vga`, '1\n'),
    code: 'BootDisplay',
    proof: /\/sys\/bus\/pci\/devices\/0000:3b:00.0\/boot_vga is 1/,
    sources: ['/sys/bus/pci/devices/0000:3b:00.0/boot_vga'],
  },
  {
    name: "the console's framebuffer",
    make(host) {
      const path = host.device(gpu);
      host.files.put('/proc/fb', '0 amdgpudrmfb\n');
      host.files.put(`${path}/graphics/fb0`, { directory: {} });
      host.files.put('/sys/class/graphics/fb0', { link: `${path}/graphics/fb0` });
    },
    code: 'BootDisplay',
    proof: /fb0 is the console's framebuffer/,
    sources: ['/sys/class/graphics', '/proc/iomem'],
  },
  {
    name: "the firmware's framebuffer in its memory",
    make(host) {
      host.device({ ...gpu, driver: null });
      host.files.put('/proc/fb', '0 EFI VGA\n');
      host.files.put('/sys/devices/platform/efi-framebuffer.0/graphics/fb0', { directory: {} });
      host.files.put('/sys/class/graphics/fb0', { link: '/sys/devices/platform/efi-framebuffer.0/graphics/fb0' });
      host.files.put(
        '/proc/iomem',
        '00000000-00000000 : PCI Bus 0000:3a\n  00000000-00000000 : 0000:3b:00.0\n    00000000-00000000 : BOOTFB\n      00000000-00000000 : efifb\n',
      );
    },
    code: 'BootDisplay',
    proof: /its memory holds the firmware's framebuffer BOOTFB \(\/proc\/iomem\)/,
    sources: ['/proc/iomem', '/sys/class/graphics'],
  },
  {
    name: 'DRM node open',
    make(host) {
      const path = host.device(gpu);
      host.files.put(`${path}/drm/renderD128`, { directory: {} });
      host.charNode('226:128', `${path}/drm/renderD128`);
      host.process(4711, 'ffmpeg');
      host.open(4711, '/dev/dri/renderD128', 'char', '226:128');
    },
    code: 'ActiveGpu',
    proof: /process ffmpeg \(4711\) has \/dev\/dri\/renderD128 open \(\/proc\/4711\/fd\)/,
    sources: ['/proc/4711/fd', '/sys/dev/char', init],
  },
  {
    name: 'NVIDIA node open',
    make(host) {
      host.device({ ...gpu, classCode: '030200', driver: 'nvidia' });
      host.files.put('/proc/driver/nvidia/gpus/0000:3b:00.0/information', 'Model: \t\t A100\nDevice Minor: \t 3\n');
      host.process(4711, 'python3');
      host.open(4711, '/dev/nvidia3', 'char', '195:3');
    },
    code: 'ActiveGpu',
    proof: /process python3 \(4711\) has \/dev\/nvidia3 open/,
    sources: ['/proc/4711/fd', init],
  },
  {
    name: 'compute node of amdgpu open',
    make(host) {
      host.device({ ...gpu, classCode: '038000' });
      host.process(4711, 'rocm');
      host.open(4711, '/dev/kfd', 'char', '235:0');
    },
    code: 'ActiveGpu',
    proof: /process rocm \(4711\) has \/dev\/kfd open/,
    sources: ['/proc/4711/fd', init],
  },
  {
    name: 'a framebuffer that the command line maps a console to',
    make(host) {
      const path = host.device(gpu);
      host.files.put('/proc/cmdline', 'quiet fbcon=map:01\n');
      host.files.put('/proc/fb', '0 astdrmfb\n1 amdgpudrmfb\n');
      host.files.put('/sys/class/graphics/fb0', { directory: {} });
      host.files.put(`${path}/graphics/fb1`, { directory: {} });
      host.files.put('/sys/class/graphics/fb1', { link: `${path}/graphics/fb1` });
    },
    code: 'BootDisplay',
    proof: /fb1 is the console's framebuffer/,
    sources: ['/sys/class/graphics'],
  },
  {
    name: 'boot_display of a DRM card',
    make(host) {
      const path = host.device({ ...gpu, classCode: '030200' });
      host.files.put(`${path}/drm/card1/boot_display`, '1\n');
      host.files.put('/sys/class/drm/card1', { link: `${path}/drm/card1` });
    },
    code: 'BootDisplay',
    proof: /\/sys\/class\/drm\/card1\/boot_display is 1/,
    sources: [],
  },
  {
    name: "the console's serial port",
    make(host) {
      const path = host.device({ address: subject, classCode: '070002', driver: 'serial' });
      host.files.put('/sys/class/tty/console/active', 'tty0 ttyS4\n');
      host.files.put(`${path}/tty/ttyS4`, { directory: {} });
      host.files.put('/sys/class/tty/ttyS4', { link: `${path}/tty/ttyS4` });
    },
    code: 'SystemDevice',
    proof: /it carries the console ttyS4/,
    sources: ['/sys/class'],
  },
  {
    name: 'a peripheral of the chipset',
    make: (host) => void host.device({ address: subject, classCode: '088000', driver: null }),
    code: 'SystemDevice',
    proof: /088000: a peripheral of the chipset/,
    sources: [],
  },
  {
    name: 'host bridge',
    make: (host) => void host.device({ address: subject, classCode: '060000', driver: null }),
    code: 'Bridge',
    proof: /\/class is 060000/,
    sources: [],
  },
  {
    name: 'IOMMU',
    make: (host) => void host.device({ address: subject, classCode: '080600', driver: null }),
    code: 'SystemDevice',
    proof: /080600: an IOMMU/,
    sources: [],
  },
  {
    name: 'watchdog of a device that does not look like one',
    make(host) {
      const path = host.device({ address: subject, classCode: 'ff0000', driver: 'hpwdt' });
      host.files.put(`${path}/watchdog/watchdog0`, { directory: {} });
      host.files.put('/sys/class/watchdog/watchdog0', { link: `${path}/watchdog/watchdog0` });
    },
    code: 'SystemDevice',
    proof: /it is a watchdog \(\/sys\/class\/watchdog\/watchdog0\)/,
    sources: ['/sys/class'],
  },
];

/** All of them. */
export const criticalUses: readonly CriticalUse[] = [...storageUses, ...networkUses, ...otherUses];
