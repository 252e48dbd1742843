/* field.c - arithmetic modulo p = 2^255 - 19 in five limbs of 51 bits.
 *
 * Limbs stay below 2^54 between operations, which fe_mul can take: 5 * 19 * 2^54 * 2^54 < 2^116. */
#include "crypto/field.h"

typedef unsigned __int128 u128; /* a product of two limbs; there is no standard name for it */

struct fe {
    uint64_t limb[5];
};

#define LIMB_MASK ((UINT64_C(1) << 51) - 1)

static uint64_t
load64(const uint8_t *in)
{
    uint64_t v = 0;

    for (int i = 7; i >= 0; i--)
        v = v << 8 | in[i];
    return v;
}

static struct fe
fe_load(const uint8_t in[32])
{
    struct fe a;

    a.limb[0] = load64(in) & LIMB_MASK;
    a.limb[1] = load64(in + 6) >> 3 & LIMB_MASK;
    a.limb[2] = load64(in + 12) >> 6 & LIMB_MASK;
    a.limb[3] = load64(in + 19) >> 1 & LIMB_MASK;
    a.limb[4] = load64(in + 24) >> 12 & LIMB_MASK; /* drops bit 255 */
    return a;
}

static struct fe
fe_carry(struct fe a)
{
    uint64_t c = 0;

    for (int i = 0; i < 5; i++) {
        a.limb[i] += c;
        c = a.limb[i] >> 51;
        a.limb[i] &= LIMB_MASK;
    }
    a.limb[0] += 19 * c;
    return a;
}

/* The representative below p, as 32 bytes. */
static void
fe_store(uint8_t out[32], struct fe a)
{
    struct fe t;
    uint64_t words[4];

    a = fe_carry(fe_carry(a)); /* below 2^255 now */
    t = a;
    t.limb[0] += 19; /* a + 19 >= 2^255 exactly when a >= p */
    for (int i = 0; i < 4; i++) {
        t.limb[i + 1] += t.limb[i] >> 51;
        t.limb[i] &= LIMB_MASK;
    }
    uint64_t is_over = 0 - (t.limb[4] >> 51);
    t.limb[4] &= LIMB_MASK;
    for (int i = 0; i < 5; i++)
        a.limb[i] = (t.limb[i] & is_over) | (a.limb[i] & ~is_over);
    words[0] = a.limb[0] | a.limb[1] << 51;
    words[1] = a.limb[1] >> 13 | a.limb[2] << 38;
    words[2] = a.limb[2] >> 26 | a.limb[3] << 25;
    words[3] = a.limb[3] >> 39 | a.limb[4] << 12;
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
}

static struct fe
fe_mul(struct fe a, struct fe b)
{
    const uint64_t *x = a.limb, *y = b.limb;
    /* 2^255 = 19: what would land above the top limb comes back 19-fold. */
    const uint64_t y1 = 19 * y[1], y2 = 19 * y[2], y3 = 19 * y[3], y4 = 19 * y[4];
    u128 r0 =
        (u128)x[0] * y[0] + (u128)x[1] * y4 + (u128)x[2] * y3 + (u128)x[3] * y2 + (u128)x[4] * y1;
    u128 r1 =
        (u128)x[0] * y[1] + (u128)x[1] * y[0] + (u128)x[2] * y4 + (u128)x[3] * y3 + (u128)x[4] * y2;
    u128 r2 = (u128)x[0] * y[2] + (u128)x[1] * y[1] + (u128)x[2] * y[0] + (u128)x[3] * y4 +
              (u128)x[4] * y3;
    u128 r3 = (u128)x[0] * y[3] + (u128)x[1] * y[2] + (u128)x[2] * y[1] + (u128)x[3] * y[0] +
              (u128)x[4] * y4;
    u128 r4 = (u128)x[0] * y[4] + (u128)x[1] * y[3] + (u128)x[2] * y[2] + (u128)x[3] * y[1] +
              (u128)x[4] * y[0];
    struct fe r;

    r1 += r0 >> 51;
    r2 += r1 >> 51;
    r3 += r2 >> 51;
    r4 += r3 >> 51;
    r0 = (r0 & LIMB_MASK) + 19 * (r4 >> 51); /* wider than a limb: carried once more */
    r.limb[0] = (uint64_t)r0 & LIMB_MASK;
    r.limb[1] = ((uint64_t)r1 & LIMB_MASK) + (uint64_t)(r0 >> 51);
    r.limb[2] = (uint64_t)r2 & LIMB_MASK;
    r.limb[3] = (uint64_t)r3 & LIMB_MASK;
    r.limb[4] = (uint64_t)r4 & LIMB_MASK;
    return r;
}

static struct fe
fe_square_times(struct fe a, int times)
{
    for (int i = 0; i < times; i++)
        a = fe_mul(a, a);
    return a;
}

/* a^(p-2), which is 1/a, and 0 for 0. p - 2 = 2^255 - 21: 250 ones, then 01011. */
static struct fe
fe_invert(struct fe a)
{
    struct fe a2 = fe_mul(a, a);
    struct fe a9 = fe_mul(fe_square_times(a2, 2), a);
    struct fe a11 = fe_mul(a9, a2);
    struct fe ones5 = fe_mul(fe_mul(a11, a11), a9); /* ones_n = a^(2^n - 1) */
    struct fe ones10 = fe_mul(fe_square_times(ones5, 5), ones5);
    struct fe ones20 = fe_mul(fe_square_times(ones10, 10), ones10);
    struct fe ones40 = fe_mul(fe_square_times(ones20, 20), ones20);
    struct fe ones50 = fe_mul(fe_square_times(ones40, 10), ones10);
    struct fe ones100 = fe_mul(fe_square_times(ones50, 50), ones50);
    struct fe ones200 = fe_mul(fe_square_times(ones100, 100), ones100);
    struct fe ones250 = fe_mul(fe_square_times(ones200, 50), ones50);

    return fe_mul(fe_square_times(ones250, 5), a11);
}

void
field_edwards_y(uint8_t y[32], const uint8_t u[32])
{
    struct fe point = fe_load(u);
    struct fe below = point, above = point;

    above.limb[0] += 1;
    below.limb[0] += 2 * LIMB_MASK - 37; /* + 2p - 1, so that no limb goes below zero */
    for (int i = 1; i < 5; i++)
        below.limb[i] += 2 * LIMB_MASK;
    fe_store(y, fe_mul(fe_carry(below), fe_invert(above)));
}
