// What sysfs tells of a PCIe function's link and of the errors it has reported: information for a person, which changes no decision. The
// link attributes read the configuration space (current_link_width_show() and its like in drivers/pci/pci-sysfs.c), so newer kernels
// wake the device up for them; the error counters are plain memory (drivers/pci/pcie/aer.c).

/** What says whether something is amiss, in the order in which it is read. */
export const linkAttributes = ['current_link_width', 'max_link_width', 'aer_dev_fatal', 'aer_dev_nonfatal'] as const;

/** Errors reported since the kernel found the function; null where it has no AER. */
export interface ErrorCounts {
  readonly fatal: number | null;
  readonly nonfatal: number | null;
}

/** Lanes in use and lanes that the function itself has; null where there is no link or it does not say. */
export interface LinkReading {
  readonly width: number | null;
  readonly maxWidth: number | null;
  readonly errors: ErrorCounts;
}

/** Reads the texts of `linkAttributes`; null for those that could not be read. */
export function parseLink(texts: readonly (string | null)[]): LinkReading {
  const [width, maxWidth, fatal, nonfatal] = linkAttributes.map((_, index) => texts[index] ?? null);
  return {
    width: parseWidth(width ?? null),
    maxWidth: parseWidth(maxWidth ?? null),
    errors: { fatal: parseErrors(fatal ?? null), nonfatal: parseErrors(nonfatal ?? null) },
  };
}

/** The total of an `aer_dev_*` attribute, whose last line is `TOTAL_ERR_… N`. */
export function parseErrors(text: string | null): number | null {
  const total = /^TOTAL_ERR_\w+ (\d+)$/m.exec(text ?? '')?.[1];
  return total === undefined ? null : Number(total);
}

/**
 * The counts to compare `now` with, when it was `before` so far: the first ones that were read. Counters that went back are those of a
 * function that the kernel found anew.
 */
export function errorsBefore(before: ErrorCounts | null, now: ErrorCounts): ErrorCounts {
  const isAnew = errorKinds.some((kind) => now[kind] !== null && now[kind] < (before?.[kind] ?? 0));
  if (before === null || isAnew) return now;
  return { fatal: before.fatal ?? now.fatal, nonfatal: before.nonfatal ?? now.nonfatal };
}

/** The sentence for a person, or null; `before` from `errorsBefore`. It holds no number that moves by itself. */
export function describeLink({ width, maxWidth, errors }: LinkReading, before: ErrorCounts): string | null {
  const grown = errorKinds.filter((kind) => (errors[kind] ?? 0) > (before[kind] ?? 0));
  const lanes =
    width !== null && maxWidth !== null && width < maxWidth ? [`its PCIe link has ${width} of ${maxWidth} lanes`] : [];
  const said =
    grown.length === 0 ? [] : [`it has reported ${grown.join(' and ')} PCIe errors since the agent began to look`];
  const parts = [...lanes, ...said];
  return parts.length === 0 ? null : parts.join('; ');
}

const errorKinds = ['fatal', 'nonfatal'] as const;

// 0: no link; 63: all ones, from a device without power.
function parseWidth(text: string | null): number | null {
  const width = /^\d+$/.test(text?.trim() ?? '') ? Number(text) : 0;
  return width >= 1 && width <= 32 ? width : null;
}
