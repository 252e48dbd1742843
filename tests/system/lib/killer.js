// SIGKILL at random moments, from a seed: one program, or everything at once.
import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

const NAMES = ['cloud', 'relay', 'phone', 'manager'];

export class Killer extends EventEmitter {
  /** allEvery: every so many kills the whole platform dies and is started again. */
  constructor(platform, random, { kills, shortestMs = 50, longestMs = 900, allEvery = 10 }) {
    super();
    Object.assign(this, { platform, random, wanted: kills, shortestMs, longestMs, allEvery });
    this.setMaxListeners(0);
    this.counts = new Map();
    this.kills = 0;
  }

  #count(name) {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    this.kills++;
    this.emit('kill');
  }

  async #killOne() {
    const name = this.random.pick(NAMES);
    const pid = await this.platform.pidOf(name);
    if (!pid) return; // between two lives; another moment
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      return;
    }
    this.#count(name);
  }

  async #killAll() {
    const names = (await this.platform.programs()).filter((row) => row.pid > 0).map((row) => row.name);
    await this.platform.kill9();
    for (const name of names) this.#count(name);
    this.#count('supervisor');
    await this.platform.start();
  }

  async run() {
    let nextAll = this.allEvery;
    while (this.kills < this.wanted) {
      await pause(this.random.between(this.shortestMs, this.longestMs));
      if (this.kills >= nextAll) {
        nextAll = this.kills + NAMES.length + 1 + this.allEvery;
        await this.#killAll();
      } else {
        await this.#killOne();
      }
    }
    return this;
  }

  describe() {
    return [...this.counts].map(([name, n]) => `${name} ${n}`).join(', ');
  }
}
