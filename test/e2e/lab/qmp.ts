// QEMU's own control channel (docs/interop/qmp-spec.rst in QEMU): commands such as device_del, and its events.

import type { Socket } from 'node:net';
import { onLines } from './channel.ts';
import { LabError } from './lab-error.ts';

/** A JSON value as QMP gives it. */
export type QmpValue = null | boolean | number | string | readonly QmpValue[] | { readonly [name: string]: QmpValue };

export interface QmpEvent {
  readonly event: string;
  readonly data: QmpValue;
}

export interface Qmp {
  /** Runs one command and returns its `return` value; throws LabError with QEMU's sentence when it refuses. */
  execute(command: string, parameters?: Readonly<Record<string, QmpValue>>): Promise<QmpValue>;
  /** Every event so far, oldest first. */
  events(): readonly QmpEvent[];
  close(): void;
}

interface QmpMessage {
  readonly QMP?: QmpValue;
  readonly event?: string;
  readonly data?: QmpValue;
  readonly return?: QmpValue;
  readonly error?: { readonly class: string; readonly desc: string };
  readonly id?: number;
}

/** Speaks QMP over `socket`; resolves when QEMU has accepted the capabilities handshake. */
export async function openQmp(socket: Socket): Promise<Qmp> {
  const waiting = new Map<number, (message: QmpMessage) => void>();
  const events: QmpEvent[] = [];
  let last = 0;
  const greeted = Promise.withResolvers<void>();
  onLines(socket, (line) => {
    const message = JSON.parse(line) as QmpMessage;
    if (message.QMP !== undefined) greeted.resolve();
    else if (message.event !== undefined) events.push({ event: message.event, data: message.data ?? null });
    else if (message.id !== undefined) waiting.get(message.id)?.(message);
  });
  socket.on('error', () => undefined);
  socket.once('close', () => {
    greeted.reject(new LabError('QEMU closed its control channel.'));
    for (const settle of waiting.values()) settle({ error: { class: 'Closed', desc: 'QEMU is gone' } });
  });
  const execute = async (command: string, parameters?: Readonly<Record<string, QmpValue>>): Promise<QmpValue> => {
    const id = ++last;
    const answer = new Promise<QmpMessage>((resolve) => waiting.set(id, resolve));
    if (socket.destroyed) throw new LabError(`QEMU is gone, it cannot do ${command}.`);
    socket.write(`${JSON.stringify({ execute: command, id, ...(parameters && { arguments: parameters }) })}\n`);
    const message = await answer;
    waiting.delete(id);
    if (message.error !== undefined) throw new LabError(`QEMU refused ${command}: ${message.error.desc}.`);
    return message.return ?? null;
  };
  await greeted.promise;
  await execute('qmp_capabilities');
  return { execute, events: () => [...events], close: () => socket.destroy() };
}
