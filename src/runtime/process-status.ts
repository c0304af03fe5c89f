// Reads who a process is from /proc/PID/stat. A pid alone is reused by the kernel; together with the start time it is not.
import { FileError, type Files, type ProcessIdentity } from './ports.ts';

/** What /proc/PID/stat says of a process: the start time (field 22) and the one-letter state (field 3). */
export interface ProcessStatus {
  readonly startTime: string;
  readonly state: string;
}

/**
 * Parses a line of /proc/PID/stat; null when it is none. The command name may hold blanks and parentheses, so fields are
 * counted from the last `)` (proc_pid_stat(5)).
 */
export function parseProcessStatus(line: string): ProcessStatus | null {
  const fields = line
    .slice(line.lastIndexOf(')') + 1)
    .trim()
    .split(/\s+/);
  const state = fields[0];
  const startTime = fields[19];
  return state === undefined || startTime === undefined || !/^\d+$/.test(startTime) ? null : { state, startTime };
}

/**
 * Whether this very process still exists, zombies not counted: they run no code any more. Throws `FileError` when `proc` (the
 * path of procfs) cannot be read for another reason than that the process is gone.
 */
export function isAlive(files: Files, proc: string, identity: ProcessIdentity): boolean {
  let line: string;
  try {
    line = files.readText(`${proc}/${identity.pid}/stat`);
  } catch (error) {
    if (error instanceof FileError && (error.code === 'ENOENT' || error.code === 'ESRCH')) return false;
    throw error;
  }
  const status = parseProcessStatus(line);
  return status !== null && status.startTime === identity.startTime && status.state !== 'Z' && status.state !== 'X';
}
