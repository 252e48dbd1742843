// A build that breaks one promise on purpose (option `mutant` of meson_options.txt), beside the build under
// test: what a fault test is worth is shown by its failing on this one.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { buildDir } from './command.js';

const PROGRAMS = ['parley', 'parley-cloud', 'parley-relay', 'parley-manager', 'parley-phone'];
const source = path.resolve(import.meta.dirname, '../../..');

function run(file, args) {
  const done = spawnSync(file, args, { cwd: source, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (done.status !== 0) throw new Error(`${file} ${args.join(' ')}: ${done.error ?? `${done.stdout}${done.stderr}`.slice(-3000)}`);
}

/** The mutant's build folder, made on first use. */
export function buildMutant(name) {
  const dir = path.join(path.dirname(buildDir), `mutant-${name}`);
  if (!fs.existsSync(path.join(dir, 'build.ninja'))) {
    run('meson', ['setup', dir, `-Dmutant=${name}`, '-Db_sanitize=none', '-Dtests=false']);
  }
  run('ninja', ['-C', dir, ...PROGRAMS]);
  return dir;
}
