/* samples.h - one legal frame of every kind, for the tests of wire and its fuzzer's corpus.
 *
 * Each sample fills what a real sender fills. They are static: a test that breaks a field works on
 * an unpacked copy. */
#ifndef PARLEY_TESTS_WIRE_SAMPLES_H
#define PARLEY_TESTS_WIRE_SAMPLES_H

#include "wire/wire.h"

/* The kinds in the order of the schema. */
extern const Parley__Wire__Frame *const wire_samples[];
extern const size_t wire_samples_count;
extern const Parley__Wire__Notice wire_sample_notice;

#endif
