/*
 * order_record.h - what an order shows, END by END, and whether one that begins at the position of
 * any of them shows the same from there on.
 */
#ifndef ORDER_RECORD_H
#define ORDER_RECORD_H

#include "tests/unit/order_sim.h"

#define RECORD_PARTITIONS 8

struct record_end {
	struct partition_position at[RECORD_PARTITIONS];
	struct transaction_position tx;
	uint64_t applied; /* hash of all that stands */
	uint64_t repeats; /* hash of the repeats dropped so far */
	unsigned shown;   /* states so far */
};

struct record {
	struct record_end *ends;
	unsigned count;
	uint64_t *shown; /* states, each different from the one before */
	unsigned shown_count;
	uint64_t applied, read, repeats;
	uint64_t at_cut, repeats_at_cut;
	bool cut;
};

/* Run `sim` to its end, with all of its logs from their starts, and write down what it shows. */
void record_run(struct record *, struct sim *);
void record_free(struct record *);

/*
 * Run it again from END number `from`, first replaying up to END number `durable` (which may be the
 * same). Eager sims must show the very same states, others come to the same in the end.
 */
void record_compare(const struct record *, struct sim *, unsigned from, unsigned durable,
		    const char *what, uint64_t seed);

#endif
