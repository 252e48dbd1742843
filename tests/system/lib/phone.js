// The customer's side: `parley phone …` as a person at a terminal runs it, answers in JSON.
import { runCommand } from './command.js';

/** {code, lines, stderr}: lines are the objects printed. */
export async function runPhone(platform, words, options) {
  const profile = words.includes('--profile') ? [] : ['--profile', platform.env?.PARLEY_CUSTOMER_PROFILE ?? 'customer'];
  const done = await runCommand(platform.parley,
    ['phone', ...words, ...profile, '--data-dir', platform.dir, '--json'], { seconds: 120, ...options });
  const lines = done.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  return { ...done, lines };
}

/** Lines of a command that must succeed. */
export async function phoneLines(platform, ...words) {
  const done = await runPhone(platform, words);
  if (done.code !== 0) throw new Error(`parley phone ${words.join(' ')}: exit ${done.code}: ${done.stderr}`);
  return done.lines;
}

/** What the person sees of these messages: Map of wamid -> how many lines show it. */
export async function shownCounts(platform, profile) {
  const counts = new Map();
  const words = profile === undefined ? ['inbox'] : ['inbox', '--profile', profile];
  for (const line of await phoneLines(platform, ...words)) {
    counts.set(line.id, (counts.get(line.id) ?? 0) + 1);
  }
  return counts;
}
