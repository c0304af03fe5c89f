// One listening socket in one of kubelet's directories, unique to this process and to this registration. It appears at once and ready
// (listen on a dot name, then rename), and closing it removes no other file: kubelet's start-up deletes sockets under us.
import { createHash } from 'node:crypto';
import { FileError } from '../runtime/ports.ts';
import type { Files } from '../runtime/ports.ts';
import type { Grpc, Route } from './ports.ts';

/** Most bytes of a unix socket's path (sun_path less its NUL). Node cuts a longer one off in silence. */
const socketPathLimit = 107;

/** A socket's path would be too long for the kernel: the directory must be shorter. */
class SocketPathTooLong extends Error {
  override readonly name = 'SocketPathTooLong';
}

/** File name of a socket: the resource's name is hashed, since it may be longer than a path allows. */
export function socketName(prefix: string, resource: string, instance: string): string {
  const hash = createHash('sha256').update(resource).digest('hex').slice(0, 8);
  return `${prefix}-${hash}-${instance}.sock`;
}

/** Throws `SocketPathTooLong` when `name`, also with the dot of its first moment, does not fit below `directory`. */
export function checkSocketPath(directory: string, name: string): void {
  const bytes = new TextEncoder().encode(`${directory}/.${name}`).length;
  if (bytes <= socketPathLimit) return;
  throw new SocketPathTooLong(
    `socket ${directory}/${name} needs ${bytes} bytes of path, the kernel allows ${socketPathLimit}: use a shorter directory`,
  );
}

/** A socket that we listen on. */
export interface PluginSocket {
  readonly name: string;
  readonly path: string;
  /** True while the file at `path` is the one we made. */
  present(): boolean;
  /** Stops listening (running calls get `grace` milliseconds) and removes the file, if it still is ours. */
  close(grace: number): Promise<void>;
}

/** Listens. Rejects with `GrpcError` or `FileError`; then nothing is left behind. */
export async function listen(
  { grpc, files }: { readonly grpc: Grpc; readonly files: Files },
  directory: string,
  name: string,
  routes: readonly Route[],
): Promise<PluginSocket> {
  checkSocketPath(directory, name);
  const path = `${directory}/${name}`;
  if (entryIdentity(files, directory) === null) throw new FileError('listen', path, 'ENOENT');
  const server = await grpc.serve(`${directory}/.${name}`, routes);
  try {
    await files.rename(`${directory}/.${name}`, path);
    const identity = entryIdentity(files, path);
    const present = (): boolean => identity !== null && entryIdentity(files, path) === identity;
    return {
      name,
      path,
      present,
      async close(grace) {
        await server.close(grace);
        if (present()) await removeQuietly(files, path);
      },
    };
  } catch (error) {
    await server.close(0);
    throw error;
  }
}

/**
 * Removes the sockets that an earlier agent with the same `prefix` left in `directory`. One that somebody still listens on stays: it
 * may be the agent that we replace, which serves until we are registered.
 */
export async function removeStaleSockets(
  { grpc, files }: { readonly grpc: Grpc; readonly files: Files },
  directory: string,
  prefix: string,
): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const name of listQuietly(files, directory)) {
    const ours = name.startsWith(`${prefix}-`) || name.startsWith(`.${prefix}-`);
    if (!ours || !name.endsWith('.sock')) continue;
    const path = `${directory}/${name}`;
    if ((await grpc.probe(path)) !== 'Refused') continue;
    await removeQuietly(files, path);
    removed.push(path);
  }
  return removed;
}

/** Tells one file from its replacement of the same name; null when there is none. */
export function entryIdentity(files: Files, path: string): string | null {
  try {
    const { device, inode } = files.stat(path);
    return `${device}:${inode}`;
  } catch (error) {
    if (error instanceof FileError && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null;
    throw error;
  }
}

function listQuietly(files: Files, directory: string): readonly string[] {
  try {
    return files.list(directory);
  } catch (error) {
    if (error instanceof FileError && error.code === 'ENOENT') return [];
    throw error;
  }
}

async function removeQuietly(files: Files, path: string): Promise<void> {
  try {
    await files.remove(path);
  } catch (error) {
    if (!(error instanceof FileError && error.code === 'ENOENT')) throw error;
  }
}
