/*
 * produce_shape.h - the messages of the bench, as the PostgreSQL connector 3.7 writes them with
 * decimal.handling.mode string: their text, and nothing of where they go.
 *
 * values: one integer column, no key. orders, payments: keyed, a group column `customer_id`, a price.
 * What a row holds follows from its key and from the number of the event that wrote it, so the rows at
 * the end can be printed without having been kept.
 */
#ifndef TESTS_BENCH_PRODUCE_SHAPE_H
#define TESTS_BENCH_PRODUCE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

enum shape { SHAPE_VALUES, SHAPE_ORDERS, SHAPE_PAYMENTS };

#define SHAPES            3
#define SHAPE_MESSAGE_MAX (8 * 1024)
#define SHAPE_KEY_MAX     512

struct shape_settings {
	bool schema, transactions; /* the schema block; a transaction block */
	long long groups;          /* values of customer_id */
};

struct shape_place { /* where the source's log stands */
	unsigned long long xid, lsn, sequence;
	long long total_order, order[SHAPES]; /* within the transaction; order[] for each table */
	long long now_ms;
};

struct shape_change {
	enum shape shape;
	char op; /* c, u, d */
	long long key, number;
};

extern const char *const shape_names[SHAPES]; /* of the tables, without public. */

/* To be called once, before any other. */
void shape_init(const struct shape_settings *);

/* A number that looks random and depends on nothing but its argument. */
unsigned long long shape_mix(unsigned long long);

/* A message's value and key, and their lengths; no key: -1. Room: SHAPE_MESSAGE_MAX, SHAPE_KEY_MAX. */
int shape_value(char *buf, const struct shape_change *, const struct shape_place *);
int shape_key(char *buf, const struct shape_change *);

/* BEGIN or END of a transaction, its key likewise, within SHAPE_KEY_MAX each. */
int shape_mark(char *buf, const struct shape_place *, bool end);
int shape_mark_key(char *buf, const struct shape_place *);

/* The row as a line of CSV, in the order of the table's columns. */
int shape_csv(char *buf, enum shape, long long key, long long number);

#endif
