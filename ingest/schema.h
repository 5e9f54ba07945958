/*
 * schema.h - the schema block that Kafka Connect's JsonConverter puts before each payload.
 *
 * It repeats byte for byte, so the last one is kept and recognised by its bytes; a new one is read
 * once, for how each wanted column is written.
 */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "common/pipeline.h"
#include "ingest/convert.h"

#define KEY_ROOM 384 /* a name of 63 bytes in which all is escaped */

struct schema {
	const struct column *const *columns; /* wanted, borrowed */
	unsigned count;
	const char *row;    /* the member that describes a row ("after"); NULL: the block itself */
	struct shape *bare; /* of each wanted column, without a block */
	struct shape *shapes; /* the same by the last block; without one as bare */
	char *bytes;          /* the last block */
	size_t len, size;
	uint64_t skipped;    /* how often it was recognised */
	uint64_t generation; /* grows whenever the shapes may change */
	const char *message; /* that is being read; borrowed for errors */
};

void schema_init(struct schema *, const struct column *const *columns, unsigned count,
		 const char *row);
void schema_fini(struct schema *);

/* How the connector writes bare JSON; to be called once the columns are set. Forgets the last block. */
void schema_follow(struct schema *, const struct connector *);

/* Take the block that comes next (an object or null). False when the message is refused. */
bool schema_take(struct schema *, struct convert *, struct json *);

/* The message has no block: forget the last one. */
void schema_forget(struct schema *);

#endif
