// One platform: `parley up --demo` in a folder of its own, as an operator would start it.
//
// Every test file starts one and ends it with the file. What a failing test needs to be understood, the
// programs' logs and the folder, is kept and named.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { adminAsk } from './admin.js';
import { buildDir, cleanEnv, runCommand } from './command.js';
import { makeGraph } from './graph.js';
import { groupMembers, isAlive } from './proc.js';
import { runPhone } from './phone.js';
import { untilAsked, within } from './wait.js';

const PORTS = 10;
const START_SECONDS = 60;
// ---- ports ----

const listenOn = (port) => new Promise((resolve) => {
  const server = net.createServer();
  server.once('error', () => resolve(null));
  server.listen(port, '127.0.0.1', () => resolve(server));
});
const close = (server) => new Promise((resolve) => { server.close(resolve); });

/** The first of ten free ports in a row, near one that the kernel picked. */
export async function freePorts() {
  for (let tries = 0; tries < 200; tries++) {
    const first = await listenOn(0);
    const base = first.address().port;
    await close(first);
    if (base > 65525) continue;
    const all = [];
    for (let i = 0; i < PORTS; i++) all.push(await listenOn(base + i));
    const isFree = all.every(Boolean);
    await Promise.all(all.filter(Boolean).map(close));
    if (isFree) return base;
  }
  throw new Error('no ten free ports in a row');
}

// ---- demo.env ----

/** KEY='value' lines, as a shell would read them. */
export function parseEnv(text) {
  const env = {};
  for (const line of text.split('\n')) {
    const match = /^([A-Z0-9_]+)=(.*)$/.exec(line);
    if (match) env[match[1]] = match[2].replace(/^'(.*)'$/s, '$1').replaceAll("'\\''", "'");
  }
  return env;
}

