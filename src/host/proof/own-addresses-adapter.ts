// The addresses of our own network namespace by interface, as netlink tells them (getifaddrs): interfaces that are up, with their
// addresses.
import { readlinkSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { InterfaceAddress } from './ports.ts';

/**
 * A reader that asks anew on every call; null when our network namespace is not that of the host's PID 1, or cannot be shown to be,
 * for then it says nothing about the host. `proc` is the host's procfs.
 */
export function readOwnAddresses(proc: string): (() => readonly InterfaceAddress[]) | null {
  try {
    if (readlinkSync(`${proc}/1/ns/net`) !== readlinkSync(`${proc}/self/ns/net`)) return null;
  } catch {
    return null;
  }
  return () =>
    Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
      addresses.map(({ address }) => ({ name, address })),
    );
}
