/*
 * place.h - where an event stands in the source's log: the members "source" and "transaction" of an
 * envelope (change-event values of Debezium's PostgreSQL connector, 1.4 to 3.x).
 */
#ifndef PLACE_H
#define PLACE_H

#include "common/json.h"
#include "ingest/debezium.h"
#include "ingest/form.h"

/*
 * Take the object "source", or null. Returns the name of a member that every event of its version
 * has and this one lacks, or NULL; what cannot be read is the scanner's error. The lesson (NULL: none)
 * notes where the members stand.
 */
const char *place_read_source(struct json *, struct event_place *, struct lesson *);

/* Take the object "transaction", or null. */
void place_read_transaction(struct json *, struct event_place *, struct lesson *);

/* Take the value of one member of either. False when the event lacks it all the same. */
bool place_take(struct json *, enum slot_kind, struct event_place *);

/*
 * source.sequence at s as the connector writes it, with two numbers, each quote inside with its
 * backslash: behind it. NULL when it is something else: then nothing is taken.
 */
const char *place_glance_sequence(const char *s, const char *end, struct event_place *);

#endif
