// The addresses of our own network namespace by interface, as netlink tells them (getifaddrs): interfaces that are up, with their
// addresses. The proofs use them only where that namespace is shown to be the host's.
import { networkInterfaces } from 'node:os';
import type { InterfaceAddress } from './ports.ts';

/** Asks anew on every call. */
export function createOwnAddresses(): () => readonly InterfaceAddress[] {
  return () =>
    Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
      addresses.map(({ address }) => ({ name, address })),
    );
}
