import { expect, it, test } from 'vitest';
import { describeHardware, readHardware } from '../../../src/cli/read-hardware.ts';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { aDevice } from '../../support/builders.ts';

const device = aDevice({ address: '0000:65:00.0' });
const link = {
  current_link_speed: '8.0 GT/s PCIe\n',
  max_link_speed: '16.0 GT/s PCIe\n',
  current_link_width: '8\n',
  max_link_width: '16\n',
};
const errors = {
  aer_dev_fatal: 'Undefined 0\nTOTAL_ERR_FATAL 0\n',
  aer_dev_nonfatal: 'Undefined 0\nTOTAL_ERR_NONFATAL 2\n',
  aer_dev_correctable: 'RxErr 7\nTOTAL_ERR_COR 7\n',
};

function linesOf(attributes: Readonly<Record<string, string>>, paths = hostPaths()): readonly string[] | null {
  const files = createMemoryFiles();
  for (const [name, text] of Object.entries(attributes))
    files.put(`${paths.device('pci', device.address)}/${name}`, text);
  const hardware = readHardware(device, files, paths);
  return hardware === null ? null : describeHardware(hardware);
}

test.each<[string, Readonly<Record<string, string>>, readonly string[]]>([
  ['nothing of either', {}, []],
  [
    'link and errors',
    { ...link, ...errors },
    [
      'PCIe link 8.0 GT/s x8; the device can do 16.0 GT/s x16',
      'PCIe errors since the kernel found it: 0 fatal, 2 nonfatal, 7 correctable',
    ],
  ],
  [
    'the best link',
    { ...link, max_link_speed: link.current_link_speed, max_link_width: '8\n' },
    ['PCIe link 8.0 GT/s x8'],
  ],
  ['an old kernel without speeds', { current_link_width: '4\n', max_link_width: '4\n' }, ['PCIe link ? x4']],
  [
    'a device that sleeps',
    { ...link, ...errors, 'power/runtime_status': 'suspended\n' },
    [
      'asleep, so its PCIe link is not asked: that could wake it up',
      'PCIe errors since the kernel found it: 0 fatal, 2 nonfatal, 7 correctable',
    ],
  ],
])('it tells of %s', (_what, attributes, lines) => {
  expect(linesOf(attributes)).toEqual(lines);
});

it('asks a copy whatever the device did when it was made', () => {
  expect(linesOf({ ...link, 'power/runtime_status': 'suspended\n' }, hostPaths('/copy', 'copy'))).toHaveLength(1);
});

it('says nothing of a device on another bus', () => {
  const other = { ...device, bus: 'platform' as const };
  expect(readHardware(other, createMemoryFiles(), hostPaths())).toBeNull();
});
