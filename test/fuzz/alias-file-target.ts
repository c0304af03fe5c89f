// The files of a kernel's modules with any content: no parser throws, what is kept has the form that the rest builds on, and what is
// reported is bounded.
import { readFileSync } from 'node:fs';
import { parseBuiltinModinfo, parseModulesAlias, problemLimit } from '../../src/domain/alias-file.ts';
import { buildAliasTable } from '../../src/domain/alias-table.ts';
import { parseKernelCommandLine, parseModprobeConfig } from '../../src/domain/modprobe-config.ts';
import { parseModulesBuiltin, parseModulesDep } from '../../src/domain/module-files.ts';
import { parseModuleIndex } from '../../src/domain/module-index.ts';
import { isModuleName } from '../../src/domain/module-name.ts';
import { fuzzTarget, mustHold } from './fuzz-target.ts';
import { encodeModuleIndex } from '../support/module-index.ts';
import { mutatedBytes } from './mutated-bytes.ts';

const real = readFileSync(new URL('../fixtures/modules.alias-vfio-variants', import.meta.url), 'utf8');
const corpus = [
  real.split('\n').slice(0, 12).join('\n'),
  'alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\nalias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e\n',
  'vfio_pci.alias=vfio_pci:v*d*sv*sd*bc*sc*i*\0vfio_pci.license=GPL v2\0vfio.author=A\0',
  'blacklist nouveau\ninstall vfio_pci /sbin/modprobe --ignore-install vfio_pci \\\n  && true\nalias vfio_pci:v*d* a\noptions vfio a=1\n',
  'kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz kernel/virt/lib/irqbypass.ko\n',
  'kernel/drivers/vfio/vfio.ko\nkernel/fs/ext4/ext4.ko\n',
  'BOOT_IMAGE=/vmlinuz root=/dev/vda1 modprobe.blacklist=nouveau,nvidia vfio-pci.ids=10de:1234 module_blacklist=a',
].map((text) => new Uint8Array(Buffer.from(text, 'latin1')));
const index = encodeModuleIndex([
  ['pci:v00008086d000010D3sv*sd*bc*sc*i*', 'e1000e'],
  ['vfio_pci:v*d*sv*sd*bc*sc*i*', 'vfio_pci'],
  ['vfio_pci:v000015B3d*', 'mlx5_vfio_pci'],
]);
const decoder = new TextDecoder();

export const aliasFileTarget = fuzzTarget(
  'alias-file',
  ['entries', 'nothing'],
  mutatedBytes([...corpus, index, index]),
  (bytes) => {
    const text = decoder.decode(bytes);
    const files = [parseModulesAlias(text, 'a'), parseBuiltinModinfo(text, 'b')];
    const entries = [...files.flatMap((file) => file.entries), ...parseModprobeConfig(text, 'c').entries];
    for (const { problems } of files) {
      mustHold(problems.length <= problemLimit, 'problems are bounded');
      mustHold(
        problems.every((problem) => problem.text.length <= 200),
        'their texts are bounded',
      );
    }
    for (const { pattern, module } of entries) {
      mustHold(/^vfio[_-]/.test(pattern), `the pattern ${JSON.stringify(pattern)} is one of VFIO`);
      mustHold(isModuleName(module), `${JSON.stringify(module)} can be a module's name`);
    }
    parseKernelCommandLine(text, 'd');
    parseModulesDep(text, 'e');
    parseModulesBuiltin(text);
    const { records } = parseModuleIndex(bytes, 'vfio');
    mustHold(records.length <= bytes.length, 'an index has no more records than bytes');
    const matched = buildAliasTable(entries).match('vfio_pci:v000015B3d0000101Esv000015B3sd00000001bc02sc00i00');
    return matched.length + entries.length === 0 ? 'nothing' : 'entries';
  },
);
