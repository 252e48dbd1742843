/* cppcheck.h - what the static analyser must know of libraries whose headers it does not read. */
#define HASH_ITER(hh, head, el, tmp) for ((el) = (head), (tmp) = (head); (el); (el) = (tmp))
