/*
 * criterion.h - what the simulations of the unit tests say to Criterion, said to libFuzzer: a
 * statement that does not hold is a crash. Only on the include path of the fuzz variant.
 */
#ifndef FUZZ_CRITERION_H
#define FUZZ_CRITERION_H

#include "tests/fuzz/fuzz.h"

#define CR_FIRST(first, ...)          (first)
#define CR_SECOND(first, second, ...) ((first) == (second))
#define cr_assert(...)                FUZZ_CHECK(CR_FIRST(__VA_ARGS__, 0))
#define cr_assert_not(...)            FUZZ_CHECK(!(CR_FIRST(__VA_ARGS__, 0)))
#define cr_assert_eq(...)             FUZZ_CHECK(CR_SECOND(__VA_ARGS__, 0))

#endif
