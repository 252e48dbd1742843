// Waiting with a limit. Nothing here sleeps and hopes: a wait ends when the thing waited for is there,
// and says what was missing when it is not.
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

// Sanitizers and a shared machine make everything slower; PARLEY_TEST_SLOWNESS stretches every limit.
const slowness = Number(process.env.PARLEY_TEST_SLOWNESS ?? 1);

export const limitMs = (seconds) => seconds * 1000 * slowness;

/** The promise, or an error that names what did not happen within `seconds`. */
export function within(seconds, what, promise) {
  let timer;
  const limit = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${seconds} s: ${typeof what === 'function' ? what() : what}`)), limitMs(seconds));
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

/** The first truthy value of look(), asked again at every `event` of emitter. */
export function untilEvent(emitter, event, seconds, what, look) {
  const stop = new AbortController();
  const run = async () => {
    for (;;) {
      const value = look();
      if (value) return value;
      await once(emitter, event, { signal: stop.signal });
    }
  };
  return within(seconds, what, run()).finally(() => stop.abort());
}

/** The first truthy value of the asynchronous look(). For what can only be asked, not listened to. */
export async function untilAsked(seconds, what, look) {
  const end = Date.now() + limitMs(seconds);
  for (;;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${typeof what === 'function' ? what() : what}`);
    await pause(25);
  }
}

/** fn over all items, at most `width` at once; results in order. */
export async function inParallel(width, items, fn) {
  const results = new Array(items.length);
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await fn(items[i], i);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, work));
  return results;
}
