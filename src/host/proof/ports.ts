// What the proofs need from the machine beyond files: reading a disk, which may never return when the disk is dead.

/** What was read: one piece per range, in order; or why nothing was. */
export type DiskReading = { readonly pieces: readonly Uint8Array[] } | { readonly failure: string };

/** Reads disks without ever hanging. */
export interface DiskReader {
  /**
   * Reads stretches of a block node, opened O_RDONLY. Never rejects and always answers within a deadline of its own: a read that does
   * not return is a failure, and that node is not read again before it has returned.
   */
  read(node: string, ranges: readonly { readonly offset: number; readonly length: number }[]): Promise<DiskReading>;
}

/** An address of one of the host's network interfaces. */
export interface InterfaceAddress {
  readonly name: string;
  /** IPv4 dotted, IPv6 in any spelling without zone. */
  readonly address: string;
}
