// The displays that show the machine's console: the firmware's boot display, the framebuffer the console writes to, and the device
// whose memory the firmware's framebuffer lies in.
import { isAbsent, valueOf } from './evidence.ts';
import { isOnVfio, usedIn, wantedWhere, type ProofPass } from './proof-pass.ts';

/** Notes BootDisplay, and Unproven for display controllers where a source of it cannot be read. */
export function proveDisplayUses(pass: ProofPass): void {
  noteBootAttributes(pass);
  noteFramebuffers(pass);
}

function noteBootAttributes(pass: ProofPass): void {
  for (const device of pass.wanted.values()) {
    const root = pass.paths.device(device.bus, device.address);
    for (const attribute of ['boot_vga', 'boot_display']) {
      const path = `${root}/${attribute}`;
      const reading = pass.evidence.text(path);
      const value = valueOf(reading)?.trim();
      if (value === '1') pass.notes.refuse([device.address], 'BootDisplay', `${path} is 1`);
      // Every VGA controller has boot_vga (drivers/pci/pci-sysfs.c); boot_display is new and may be absent.
      const expected = attribute === 'boot_vga' && /^(0300|0001)/.test(device.classCode ?? '') && device.bus === 'pci';
      const strange = 'errno' in reading ? expected || !isAbsent(reading) : value !== '0' && value !== '1';
      if (strange && isDisplay(device.classCode)) {
        pass.notes.blind(
          [device.address],
          path,
          'errno' in reading ? `read: ${reading.errno}` : 'this is neither 0 nor 1',
        );
      }
    }
  }
  const cards = pass.paths.sysClass('drm');
  for (const card of valueOf(pass.evidence.names(cards)) ?? []) {
    if (!/^card\d+$/.test(card)) continue;
    if (valueOf(pass.evidence.text(`${cards}/${card}/boot_display`))?.trim() !== '1') continue;
    pass.notes.refuse(
      usedIn(pass, valueOf(pass.evidence.real(`${cards}/${card}`)) ?? ''),
      'BootDisplay',
      `${cards}/${card}/boot_display is 1`,
    );
  }
}

// fbcon takes the framebuffer with the lowest number unless the command line maps consoles elsewhere (Documentation/fb/fbcon.rst).
function noteFramebuffers(pass: ProofPass): void {
  const root = pass.paths.sysClass('graphics');
  const list = `${pass.paths.proc}/fb`;
  const listed = pass.evidence.text(list);
  const names = pass.evidence.names(root);
  const concerned = wantedWhere(pass, (device) => isDisplay(device.classCode) && !isOnVfio(device));
  // A kernel without framebuffers has neither; one without the other is a view that cannot be trusted.
  if ('errno' in names) {
    if (!isAbsent(names) || !isAbsent(listed)) pass.notes.blind(concerned, root, `readdir: ${names.errno}`);
  }
  if ('errno' in listed && !isAbsent(listed)) pass.notes.blind(concerned, list, `read: ${listed.errno}`);
  const buffers = (valueOf(names) ?? [])
    .filter((name) => /^fb\d+$/.test(name))
    .sort((a, b) => numberOf(a) - numberOf(b));
  for (const row of (valueOf(listed) ?? '').split('\n')) {
    if (row === '') continue;
    const number = /^(\d+) /.exec(row)?.[1];
    if (number === undefined || !buffers.includes(`fb${number}`)) {
      pass.notes.blind(concerned, list, `${root} does not show the framebuffer ${JSON.stringify(row.slice(0, 40))}`);
    }
  }
  const mapped = /\bfbcon=map:/.test(valueOf(pass.evidence.text(pass.paths.kernelCommandLine)) ?? '');
  let firmware = false;
  for (const buffer of mapped ? buffers : buffers.slice(0, 1)) {
    const real = pass.evidence.real(`${root}/${buffer}`);
    if ('errno' in real) {
      pass.notes.blind(concerned, `${root}/${buffer}`, `realpath: ${real.errno}`);
      continue;
    }
    pass.notes.refuse(
      usedIn(pass, real.value),
      'BootDisplay',
      `${buffer} is the console's framebuffer (${root}/${buffer})`,
    );
    if (/\/(efi-framebuffer|simple-framebuffer|vesa-framebuffer|vga-framebuffer)\b/.test(real.value)) firmware = true;
  }
  noteFirmwareMemory(pass, concerned, firmware);
}

const firmwareRegion = /^(BOOTFB|efifb|efidrmfb|simplefb|simple-framebuffer|vesafb|vesadrm|efidrm|simpledrm)\b/i;

// The firmware's framebuffer is a region inside a BAR; the nesting is shown even to those from whom the addresses are kept.
function noteFirmwareMemory(pass: ProofPass, concerned: readonly string[], firmware: boolean): void {
  const source = pass.paths.iomem;
  const reading = pass.evidence.text(source);
  if ('errno' in reading) {
    pass.notes.blind(concerned, source, `read: ${reading.errno}`);
    return;
  }
  const nesting: { depth: number; owner: string }[] = [];
  let found = false;
  for (const line of reading.value.split('\n')) {
    if (line === '') continue;
    const [, indent, owner] = /^( *)[0-9a-f]+-[0-9a-f]+ : (.*)$/.exec(line) ?? [];
    if (indent === undefined || owner === undefined) {
      pass.notes.blind(concerned, source, 'this is not a map of memory');
      return;
    }
    while ((nesting.at(-1)?.depth ?? -1) >= indent.length) nesting.pop();
    nesting.push({ depth: indent.length, owner });
    if (!firmwareRegion.test(owner)) continue;
    found = true;
    const owners = nesting.map((region) => region.owner).filter((name) => pass.wanted.has(name));
    pass.notes.refuse(owners, 'BootDisplay', `its memory holds the firmware's framebuffer ${owner} (${source})`);
  }
  if (firmware && !found) pass.notes.blind(concerned, source, "it does not show the firmware's framebuffer");
}

function isDisplay(classCode: string | null): boolean {
  return /^(03|0001)/.test(classCode ?? '');
}

function numberOf(buffer: string): number {
  return Number(buffer.slice(2));
}
