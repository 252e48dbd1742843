// What /proc says of the programs under test.
import fs from 'node:fs';

const read = (path) => {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    return null; // the process ended between two looks
  }
};

export const isAlive = (pid) => {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== null && !/\) [ZX] /.test(stat);
};

/** Process ids of a process group that are alive. */
export function groupMembers(pgid) {
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields && fields[0] !== 'Z' && fields[0] !== 'X' && Number(fields[2]) === pgid;
  });
}

/** Resident kilobytes. */
export const residentKib = (pid) => Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? NaN);

export const openFiles = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;

/** Listening TCP ports of a process. */
export function listeningPorts(pid) {
  const inodes = new Set();
  for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
    try {
      const match = /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`));
      if (match) inodes.add(match[1]);
    } catch { /* closed meanwhile */ }
  }
  const ports = new Set();
  for (const table of ['tcp', 'tcp6']) {
    for (const line of (read(`/proc/${pid}/net/${table}`) ?? '').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] === '0A' && inodes.has(fields[9])) ports.add(parseInt(fields[1].split(':')[1], 16));
    }
  }
  return [...ports].sort((a, b) => a - b);
}

/** Every readable, private or file-backed byte of a process, mapping by mapping. */
export function* memoryOf(pid) {
  const file = fs.openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const line of fs.readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const match = /^([0-9a-f]+)-([0-9a-f]+) (r\S+)/.exec(line);
      if (!match || /\[v(var|dso|syscall)/.test(line)) continue;
      const [start, end] = [BigInt(`0x${match[1]}`), BigInt(`0x${match[2]}`)];
      // A sanitizer's shadow: terabytes of notes about the memory, none of its contents.
      if (end - start > 1n << 36n) continue;
      yield* residentOf(pid, file, start, end);
    }
  } finally {
    fs.closeSync(file);
  }
}

const PAGE = 4096n;
const STRIDE_PAGES = 1024n;

function* residentOf(pid, mem, start, end) {
  const pagemap = fs.openSync(`/proc/${pid}/pagemap`, 'r');
  try {
    for (let at = start; at < end; at += PAGE * STRIDE_PAGES) {
      const pages = (end - at) / PAGE < STRIDE_PAGES ? (end - at) / PAGE : STRIDE_PAGES;
      const flags = Buffer.alloc(Number(pages) * 8);
      if (fs.readSync(pagemap, flags, 0, flags.length, at / PAGE * 8n) !== flags.length) continue;
      for (let i = 0; i < Number(pages); i++) {
        if ((flags[i * 8 + 7] & 0xc0) === 0) continue; // neither present nor swapped
        let run = 1;
        while (i + run < Number(pages) && (flags[(i + run) * 8 + 7] & 0xc0) !== 0) run++;
        const bytes = Buffer.alloc(run * Number(PAGE));
        try {
          const n = fs.readSync(mem, bytes, 0, bytes.length, at + BigInt(i) * PAGE);
          yield bytes.subarray(0, n);
        } catch { /* a page that may not be read */ }
        i += run;
      }
    }
  } finally {
    fs.closeSync(pagemap);
  }
}
