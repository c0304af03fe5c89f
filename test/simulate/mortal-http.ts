// HTTP that dies with its process: its connections end, and nothing that it asked is ever answered to it.
import type { Http, HttpAnswer } from '../../src/kube/ports.ts';
import type { LifeOfProcess } from './mortal-grpc.ts';

const never = <Result>(): Promise<Result> => new Promise(() => {});

/** Wraps the connections of one process. */
export function createMortalHttp(inner: Http, life: LifeOfProcess): Http {
  return {
    async send(request, options) {
      const fate = life.isAlive() ? life.fate('http.send') : 'killedBefore';
      if (fate === 'killedBefore') {
        life.kill();
        return never();
      }
      const sending = inner.send(request, options);
      if (fate === 'killedAfter') life.kill();
      try {
        const answer = await sending;
        return life.isAlive() ? { ...answer, body: mortalBody(answer, life) } : never();
      } catch (error) {
        if (life.isAlive()) throw error;
        return never();
      }
    },
    close: () => inner.close(),
  };
}

async function* mortalBody({ body }: HttpAnswer, life: LifeOfProcess): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of body) {
      if (!life.isAlive()) await never();
      yield piece;
    }
  } catch (error) {
    if (!life.isAlive()) await never();
    throw error;
  }
  if (!life.isAlive()) await never();
}
