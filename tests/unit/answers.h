/*
 * answers.h - tables of PostgreSQL's own answers, tests/data/postgres/NAME: one case a line, fields
 * with tabs between.
 */
#ifndef ANSWERS_H
#define ANSWERS_H

/* Call `check` with the fields of each line that is no comment; returns how many there were. */
unsigned answers_each(const char *name, unsigned fields, void (*check)(char **field));

#endif
