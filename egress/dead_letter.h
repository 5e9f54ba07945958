/*
 * dead_letter.h - messages that could not be used, into tallyd.dead_letter: a row for each, in the
 * transaction of its batch.
 */
#ifndef EGRESS_DEAD_LETTER_H
#define EGRESS_DEAD_LETTER_H

#include <stdint.h>

struct letter;
struct pipeline;
struct stream;

#define DEAD_LETTER_INTO                                                                           \
	"tallyd.dead_letter (pipeline, topic, partition, \"offset\", key, value, reason, "         \
	"\"time\","                                                                                \
	" source_time, key_bytes, value_bytes)" /* of the stream of letters */

/* One row more into the stream, which is open on DEAD_LETTER_INTO. Of a table that exists. */
void dead_letter_put(struct stream *, const struct pipeline *, const struct letter *,
		     uint64_t time);

#endif
