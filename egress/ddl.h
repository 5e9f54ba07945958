/*
 * ddl.h - the schema `tallyd` in the target: what tallyd remembers, and what plain SQL may watch.
 */
#ifndef EGRESS_DDL_H
#define EGRESS_DDL_H

#include <stdbool.h>
#include <stdio.h>

struct postgres;

/* One script for the one who may create the schema: all that a start needs, given to `user`. */
void ddl_print(FILE *, const char *user);

/* True when every table and the view are there; -1 in *error on a failed statement. */
bool ddl_present(struct postgres *, int *error);

/*
 * Create what is missing, in one transaction, under a lock that keeps two daemons apart.
 * Returns 0, or -1 with the connection's error (SQLSTATE 42501: not allowed).
 */
int ddl_create(struct postgres *);

/* What to run, and by whom, when it is not allowed: a sentence with the user's name. Heap. */
char *ddl_hint(const struct postgres *);

#endif
