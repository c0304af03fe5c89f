// Somebody else's hand on a device of ours. The kernel asks nobody who writes driver_override, and whoever does so by driverctl, libvirt
// or by hand means to have the device. Two that write over each other never end, so such a claim stands until it is taken back.
import type { Device } from './device.ts';
import type { LedgerEntry } from './ledger.ts';

/**
 * The `driver_override` of a device of ours that is somebody else's: neither what we set, nor what was there before us, nor the driver
 * `wanted` (null: not known). null when there is none, or when it was not read; a step reads it again before it writes. An adopted device
 * was taken over with whatever stood there.
 */
export function foreignClaim(
  device: Device,
  { driver, originalOverride, adopted }: Pick<LedgerEntry, 'driver' | 'originalOverride' | 'adopted'>,
  wanted: string | null,
): string | null {
  const override = device.guarded?.driverOverride ?? null;
  return adopted || override === driver || override === originalOverride || override === wanted ? null : override;
}
