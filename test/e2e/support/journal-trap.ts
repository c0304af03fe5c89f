// Runs in the guest: sends a process a signal at the moment a record appears in the agent's journal. Under a real-time class on the
// guest's one processor (`chrt --fifo 50`) it runs as soon as the record is in the file, before the agent goes on; so what is killed
// or stopped by it has announced the next kernel write and not made it. `node journal-trap.ts JOURNAL PID SIGNAL PATTERN`: PATTERN is a
// regular expression that a record written from now on matches. Prints `armed`, then `sprung RECORD`.
import { openSync, readFileSync, readSync, statSync, watch } from 'node:fs';

const [, , journal = '', pid = '', signal = 'SIGKILL', source = ''] = process.argv;
const pattern = new RegExp(source);
// Reading on from where we are keeps what is done between two records short.
let inode = statSync(journal).ino;
let file = openSync(journal, 'r');
let at = readFileSync(file).length;
let partial = '';
const chunk = Buffer.alloc(64 * 1024);

function look(): void {
  for (;;) {
    const count = readSync(file, chunk, 0, chunk.length, at);
    if (count === 0) break;
    at += count;
    const lines = (partial + chunk.toString('utf8', 0, count)).split('\n');
    partial = lines.pop() ?? '';
    const found = lines.find((line) => pattern.test(line));
    if (found === undefined) continue;
    process.kill(Number(pid), signal);
    process.stdout.write(`sprung ${found}\n`);
    process.exit(0);
  }
}

watch(journal.slice(0, journal.lastIndexOf('/')), (_, name) => {
  if (name !== 'journal') return;
  const now = statSync(journal, { throwIfNoEntry: false });
  // Compacted: everything in the new file is newer than what we have read.
  if (now !== undefined && now.ino !== inode) {
    inode = now.ino;
    file = openSync(journal, 'r');
    at = 0;
    partial = '';
  }
  look();
});
process.stdout.write('armed\n');