export class Platform {
  constructor(options = {}) {
    this.options = options;
    this.dir = options.dir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'parley-system-'));
    this.buildDir = options.buildDir ?? buildDir;
    this.basePort = options.basePort;
    this.output = '';
    this.child = null;
  }

  get parley() {
    return path.join(this.buildDir, 'parley');
  }

  /** Start, wait until everything serves, read demo.env. Again after stop() or kill9(). */
  async start(moreArgs = []) {
    this.basePort ??= await freePorts();
    const args = ['up', '--data-dir', this.dir, '--base-port', String(this.basePort), '--json',
      ...(this.options.isDemo === false ? [] : ['--demo']),
      ...(this.options.seed === undefined ? [] : ['--seed', String(this.options.seed)]),
      ...(this.options.args ?? []), ...moreArgs];
    const began = process.hrtime.bigint();
    const child = spawn(this.parley, args, {
      env: cleanEnv(this.options.env), detached: true, stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    this.output = '';
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve({ error }));
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    child.stderr.on('data', (part) => { this.output += part; });
    const ready = new Promise((resolve) => {
      let text = '';
      child.stdout.on('data', (part) => {
        text += part;
        this.output += part;
        if (/^\{"ready":true/m.test(text)) resolve(true);
      });
    });
    const first = await within(START_SECONDS, () => `parley up to be ready\n${this.explain()}`,
      Promise.race([ready, this.ended]));
    if (first !== true) throw new Error(`parley up ended (${JSON.stringify(first)})\n${this.explain()}`);
    this.readyMs = Number(process.hrtime.bigint() - began) / 1e6;
    if (this.options.isDemo !== false) this.readEnv();
    return this;
  }

  readEnv() {
    this.env = parseEnv(fs.readFileSync(path.join(this.dir, 'demo.env'), 'utf8'));
    this.graph?.close();
    this.graph = makeGraph(this.env);
  }

  /** SIGTERM; resolves with how it ended. */
  async stop(seconds = 30) {
    this.graph?.close();
    if (this.child === null) return null;
    const child = this.child;
    this.child = null;
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    return within(seconds, () => `parley up to end\n${this.explain()}`, this.ended);
  }

  /** SIGKILL to the whole process group. */
  async kill9() {
    const child = this.child;
    this.child = null;
    if (child === null) return;
    const members = groupMembers(child.pid);
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch { /* gone already */ }
    await within(10, 'the killed to be gone', this.ended);
    await untilAsked(10, 'the killed children to be gone', () => !members.some(isAlive));
  }

  async restart(moreArgs = []) {
    await this.stop();
    return this.start(moreArgs);
  }

  /** [{name, pid, state, restarts}] from the supervisor itself. */
  async programs() {
    const lines = await adminAsk(path.join(this.dir, 'parley.sock'), 'show programs');
    return lines.map((line) => {
      const [name, ...fields] = line.split(' ');
      const { pid, state, restarts } = Object.fromEntries(fields.map((field) => field.split('=')));
      return { name, pid: Number(pid), state, restarts: Number(restarts) };
    });
  }

  async pidOf(name) {
    const program = (await this.programs()).find((row) => row.name === name);
    return program && program.pid > 0 ? program.pid : null;
  }

  /** Until every program says that it serves. */
  untilReady(seconds = 60) {
    return untilAsked(seconds, () => `every program ready\n${this.explain()}`, async () => {
      const rows = await this.programs().catch(() => []);
      return rows.length > 0 && rows.every((row) => row.state === 'ready');
    });
  }

  /** Move platform time of every program; back when everything that became due is done. */
  async advance(seconds) {
    const done = await this.command('clock', 'advance', `${seconds}s`);
    if (done.code !== 0) throw new Error(`parley clock advance: exit ${done.code}: ${done.stderr}`);
  }

  /** Run `parley WORD…` against this platform. */
  async command(...words) {
    return runCommand(this.parley, [...words, '--data-dir', this.dir]);
  }

  async commandJson(...words) {
    const done = await this.command(...words, '--json');
    if (done.code !== 0) throw new Error(`parley ${words.join(' ')}: exit ${done.code}: ${done.stderr}`);
    return JSON.parse(done.stdout);
  }

  phone(...words) {
    return runPhone(this, words);
  }

  log(name) {
    try {
      return fs.readFileSync(path.join(this.dir, 'log', `${name}.log`), 'utf8');
    } catch {
      return '';
    }
  }

  /** What was said last, for a failing test's message. */
  explain(lines = 15) {
    const parts = [`--- ${this.dir}`, this.output.slice(-2000)];
    let names = [];
    try {
      names = fs.readdirSync(path.join(this.dir, 'log'));
    } catch { /* nothing was started */ }
    for (const name of names) {
      const tail = fs.readFileSync(path.join(this.dir, 'log', name), 'utf8').split('\n').slice(-lines).join('\n');
      parts.push(`--- ${name}`, tail);
    }
    return parts.join('\n');
  }

  /** Lines in which a sanitizer speaks: a program that went wrong and was started again, or did not end well. */
  sanitizerLines() {
    const logs = path.join(this.dir, 'log');
    return (fs.existsSync(logs) ? fs.readdirSync(logs) : []).flatMap((name) => fs.readFileSync(path.join(logs, name), 'utf8').split('\n')
      .filter((line) => /AddressSanitizer|LeakSanitizer|runtime error:|Assertion .* failed/.test(line))
      .map((line) => `${name}: ${line}`));
  }

  /** End whatever runs and remove the folder, unless it is wanted for a look. Fails on what sanitizers found. */
  async dispose(keep = false) {
    try {
      if (this.child !== null) await this.stop().catch(() => this.kill9());
      const found = this.sanitizerLines();
      if (found.length > 0) throw new Error(`${found.join('\n')}\n${this.explain(80)}`);
    } finally {
      this.graph?.close();
      if (keep) process.stderr.write(`# kept for a look: ${this.dir}\n`);
      else fs.rmSync(this.dir, { recursive: true, force: true });
    }
  }
}

/** A platform for the tests of one file: started before them, ended and removed after them. */
export function platformOfFile(options) {
  const platform = new Platform(options);
  before(() => platform.start());
  after(() => platform.dispose(process.env.PARLEY_TEST_KEEP === '1'));
  return platform;
}

/** A platform for one test. */
export async function platformOfTest(t, options) {
  const platform = new Platform(options);
  t.after(() => platform.dispose(process.env.PARLEY_TEST_KEEP === '1'));
  await platform.start();
  return platform;
}
