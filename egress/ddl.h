/*
 * ddl.h - the schema `tallyd` in the target: what tallyd remembers, and what plain SQL may watch.
 */
#ifndef EGRESS_DDL_H
#define EGRESS_DDL_H

#include <stdio.h>

struct pipeline;
struct postgres;

/* One script for the one who may create the schema: all that a start needs, given to `user`. */
void ddl_print(FILE *, const char *user);

enum ddl_state {
	DDL_ABSENT,  /* not all tables are there */
	DDL_EARLIER, /* they are, but as an earlier version of tallyd made them */
	DDL_PRESENT, /* all of it */
};

/*
 * What is there; -1 in *error on a failed statement. The table of dead letters counts only where the
 * pipeline writes some.
 */
enum ddl_state ddl_look(struct postgres *, const struct pipeline *, int *error);

/*
 * Create or add what is missing, in one transaction, under a lock that keeps two daemons apart.
 * Returns 0, or -1 with the connection's error (SQLSTATE 42501: not allowed).
 */
int ddl_create(struct postgres *);

/*
 * What to run, and by whom, when that is not allowed, or when tables that are there may not be
 * written: a sentence with the user's name. Heap.
 */
char *ddl_hint(const struct pipeline *, const struct postgres *, enum ddl_state);

#endif
