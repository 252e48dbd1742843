// The npm client in its own process (clients/great_detail.js), called like functions.
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { cleanEnv } from './command.js';
import { within } from './wait.js';

const script = path.join(path.dirname(fileURLToPath(import.meta.url)), '../clients/great_detail.js');

export function startGreatDetail(t, env, { token = env.PARLEY_TOKEN, url = env.PARLEY_URL } = {}) {
  const child = spawn(process.execPath, [script], {
    env: cleanEnv({ GRAPH_URL: url, GRAPH_TOKEN: token, NODE_EXTRA_CA_CERTS: env.PARLEY_CA_FILE }),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const answers = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  t.after(() => child.stdin.end());
  /** {ok} or {error: {status, body}} */
  return async (group, method, options) => {
    child.stdin.write(`${JSON.stringify({ group, method, options })}\n`);
    const { value, done } = await within(60, `${group}.${method} to answer`, answers.next());
    if (done) throw new Error('the client ended');
    return JSON.parse(value);
  };
}
