/*
 * types_test.h - what the files of the egress tests share.
 */
#ifndef TESTS_EGRESS_TYPES_TEST_H
#define TESTS_EGRESS_TYPES_TEST_H

#include "common/pipeline.h"
#include "tests/egress/harness.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define TEXT(s)   ((char *)(uintptr_t)(s)) /* a literal where a field is not const */

/* A pipeline with a new name, and its tables `totals` and `others`, empty. */
struct pipeline pipeline_totals(unsigned views);

/* Starts egress, `alone` as the supervisor says it, and expects it to be ready. */
void start_ready(struct harness *, bool alone);
void open_ready(struct harness *, struct pipeline *); /* of a new tallyd */

/* Starts it, and expects it to give up with this code and this text; in `check` too. */
void expect_refusal(struct pipeline *, int code, const char *text);

/* The script of `check --ddl`: psql, as the owner, takes it without a word. */
void run_script(struct harness *);

/* The batch with the next number: `rows` of them with key = its number and totals 1, 2, ... */
bool feed_rows(struct harness *, unsigned rows);
bool feed(struct harness *, unsigned rows); /* and its end */

/* Expects this batch in the target, in 10 s at most. */
void expect_durable(struct harness *, uint64_t batch);

/* Expects every batch of feed() to be there whole and once; see egress_test.c. */
void expect_batches(const char *test, const unsigned *rows, unsigned count);

void test_check(void);
void test_letters(void);
void test_letter_bytes(void);
void test_letter_faults(void);
void test_letter_table(void);
void test_refusals(void);
void test_privileges(void);
void test_ddl(void);
void test_checkpoint(void);
void test_idle(void);
void test_checkpoint_image(void);
void test_checkpoint_missing(void);
void test_checkpoint_faults(void);
void test_checkpoint_edited(void);
void test_checkpoint_memory(void);
void test_upgrade(void);
void test_view_live(void);
void test_view_gone(void);
void test_rebuild(void);
void test_view_faults(void);
void test_edited(void);
void test_adopted(void);
void test_drop(void);
void test_types(void);
void test_same_table(void);
void test_connect_timeout(void);
void test_servers(void);
void test_names(void);
void test_own_tables(void);

#endif
