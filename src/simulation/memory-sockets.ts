// Unix sockets of one machine in memory: a process listens at a path, others ask. A killed process leaves its socket's file behind,
// and who asks there is refused, as on a real machine.
import { FileError } from '../runtime/ports.ts';
import type { Clock, Sockets } from '../runtime/ports.ts';
import type { MemoryFiles } from './memory-files.ts';

/** The sockets of one process. */
interface ProcessSockets {
  readonly sockets: Sockets;
  /** The process is gone: nobody listens any more, files stay. */
  kill(): void;
}

/** All sockets of a machine. */
export interface SocketNetwork {
  attach(): ProcessSockets;
}

interface Listener {
  readonly answer: (line: string) => Promise<string>;
  alive: boolean;
}

/** Builds a machine's sockets. */
export function createSocketNetwork(files: MemoryFiles, clock: Clock): SocketNetwork {
  // By inode: a path that was replaced is another socket.
  const listeners = new Map<number, Listener>();
  const find = (path: string): Listener | null => {
    const node = files.find(path);
    if (node === null) throw new FileError('connect', path, 'ENOENT');
    return listeners.get(node.inode) ?? null;
  };
  return {
    attach() {
      const own = new Set<Listener>();
      return {
        sockets: {
          async listen(path, answer) {
            files.put(path, { node: 'socket', mode: 0o600 });
            const inode = files.find(path)?.inode ?? 0;
            const listener = { answer, alive: true };
            listeners.set(inode, listener);
            own.add(listener);
            return {
              async close() {
                listener.alive = false;
                listeners.delete(inode);
                own.delete(listener);
                if (files.find(path)?.inode === inode) files.drop(path);
              },
            };
          },
          async ask(path, line, deadline) {
            const listener = find(path);
            if (listener === null || !listener.alive) throw new FileError('connect', path, 'ECONNREFUSED');
            return answerOf(listener, path, line, deadline);
          },
        },
        kill() {
          for (const listener of own) listener.alive = false;
          own.clear();
        },
      };
    },
  };

  function answerOf(listener: Listener, path: string, line: string, deadline: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = clock.after(deadline, () => reject(new FileError('read', path, 'ETIMEDOUT')));
      listener.answer(line).then(
        (answer) => {
          timer.cancel();
          if (listener.alive) resolve(answer);
          else reject(new FileError('read', path, 'EPIPE'));
        },
        () => {
          timer.cancel();
          reject(new FileError('read', path, 'EPIPE'));
        },
      );
    });
  }
}
