// Words for PCI class codes (PCI Code and ID Assignment Specification, chapter 1), as far as people meet them here.

const names: Readonly<Record<string, string>> = {
  '00': 'unclassified',
  '01': 'storage',
  '0101': 'IDE controller',
  '0104': 'RAID controller',
  '0106': 'SATA controller',
  '0107': 'SAS controller',
  '0108': 'NVMe',
  '02': 'network',
  '0200': 'Ethernet',
  '0207': 'InfiniBand',
  '03': 'display',
  '0300': 'VGA',
  '0302': '3D controller',
  '04': 'multimedia',
  '0403': 'audio',
  '05': 'memory',
  '0500': 'RAM',
  '0502': 'CXL memory',
  '06': 'bridge',
  '0600': 'host bridge',
  '0601': 'ISA bridge',
  '0604': 'PCI bridge',
  '07': 'communication',
  '0700': 'serial port',
  '08': 'system',
  '0806': 'IOMMU',
  '09': 'input',
  '0c': 'serial bus',
  '0c03': 'USB controller',
  '0c05': 'SMBus',
  '0d': 'wireless',
  '0d80': 'wireless',
  '10': 'encryption',
  '11': 'signal processing',
  '12': 'accelerator',
  '13': 'instrumentation',
  ff: 'other',
};

/** The word for a class code of 6 digits; null where there is none. */
export function classNameOf(classCode: string): string | null {
  return names[classCode.slice(0, 4)] ?? names[classCode.slice(0, 2)] ?? null;
}
