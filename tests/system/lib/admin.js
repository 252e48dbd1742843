// A program's administration socket: one line in, lines out, "." at the end (docs/operating.md).
import net from 'node:net';
import { within } from './wait.js';

/** The answer's lines. Throws what the program called an error, or that nobody listens. */
export function adminAsk(path, line, seconds = 10) {
  const ask = new Promise((resolve, reject) => {
    const socket = net.connect(path);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('error', reject);
    socket.on('connect', () => socket.write(`${line}\n`));
    socket.on('data', (part) => {
      text += part;
      if (text !== '.\n' && !text.endsWith('\n.\n')) return;
      socket.destroy();
      const lines = text.split('\n').slice(0, -2);
      if (lines[0]?.startsWith('error ')) reject(new Error(`${line}: ${lines[0]}`));
      else resolve(lines);
    });
    socket.on('end', () => reject(new Error(`${line}: the answer was cut short`)));
  });
  return within(seconds, `an answer to "${line}" at ${path}`, ask);
}
