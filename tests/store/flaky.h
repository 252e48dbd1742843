/* flaky.h - a back end that stands in front of another and fails at the n-th operation.
 *
 * For fault tests. Counted are the operations that may fail, on writing connections, from the
 * moment of flaky_arm. Thread rule: arm and read while no job is under way. */
#ifndef PARLEY_TESTS_STORE_FLAKY_H
#define PARLEY_TESTS_STORE_FLAKY_H

#include "store/backend.h"

enum flaky_op {
    FLAKY_BEGIN = 1,
    FLAKY_COMMIT = 2,
    FLAKY_ROLLBACK = 4,
    FLAKY_MARK = 8,
    FLAKY_STATEMENT = 16, /* run, query, next */
    FLAKY_TIDY = 32,
    FLAKY_ANY = 63
};

struct flaky {
    const struct backend_ops *real;
    unsigned ops;     /* which are counted */
    unsigned fail_at; /* 1: the first; 0: never */
    unsigned times;   /* how many in a row fail */
    enum rc with;
    bool does_it_first; /* carry the operation out, then say that it failed */
    unsigned seen, failed;
};

extern const struct backend_ops backend_flaky; /* its ctx is a struct flaky */

void flaky_arm(struct flaky *flaky, unsigned ops, unsigned fail_at, enum rc with);

#endif
