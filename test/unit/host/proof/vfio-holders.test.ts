import { describe, expect, it } from 'vitest';
import { subject } from '../../../support/critical-use.ts';
import { createProofHost, type ProofHost } from '../../../support/proof-host.ts';

const sibling = '0000:3b:00.1';

function hostOnVfio(): ProofHost {
  const host = createProofHost();
  const path = host.device({
    address: subject,
    classCode: '030000',
    driver: 'vfio-pci',
    vfioDevice: 'vfio0',
    iommuGroup: 12,
  });
  host.device({
    address: sibling,
    classCode: '040300',
    driver: 'vfio-pci',
    vfioDevice: 'vfio1',
    iommuGroup: 12,
    idle: true,
  });
  host.files.put('/sys/devices/virtual/vfio/12', { directory: {} });
  host.charNode('243:0', '/sys/devices/virtual/vfio/12');
  host.files.put(`${path}/vfio-dev/vfio0`, { directory: {} });
  host.charNode('511:0', `${path}/vfio-dev/vfio0`);
  host.process(4711, 'qemu-system-x86');
  return host;
}

describe('holders of VFIO devices', () => {
  it('finds none where nothing is open', async () => {
    expect((await hostOnVfio().prove()).holders).toEqual([]);
  });

  it('knows the group node by its number, also below another name, and holds every member', async () => {
    const host = hostOnVfio();
    host.open(4711, '/dev/elsewhere', 'char', '243:0');
    const who = 'process qemu-system-x86 (4711) has /dev/elsewhere open';
    expect((await host.prove()).holders).toEqual([
      { address: subject, code: 'HeldByProcess', who },
      { address: sibling, code: 'HeldByProcess', who },
    ]);
  });

  it('knows a group node that is gone by the name it was opened by', async () => {
    const host = hostOnVfio();
    host.files.drop('/sys/dev/char/243:0');
    host.open(4711, '/dev/vfio/12 (deleted)', 'char', '243:0');
    expect((await host.prove()).holders.map(({ address }) => address)).toEqual([subject, sibling]);
  });

  it('does not take the container node for a group', async () => {
    const host = hostOnVfio();
    host.charNode('10:196', '/sys/devices/virtual/misc/vfio');
    host.files.put('/sys/devices/virtual/misc/vfio', { directory: {} });
    host.open(4711, '/dev/vfio/vfio', 'char', '10:196');
    expect((await host.prove()).holders).toEqual([]);
  });

  it('leads a VFIO cdev to its device alone', async () => {
    const host = hostOnVfio();
    host.open(4711, '/dev/vfio/devices/vfio0', 'char', '511:0');
    expect((await host.prove()).holders).toEqual([
      {
        address: subject,
        code: 'HeldByProcess',
        who: 'process qemu-system-x86 (4711) has /dev/vfio/devices/vfio0 open',
      },
    ]);
  });

  it('knows a VFIO cdev by its name where sysfs does not lead to its device', async () => {
    const host = hostOnVfio();
    host.files.drop('/sys/dev/char');
    host.open(4711, '/dev/vfio/devices/vfio1', 'char', '511:1');
    expect((await host.prove()).holders.map(({ address }) => address)).toEqual([sibling]);
  });

  it('reads the device from fdinfo where the kernel tells it', async () => {
    const host = hostOnVfio();
    host.files.put('/proc/4711/fd/9', { link: 'anon_inode:[vfio-device]' });
    host.files.put('/proc/4711/fdinfo/9', `pos:\t0\nvfio-device-syspath: /sys/devices/pci0000:3b/${subject}\n`);
    expect((await host.prove()).holders).toEqual([
      { address: subject, code: 'HeldByProcess', who: 'process qemu-system-x86 (4711) has the VFIO device open' },
    ]);
  });

  it('holds every device on VFIO when a process has one open and neither group nor kernel tells which', async () => {
    const host = hostOnVfio();
    host.files.put('/proc/4711/fd/9', { link: 'anon_inode:[vfio-device]' });
    host.files.put('/proc/4711/fdinfo/9', 'pos:\t0\n');
    expect((await host.prove()).holders.map(({ address }) => address)).toEqual([subject, sibling]);
    host.open(4711, '/dev/vfio/99', 'char', '243:7');
    expect((await host.prove()).holders).toEqual([]);
  });

  it('counts a device whose remove waits for its user among those that an unknown one may have open', async () => {
    const host = createProofHost();
    host.device({ address: subject, classCode: '030000', driver: null, iommuGroup: 12 });
    host.process(4711, 'qemu-system-x86');
    host.files.put('/proc/4711/fd/9', { link: 'anon_inode:[vfio-device]' });
    host.files.put('/proc/4711/fdinfo/9', 'pos:\t0\n');
    expect((await host.prove()).holders).toEqual([]);
    host.files.put('/sys/class/vfio/12', { link: '../../devices/virtual/vfio/12' });
    expect((await host.prove()).holders.map(({ address }) => address)).toEqual([subject]);
  });

  it('maps a no-IOMMU group through the kernel, where the inventory has none', async () => {
    const host = createProofHost();
    host.device({ address: subject, driver: 'vfio-pci', vfioDevice: 'noiommu-vfio0' });
    host.files.put(`/sys/kernel/iommu_groups/3/devices/${subject}`, { link: '../x' });
    host.files.put('/sys/devices/virtual/vfio/noiommu-3', { directory: {} });
    host.charNode('243:3', '/sys/devices/virtual/vfio/noiommu-3');
    host.process(4711, 'dpdk-testpmd');
    host.open(4711, '/dev/vfio/noiommu-3', 'char', '243:3');
    expect((await host.prove()).holders.map(({ address }) => address)).toEqual([subject]);
  });

  it('counts what cannot be seen as in use', async () => {
    const host = hostOnVfio();
    host.files.setFault((operation, path) =>
      operation === 'readlink' && path.startsWith('/proc/4711/fd/') ? 'EACCES' : null,
    );
    host.open(4711, '/dev/null', 'char', '1:3');
    const { holders, unread } = await host.prove();
    expect(holders.map(({ address }) => address)).toEqual([subject, sibling]);
    expect(holders[0]?.who).toMatch(
      /^processes cannot be seen, so it counts as in use \(\/proc\/4711\/fd: readlink: EACCES/,
    );
    expect(unread).toEqual([{ source: '/proc/4711/fd', why: 'readlink: EACCES' }]);
  });

  it('holds a device on its host driver while a process has another node of it open', async () => {
    const host = createProofHost();
    const path = host.device({ address: subject, classCode: '040300', driver: 'snd_hda_intel' });
    host.files.put(`${path}/sound/card1/controlC1`, { directory: {} });
    host.charNode('116:9', `${path}/sound/card1/controlC1`);
    host.process(900, 'pipewire');
    host.open(900, '/dev/snd/controlC1', 'char', '116:9');
    expect((await host.prove()).holders).toEqual([
      { address: subject, code: 'HeldByProcess', who: 'process pipewire (900) has /dev/snd/controlC1 open' },
    ]);
  });

  it('does not hold a root port for what lies behind it', async () => {
    const host = createProofHost();
    host.device({ address: '0000:00:01.0', classCode: '060400', isBridge: true, driver: 'pcieport', iommuGroup: 1 });
    const path = host.device({
      address: subject,
      behind: '0000:00:01.0',
      classCode: '030000',
      driver: 'vfio-pci',
      idle: true,
    });
    host.files.put(`${path}/vfio-dev/vfio0`, { directory: {} });
    host.charNode('511:0', `${path}/vfio-dev/vfio0`);
    host.process(4711, 'qemu');
    host.open(4711, '/dev/vfio/devices/vfio0', 'char', '511:0');
    expect((await host.prove()).holders).toEqual([]);
  });
});
