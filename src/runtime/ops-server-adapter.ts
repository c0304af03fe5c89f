// The operator's door: /metrics, /healthz and /readyz over HTTP.

// An ES import of node:http evaluates all its exports, and with its WebSocket getters comes undici: 0.9 s at an emulated start, and memory.
const { createServer } = process.getBuiltinModule('node:http');

/** A verdict on health or readiness, with what is wrong in words. */
export interface Verdict {
  readonly ok: boolean;
  readonly message: string;
}

export interface OpsServerOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly metrics: () => Promise<string>;
  readonly health: () => Verdict;
  readonly ready: () => Verdict;
}

export interface OpsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** The address cannot be had. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

/** Starts the server; rejects with `ListenError` when the address cannot be had. */
export function startOpsServer(options: OpsServerOptions): Promise<OpsServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, text: string, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { 'content-type': type });
      response.end(text);
    };
    const verdict = (value: Verdict): void => answer(value.ok ? 200 : 503, `${value.message}\n`);
    // Not parsed: a request line may hold anything, and what an URL parser throws here would end the process.
    switch ((request.url ?? '/').split('?', 1)[0]) {
      case '/healthz':
        return verdict(options.health());
      case '/readyz':
        return verdict(options.ready());
      case '/metrics':
        options.metrics().then(
          (text) => answer(200, text, 'text/plain; version=0.0.4; charset=utf-8'),
          (error: unknown) => answer(500, `${String(error)}\n`),
        );
        return undefined;
      default:
        return answer(404, 'known: /metrics /healthz /readyz\n');
    }
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const hint = error.code === 'EADDRINUSE' ? ': another agent may be running here; --listen takes another' : '';
      const where = `${options.host}:${options.port}`;
      reject(new ListenError(`cannot listen on ${where} (${error.code ?? error.message})${hint}`, { cause: error }));
    });
    server.listen(options.port, options.host, () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : options.port,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}
