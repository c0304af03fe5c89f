import { describe, expect, it } from 'vitest';
import { parseKernelCommandLine, parseModprobeConfig } from '../../../src/domain/modprobe-config.ts';

const source = '/etc/modprobe.d/vfio.conf';

describe('parseModprobeConfig', () => {
  it('reads aliases, blacklist and install lines with the line they begin on', () => {
    const text = [
      '# a comment \\',
      'alias vfio_pci:v* swallowed_by_the_comment',
      '',
      'alias vfio_pci:v000015B3d*sv*sd*bc*sc*i* \\',
      '  my-driver # not a comment for kmod, but beyond the words it takes',
      'blacklist  xe-vfio-pci',
      'options vfio-pci ids=8086:1521',
      '\tinstall qat-vfio-pci   /bin/false now',
      'alias net-pf-10 off',
    ].join('\n');
    expect(parseModprobeConfig(text, source)).toEqual({
      entries: [
        { pattern: 'vfio_pci:v000015B3d*sv*sd*bc*sc*i*', module: 'my_driver', origin: 'modprobe.d', source, line: 4 },
      ],
      blacklist: [{ module: 'xe_vfio_pci', source, line: 6 }],
      installs: [{ pattern: 'qat_vfio_pci', command: '/bin/false now', source, line: 8 }],
      problems: [],
    });
  });

  it('reports what kmod would not take, and goes on', () => {
    const text =
      'alias vfio_pci:v*\nblacklist\nfrobnicate x\nblacklist a]b\nalias vfio_pci:[ x\nalias foo[ x\n # no comment\n' +
      'blacklist foo\r\nblacklist last\\';
    const { blacklist, entries, problems } = parseModprobeConfig(text, 'f');
    expect(entries).toEqual([]);
    expect(blacklist).toEqual([{ module: 'last', source: 'f', line: 9 }]);
    expect(problems.map(({ line, why }) => [line, why])).toEqual([
      [1, '"alias" needs a pattern and a module name'],
      [2, '"blacklist" needs a module name'],
      [3, 'unknown command "frobnicate"'],
      [4, '"blacklist" needs a module name'],
      [5, 'bad alias pattern: "[" at character 10 is never closed'],
      [6, 'brackets do not pair'],
      [7, 'unknown command "#"'],
      [8, 'ends in a carriage return, which kmod takes for a part of the last word'],
    ]);
  });

  it('drops a backslash within a line', () => {
    expect(parseModprobeConfig('blacklist a\\b\n', 'f').blacklist).toEqual([{ module: 'ab', source: 'f', line: 1 }]);
  });
});

describe('parseKernelCommandLine', () => {
  it('finds blacklisted modules', () => {
    const text =
      'BOOT_IMAGE=/vmlinuz modprobe.blacklist=nouveau,vfio-pci quiet modprobe.blacklist=a]b,c xmodprobe.blacklist=d\n';
    expect(parseKernelCommandLine(text, '/proc/cmdline')).toEqual([
      { module: 'nouveau', source: '/proc/cmdline', line: 1 },
      { module: 'vfio_pci', source: '/proc/cmdline', line: 1 },
      { module: 'c', source: '/proc/cmdline', line: 1 },
    ]);
  });
});
