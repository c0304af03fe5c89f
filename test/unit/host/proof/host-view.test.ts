import { describe, expect, it } from 'vitest';
import { hostPaths } from '../../../../src/host/host-paths.ts';
import { addNic, addNvme, subject } from '../../../support/critical-use.ts';
import { createProofHost, type ProofHost } from '../../../support/proof-host.ts';

async function provenOf(host: ProofHost): Promise<readonly string[]> {
  const { findings } = await host.prove();
  return findings.filter(({ code }) => code === 'Unproven').map(({ proof }) => proof);
}

describe('whose /proc it is', () => {
  it("is the host's when PID 1 lives in the initial PID namespace", async () => {
    const host = createProofHost();
    addNvme(host);
    expect(await provenOf(host)).toEqual([]);
  });

  it("is the host's when we live there and may not look at PID 1", async () => {
    const host = createProofHost();
    addNvme(host);
    host.files.setFault((_operation, path) => (path.startsWith('/proc/1/ns/') ? 'EACCES' : null));
    expect(await provenOf(host)).toEqual([]);
  });

  it("is a container's otherwise, and then nothing is proven", async () => {
    const host = createProofHost();
    addNvme(host);
    host.files.put('/proc/1/ns/pid', { link: 'pid:[4026532456]' });
    expect(await provenOf(host)).toEqual([
      '/proc/1/ns/pid: "pid:[4026532456]" is not the host\'s PID namespace (pid:[4026531836]): run with hostPID',
    ]);
  });

  it('does not take our own word when that of PID 1 is another', async () => {
    const host = createProofHost();
    addNic(host, '0x1002');
    host.files.put('/proc/1/ns/pid', { link: 'pid:[4026532456]' });
    expect(await provenOf(host)).toHaveLength(1);
  });

  it('shows nothing in a copy of a host, where what sysfs and udev tell still counts', async () => {
    const host = createProofHost();
    addNvme(host, { ID_FS_TYPE: 'ext4' });
    const { findings } = await host.prove({ paths: hostPaths('/', 'copy') });
    expect(findings.map(({ address, code }) => `${address} ${code}`)).toEqual([
      `${subject} StorageHasData`,
      `${subject} Unproven`,
    ]);
    expect(findings[1]?.proof).toMatch(/a copy of a host shows no processes, mounts or routes/);
  });

  it('takes interfaces of another network namespace for what they are', async () => {
    const host = createProofHost();
    addNic(host, '0x1002');
    host.files.put('/proc/1/net/dev', host.files.readText('/proc/1/net/dev').replace('eth1', 'eth9'));
    expect((await provenOf(host)).join()).toMatch(/\/sys\/class\/net shows another network namespace/);
  });

  it('says once what is the same for many processes', async () => {
    const host = createProofHost();
    addNvme(host);
    for (let pid = 100; pid < 160; pid += 1) host.process(pid, 'sleeper');
    host.files.setFault((operation, path) =>
      operation === 'scandir' && /^\/proc\/1\d\d\/fd$/.test(path) ? 'EACCES' : null,
    );
    const { unread } = await host.prove();
    expect(unread).toEqual([{ source: '/proc/100/fd', why: 'readdir: EACCES; the same for 59 others' }]);
  });

  it('does not mind kernel threads and processes that are gone', async () => {
    const host = createProofHost();
    addNvme(host);
    host.files.put('/proc/70/stat', '70 (kworker/0:1) I 2 0 0 0 -1 69238880 0 0\n');
    host.files.put('/proc/70/fd', { directory: {} });
    host.files.put('/proc/71/stat', '71 (defunct (a) b) Z 1 0 0 0 -1 4194560 0 0\n');
    host.files.put('/proc/71/fd', { directory: {} });
    host.files.put('/proc/72/fd', { directory: {} });
    host.files.setFault((operation, path) => {
      if (/^\/proc\/7[01]\/fd$/.test(path)) return 'EACCES';
      return path.startsWith('/proc/72') ? 'ESRCH' : operation === 'never' ? 'EIO' : null;
    });
    for (const pid of [70, 71]) {
      host.files.put(`/proc/${pid}/ns/mnt`, { link: 'mnt:[4026531841]' });
      host.files.put(`/proc/${pid}/root`, { link: '/' });
    }
    expect(await provenOf(host)).toEqual([]);
  });
});
