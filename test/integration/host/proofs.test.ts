// The proofs on this machine's own /proc and /sys, read-only, beside a plain reading of our own tables.
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { collectProofs } from '../../../src/host/proof/collect-proofs.ts';
import { createDiskReader } from '../../../src/host/proof/disk-reader-adapter.ts';
import { createScanner } from '../../../src/host/scan-inventory.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';

const files = createFiles();
const paths = hostPaths('/');
const inventory = await createScanner({ files, paths }).scan({ wantSerialNumbers: false, alsoList: new Set() });
const proofs = await collectProofs({
  files,
  paths,
  inventory,
  interest: new Set(inventory.devices.keys()),
  disks: createDiskReader(process.execPath),
});

// The device of the inventory nearest to a sysfs path, by ourselves.
function deviceOf(path: string): string | null {
  return path.split('/').findLast((part) => inventory.devices.has(part)) ?? null;
}

function rootDevice(): string | null {
  const number = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .findLast((fields) => fields[4] === '/')?.[2];
  const link = `/sys/dev/block/${number ?? ''}`;
  return number !== undefined && existsSync(link) ? deviceOf(realpathSync(link)) : null;
}

function routeDevice(): string | null {
  const name = readFileSync('/proc/self/net/route', 'utf8')
    .split('\n')
    .map((line) => line.split('\t'))
    .find((fields) => fields[1] === '00000000' && fields[7] === '00000000')?.[0];
  const link = `/sys/class/net/${name ?? ''}`;
  return name !== undefined && existsSync(link) ? deviceOf(realpathSync(link)) : null;
}

describe('this machine', () => {
  const root = rootDevice();
  it.skipIf(root === null)('refuses the disk below / (skipped where / is on no device of a known bus)', () => {
    expect(proofs.findings.filter(({ address }) => address === root).map(({ code }) => code)).toContain('RootStorage');
  });

  const route = routeDevice();
  const ours = sameNetwork();
  it.skipIf(route === null || !ours)(
    'refuses the device of the default route (skipped where there is none, or PID 1 is in another network namespace)',
    () => {
      expect(proofs.findings.filter(({ address }) => address === route).map(({ code }) => code)).toContain(
        'PrimaryNetwork',
      );
    },
  );

  it('answers for every device with sentences that name a path', () => {
    for (const { address, proof } of proofs.findings) {
      expect(inventory.devices.has(address)).toBe(true);
      expect(proof).toMatch(/\/(proc|sys|run|dev)\/|^content of /);
    }
  });
});

function sameNetwork(): boolean {
  try {
    return readlinkSync('/proc/1/ns/net') === readlinkSync('/proc/self/ns/net');
  } catch {
    // Without the right to look: the same routes are the same namespace for this purpose.
    return readFileSync('/proc/1/net/route', 'utf8') === readFileSync('/proc/self/net/route', 'utf8');
  }
}

describe('the disk reader', () => {
  const directory = mkdtempSync(join(tmpdir(), 'disk-reader-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const image = join(directory, 'image');
  writeFileSync(
    image,
    Uint8Array.from({ length: 200_000 }, (_value, index) => index % 251),
  );

  it('reads the ranges in order', async () => {
    const reading = await createDiskReader(process.execPath).read(image, [
      { offset: 100_000, length: 70_000 },
      { offset: 3, length: 2 },
    ]);
    if ('failure' in reading) throw new Error(reading.failure);
    expect(reading.pieces.map((piece) => piece.length)).toEqual([70_000, 2]);
    expect(reading.pieces[0]?.[0]).toBe(100_000 % 251);
    expect([...(reading.pieces[1] ?? [])]).toEqual([3, 4]);
  });

  it('tells what failed', async () => {
    const reader = createDiskReader(process.execPath);
    expect(await reader.read(join(directory, 'none'), [{ offset: 0, length: 1 }])).toEqual({ failure: 'ENOENT' });
    expect(await reader.read(image, [{ offset: 199_999, length: 2 }])).toEqual({ failure: 'it ended early' });
    expect((await createDiskReader('/nonexistent').read(image, [])) as { failure: string }).toHaveProperty('failure');
  });

  it('leaves a read alone that does not return, and does not repeat it', async () => {
    const sleeper = join(directory, 'sleeper');
    writeFileSync(sleeper, '#!/bin/sh\nexec sleep 2\n');
    chmodSync(sleeper, 0o755);
    const reader = createDiskReader(sleeper, 50);
    expect(await reader.read(image, [])).toEqual({ failure: 'no answer in 50 ms' });
  });
});
