/*
 * types_test.h - what the two files of the egress tests share.
 */
#ifndef TESTS_EGRESS_TYPES_TEST_H
#define TESTS_EGRESS_TYPES_TEST_H

#include "common/pipeline.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define TEXT(s)   ((char *)(uintptr_t)(s)) /* a literal where a field is not const */

/* A pipeline with a new name, and its tables `totals` and `others`, empty. */
struct pipeline pipeline_totals(unsigned views);

void test_types(void);

#endif
