// What the test machine and the executor in the guest say to each other: one JSON document per line, each way.
// A batch of file operations is one round trip; replies come when the work is done, in any order.

import type { FileStat } from '../../../src/runtime/ports.ts';

/**
 * One operation in the guest. Paths are absolute. Writing is one open (no O_CREAT unless asked) and one write; `exec`
 * runs a shell command and gives a CommandEnd.
 */
export type FileOperation =
  | { readonly op: 'readText'; readonly path: string }
  | { readonly op: 'readBase64'; readonly path: string; readonly offset?: number; readonly length?: number }
  | { readonly op: 'readLink'; readonly path: string }
  | { readonly op: 'realPath'; readonly path: string }
  | { readonly op: 'list'; readonly path: string }
  | { readonly op: 'stat'; readonly path: string; readonly followLinks?: boolean }
  | { readonly op: 'exists'; readonly path: string }
  | { readonly op: 'write'; readonly path: string; readonly text: string; readonly create?: boolean }
  | { readonly op: 'makeDirectory'; readonly path: string }
  | { readonly op: 'remove'; readonly path: string }
  | { readonly op: 'exec'; readonly command: string; readonly timeoutMs?: number };

/** The value by operation: text, base64, names, FileStat, boolean, CommandEnd; `null` for those that only act. */
export type FileValue = string | readonly string[] | FileStat | boolean | CommandEnd | null;

/** The kernel's answer to one operation; `code` is the errno's name. */
export type FileResult =
  | { readonly ok: true; readonly value: FileValue }
  | { readonly ok: false; readonly code: string; readonly message: string };

export type Request =
  | { readonly id: number; readonly kind: 'files'; readonly operations: readonly FileOperation[] }
  | {
      readonly id: number;
      readonly kind: 'run';
      readonly command: string;
      /** After this many ms the command's process group gets SIGKILL and the reply comes, dead or not; 0: never. */
      readonly timeoutMs: number;
      readonly input?: string;
      readonly environment?: Readonly<Record<string, string>>;
      /** Tell output as it comes instead of collecting it. */
      readonly stream: boolean;
    }
  | {
      readonly id: number;
      readonly kind: 'signal';
      readonly target: number;
      readonly signal: string;
      readonly group: boolean;
    }
  | { readonly id: number; readonly kind: 'input'; readonly target: number; readonly text: string | null };

/** How a command ended; `timedOut` when the time ran out first (then `code` is null). */
export interface CommandEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

export type Reply =
  | { readonly kind: 'ready'; readonly pid: number; readonly uptimeSeconds: number }
  | { readonly kind: 'files'; readonly id: number; readonly results: readonly FileResult[] }
  | { readonly kind: 'started'; readonly id: number; readonly pid: number }
  | { readonly kind: 'output'; readonly id: number; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | { readonly kind: 'ended'; readonly id: number; readonly end: CommandEnd }
  | { readonly kind: 'done'; readonly id: number; readonly error?: string };
