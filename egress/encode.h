/*
 * encode.h - values of a batch in PostgreSQL's binary forms.
 *
 * One encoder for both ways into a table: the fields of binary COPY and the elements of a binary
 * array are the same bytes (a length word, then what the type's receive function reads), so a row
 * cannot differ by the way it took. Knows nothing of connections.
 */
#ifndef EGRESS_ENCODE_H
#define EGRESS_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/value.h"

enum encode_type { /* of a target column; a domain counts as what it is over */
		   ENCODE_INT2,
		   ENCODE_INT4,
		   ENCODE_INT8,
		   ENCODE_FLOAT4,
		   ENCODE_FLOAT8,
		   ENCODE_NUMERIC,
		   ENCODE_TEXT,
		   ENCODE_VARCHAR,
		   ENCODE_BOOL,
		   ENCODE_TIMESTAMP,
		   ENCODE_TIMESTAMPTZ,
};
#define ENCODE_TYPE_COUNT (ENCODE_TIMESTAMPTZ + 1)

struct encode_column {
	enum encode_type type;
	unsigned limit; /* varchar(n): n characters; 0: none */
};

struct encode_buffer { /* grows, keeps its memory; zero-initialised is empty */
	uint8_t *data;
	size_t len, size;
};

enum encode_result {
	ENCODE_OK,
	ENCODE_RANGE,    /* the column's type cannot hold the value */
	ENCODE_TOO_LONG, /* more characters than varchar(n) */
};

/* By the OID of pg_type; false for a type that no result can go into. Names are static. */
bool encode_type_of(uint32_t oid, enum encode_type *);
uint32_t encode_oid(enum encode_type);
const char *encode_type_name(enum encode_type); /* SQL name, without length or precision */

/* True when results of this type may go into such a column, exactly or not. */
bool encode_accepts(enum encode_type, enum type);

void encode_clear(struct encode_buffer *);
void encode_free(struct encode_buffer *);
void encode_int16(struct encode_buffer *, int16_t);
void encode_int32(struct encode_buffer *, int32_t);
void encode_bytes(struct encode_buffer *, const void *, size_t);

/*
 * Append length word and value; NULL is length -1. Decimals are rounded half away from zero into
 * integer columns and to nearest into float columns. Unless ENCODE_OK nothing is appended.
 */
enum encode_result encode_value(struct encode_buffer *, const struct encode_column *,
				const struct value *);
void encode_integer(struct encode_buffer *, enum encode_type, int64_t); /* must fit */

/*
 * A one-dimensional array in binary form: begin, then the elements by encode_value(), then end,
 * which fills the count into the header. Empty arrays are not supported.
 */
void encode_array_begin(struct encode_buffer *, enum encode_type);
void encode_array_end(struct encode_buffer *, uint32_t count);

/* Text of a value for a message, cut short; returns buf. */
const char *encode_describe(const struct value *, char *buf, size_t size);

#endif
