// Sends the text of a policy file to the API server as it stands, so that the API server's own YAML reader reads it, and sorts the answer.
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import type { ControlPlane } from '../cluster/control-plane.ts';

/** One thing the API server holds against a document. */
export interface ApiProblem {
  /** Field path; empty where the API server names none. */
  readonly path: string;
  readonly message: string;
}

/** What the API server says to a document. */
export interface ApiVerdict {
  readonly accepted: boolean;
  readonly status: number;
  /** By field; from `details.causes`. */
  readonly problems: readonly ApiProblem[];
  /** Paths of fields it does not know; it looks at nothing else then. */
  readonly unknownFields: readonly string[];
  /** The whole sentence, for what cannot even be read. */
  readonly message: string;
}

interface Status {
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { readonly field?: string; readonly message?: string }[] };
}

/** Creates the policy with `fieldValidation=Strict`, without keeping it. */
export async function postPolicy(cluster: ControlPlane, text: string): Promise<ApiVerdict> {
  const { status, body } = await post(cluster, text);
  const { message = '', details } = JSON.parse(body) as Status;
  const causes = details?.causes ?? [];
  return {
    accepted: status === 201,
    status,
    problems: causes.map(({ field = '', message: why = '' }) => ({
      path: field === '<nil>' ? '' : field,
      message: why,
    })),
    unknownFields: [...message.matchAll(/unknown field "([^"]+)"/g)].map(([, path = '']) => path),
    message: status === 201 ? '' : message,
  };
}

function post(cluster: ControlPlane, text: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port: cluster.port,
        method: 'POST',
        path: '/apis/vfio-operator.dev/v1alpha1/vfiopolicies?dryRun=All&fieldValidation=Strict',
        ca: readFileSync(cluster.caFile),
        headers: {
          authorization: `Bearer ${cluster.token('admin')}`,
          accept: 'application/json',
          'content-type': 'application/yaml',
        },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('error', reject);
        answer.once('end', () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      },
    );
    sent.once('error', reject);
    sent.end(text);
  });
}
