// Real unix sockets, one line each way. A caller that sends nothing, too much or disappears costs one connection and no more.
import * as fs from 'node:fs';
import * as net from 'node:net';
import { FileError, type SocketServer, type Sockets } from './ports.ts';

const lineLimit = 64 * 1024;
const patience = 10_000;

/** The machine's unix sockets. */
export function createSockets(): Sockets {
  return { listen, ask };
}

async function listen(path: string, answer: (line: string) => Promise<string>): Promise<SocketServer> {
  await fs.promises.rm(path, { force: true });
  const connections = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(patience, () => socket.destroy());
    readLine(socket, (line) => {
      socket.setTimeout(0);
      answer(line).then(
        (text) => socket.end(`${text}\n`),
        () => socket.destroy(),
      );
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(toFileError('listen', path, error)));
    server.listen(path, resolve);
  });
  await fs.promises.chmod(path, 0o600);
  server.unref();
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const connection of connections) connection.destroySoon();
      }),
  };
}

function ask(path: string, line: string, deadline: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path);
    let open = true;
    const finish = (run: () => void): void => {
      if (!open) return;
      open = false;
      clearTimeout(timer);
      socket.destroy();
      run();
    };
    const fail = (code: string): void => finish(() => reject(new FileError('ask', path, code)));
    const timer = setTimeout(() => fail('ETIMEDOUT'), deadline);
    socket.on('error', (error) => finish(() => reject(toFileError('ask', path, error))));
    socket.on('close', () => fail('EPIPE'));
    socket.on('connect', () => socket.write(`${line}\n`));
    readLine(socket, (text) => finish(() => resolve(text)));
  });
}

/** Calls back with the first line, once; a longer line than allowed ends the connection. */
function readLine(socket: net.Socket, onLine: (line: string) => void): void {
  let text = '';
  let done = false;
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    if (done) return;
    text += chunk;
    const end = text.indexOf('\n');
    if (end >= 0) {
      done = true;
      onLine(text.slice(0, end));
    } else if (text.length > lineLimit) {
      socket.destroy();
    }
  });
}

function toFileError(operation: string, path: string, error: unknown): FileError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
  return new FileError(operation, path, code, { cause: error });
}
