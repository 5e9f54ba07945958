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

struct enumeration;

enum encode_type { /* of a target column; a domain counts as what it is over */
		   ENCODE_INT2,
		   ENCODE_INT4,
		   ENCODE_INT8,
		   ENCODE_FLOAT4,
		   ENCODE_FLOAT8,
		   ENCODE_NUMERIC,
		   ENCODE_MONEY,
		   ENCODE_TEXT,
		   ENCODE_VARCHAR,
		   ENCODE_CHAR,
		   ENCODE_BYTEA,
		   ENCODE_UUID,
		   ENCODE_BOOL,
		   ENCODE_DATE,
		   ENCODE_TIME,
		   ENCODE_TIMESTAMP,
		   ENCODE_TIMESTAMPTZ,
		   ENCODE_INTERVAL,
		   ENCODE_JSONB,
		   ENCODE_INET,
		   ENCODE_ENUM, /* each has an OID of its own */
};
#define ENCODE_TYPE_COUNT (ENCODE_ENUM + 1)

struct encode_column {         /* where the results of one output go */
	enum encode_type type; /* of an array: of its elements, and so with the others below */
	enum type source;      /* of the results */
	bool array;            /* on both sides */
	bool finite;           /* a numeric that holds no infinity */
	unsigned limit;        /* varchar(n), char(n): n characters; 0: none */
	uint32_t oid;          /* that the server expects: an enum's, a domain's within an array */
	const struct enumeration *enumeration; /* whose labels an enum's results are; borrowed */
	char *sql; /* the type in SQL, without modifiers; owned by whoever fills it */
};

struct encode_buffer { /* grows, keeps its memory; zero-initialised is empty */
	uint8_t *data;
	size_t len, size;
};

enum encode_result {
	ENCODE_OK,
	ENCODE_RANGE,    /* the column's type cannot hold the value */
	ENCODE_TOO_LONG, /* more characters than varchar(n) or char(n) */
	ENCODE_CORRUPT,  /* no value of its type: whoever sent it is broken */
};

/*
 * By the OID of pg_type; false for a type that no result can go into, and for enums, which have no
 * OID that is known before. Names are static.
 */
bool encode_type_of(uint32_t oid, enum encode_type *);
uint32_t encode_oid(enum encode_type);
const char *encode_type_name(enum encode_type); /* SQL name, without length or precision */
bool encode_is_text(enum encode_type);          /* text, varchar and char */

/* True when results of this type (no array) may go into such a column, exactly or not. */
bool encode_accepts(enum encode_type, enum type);

void encode_clear(struct encode_buffer *);
void encode_free(struct encode_buffer *);
void encode_int16(struct encode_buffer *, int16_t);
void encode_int32(struct encode_buffer *, int32_t);
void encode_bytes(struct encode_buffer *, const void *, size_t);

/*
 * Append length word and value; NULL is length -1. Decimals are rounded half away from zero into
 * integer columns and to nearest into float columns; floats go into numeric as the shortest decimal
 * that reads back as them; enums, uuids and jsonb into texts as what PostgreSQL shows of them.
 * Unless ENCODE_OK nothing is appended.
 */
enum encode_result encode_value(struct encode_buffer *, const struct encode_column *,
				const struct value *);
void encode_integer(struct encode_buffer *, enum encode_type, int64_t); /* must fit */

/*
 * A one-dimensional array in binary form: begin with the OID of its elements, then the elements by
 * encode_value(), then end, which fills the count into the header. Empty arrays are not supported.
 */
void encode_array_begin(struct encode_buffer *, uint32_t oid);
void encode_array_end(struct encode_buffer *, uint32_t count);

/* Text of a value for a message, cut short; returns buf. */
#define ENCODE_DESCRIBE_MAX 48
const char *encode_describe(const struct encode_column *, const struct value *,
			    char buf[ENCODE_DESCRIBE_MAX]);

#endif
