// Container images without a registry: OCI archives of one uncompressed layer, written from files at hand, that containerd imports under
// their name (OCI image specification; the name is the annotation that containerd reads).

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheEntry } from '../lab/cache.ts';
import { run } from '../lab/command.ts';
import { guestPrograms } from '../lab/programs.ts';
import { labTools } from '../lab/tools.ts';

/** A member of a layer or of the archive itself. */
export type TarMember =
  | { readonly kind: 'file'; readonly path: string; readonly content: Buffer; readonly mode?: number }
  | { readonly kind: 'directory'; readonly path: string; readonly mode?: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

/** The pause image, which containerd's configuration in the node names. */
export const PAUSE_IMAGE = 'lab.local/pause:1';
/** busybox with the applets that test pods use, and the lab's `vfio-holder`, which opens a device as a virtual machine does. */
export const BOX_IMAGE = 'lab.local/box:1';

const APPLETS =
  'sh cat sleep ls env echo test mkdir rm kill ps chroot nsenter mount true false touch tail sed grep tr stat readlink id';

/** Archive with the pause image and the box, made once. */
export async function labImages(): Promise<string> {
  const { directory } = await labTools();
  const busybox = readFileSync(join(directory, 'bin/busybox'));
  const source = fileURLToPath(new URL('node/pause.c', import.meta.url));
  const holder = (await guestPrograms()).get('vfio-holder') ?? Buffer.alloc(0);
  const hash = createHash('sha256').update(busybox).update(holder).update(readFileSync(source));
  hash.update(readFileSync(fileURLToPath(import.meta.url)));
  const entry = await cacheEntry(`images/lab-${hash.digest('hex').slice(0, 16)}`, async (staging) => {
    const program = join(staging, 'pause');
    await run(['gcc', '-static', '-O1', '-Wall', '-Wextra', '-o', program, source], {
      hint: 'the lab needs gcc with its static C library (libc6-dev)',
    });
    const file = (path: string, content: Buffer): TarMember => ({ kind: 'file', path, content, mode: 0o755 });
    const images = [
      imageOf(PAUSE_IMAGE, [file('pause', readFileSync(program))], ['/pause']),
      imageOf(
        BOX_IMAGE,
        [
          ...['bin', 'tmp', 'etc', 'proc', 'sys', 'dev', 'root'].map((path): TarMember => ({
            kind: 'directory',
            path,
          })),
          file('bin/busybox', busybox),
          file('bin/vfio-holder', holder),
          ...APPLETS.split(' ').map((name): TarMember => ({ kind: 'link', path: `bin/${name}`, target: 'busybox' })),
          { kind: 'file', path: 'etc/passwd', content: Buffer.from('root:x:0:0:root:/root:/bin/sh\n') },
        ],
        ['/bin/sh'],
      ),
    ];
    writeFileSync(join(staging, 'images.tar'), archiveOf(images));
    return { guard: ['images.tar'] };
  });
  return join(entry.directory, 'images.tar');
}

/** An image of one layer, by its name in containerd. */
export interface Image {
  readonly name: string;
  /** Blobs in order: layer, configuration, manifest. */
  readonly blobs: readonly Buffer[];
}

/** The image `name` with `members` as its layer; its PATH is /bin. */
export function imageOf(name: string, members: readonly TarMember[], entrypoint: readonly string[]): Image {
  const layer = tarOf(members);
  const config = json({
    architecture: 'amd64',
    os: 'linux',
    config: { Entrypoint: entrypoint, Env: ['PATH=/bin'], WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [digest(layer)] },
    history: [{ created_by: 'test' }],
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar', layer)],
  });
  return { name, blobs: [layer, config, manifest] };
}

/** An OCI archive of several images, as `ctr images import` reads it. */
export function archiveOf(images: readonly Image[]): Buffer {
  const manifests = images.map(({ name, blobs }) => ({
    ...descriptor('application/vnd.oci.image.manifest.v1+json', blobs[2] ?? Buffer.alloc(0)),
    annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name.split(':')[1] ?? '' },
  }));
  const blobs = images
    .flatMap((image) => image.blobs)
    .map((content): TarMember => ({ kind: 'file', path: `blobs/sha256/${digest(content).slice(7)}`, content }));
  return tarOf([
    { kind: 'file', path: 'oci-layout', content: json({ imageLayoutVersion: '1.0.0' }) },
    { kind: 'file', path: 'index.json', content: json({ schemaVersion: 2, manifests }) },
    { kind: 'directory', path: 'blobs' },
    { kind: 'directory', path: 'blobs/sha256' },
    ...blobs,
  ]);
}

function descriptor(mediaType: string, content: Buffer): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest: digest(content), size: content.length };
}

function digest(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** An archive in the ustar format (POSIX.1-1988), everything owned by root and dated 1970. */
function tarOf(members: readonly TarMember[]): Buffer {
  return Buffer.concat([...members.flatMap((member) => tarMember(member)), Buffer.alloc(1024)]);
}

function tarMember(member: TarMember): readonly Buffer[] {
  const content = member.kind === 'file' ? member.content : Buffer.alloc(0);
  const mode = member.kind === 'link' ? 0o777 : (member.mode ?? (member.kind === 'directory' ? 0o755 : 0o644));
  const header = Buffer.alloc(512);
  const octal = (value: number, offset: number, width: number): void =>
    void header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset);
  header.write(member.path, 0, 100);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(content.length, 124, 12);
  octal(0, 136, 12);
  header.write({ file: '0', link: '2', directory: '5' }[member.kind], 156);
  if (member.kind === 'link') header.write(member.target, 157, 100);
  header.write('ustar\x0000', 257);
  // The checksum counts its own field as spaces.
  header.fill(' ', 148, 156);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
}
