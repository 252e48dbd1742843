// Seeded choices: a run that fails is run again with PARLEY_TEST_SEED.

export const seedOfRun = () => Number(process.env.PARLEY_TEST_SEED ?? Date.now() % 1_000_000_000);

/** random() in [0, 1), the same sequence for the same seed (mulberry32). */
export function makeRandom(seed) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
  return {
    below: (bound) => Math.floor(random() * bound),
    between: (low, high) => low + Math.floor(random() * (high - low)),
    pick: (list) => list[Math.floor(random() * list.length)],
  };
}
