// Running our programs: which build, in what environment, and what they said.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { within } from './wait.js';

const here = path.dirname(fileURLToPath(import.meta.url));

export const buildDir = path.resolve(process.env.PARLEY_BUILD_DIR ?? path.join(here, '../../../build/debug'));

/** The environment without settings of the caller's own. */
export function cleanEnv(extra = {}) {
  const env = { ...process.env, ...extra };
  for (const name of Object.keys(env)) {
    if (name.startsWith('PARLEY_') && !(name in extra)) delete env[name];
  }
  return env;
}

/** {code, signal, stdout, stderr} of a program that ends by itself. */
export function runCommand(file, args, { seconds = 60, env, input } = {}) {
  const child = spawn(file, args, { env: cleanEnv(env), stdio: ['pipe', 'pipe', 'pipe'] });
  const done = { stdout: '', stderr: '' };
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  child.stdout.on('data', (part) => { done.stdout += part; });
  child.stderr.on('data', (part) => { done.stderr += part; });
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ ...done, code, signal }));
  });
  return within(seconds, () => `${path.basename(file)} ${args.join(' ')} to end\n${done.stderr}`, ended)
    .catch((error) => {
      child.kill('SIGKILL');
      throw error;
    });
}
