/*
 * convert.h - one JSON value of a Debezium row -> one SQL value of the declared type.
 *
 * How a value is written depends on the connector's settings. With the schema block they are known
 * (struct shape); bare JSON says nothing, so there the declared type decides:
 *
 *   numeric(p,s), s > 0   a string with a point is a decimal (mode string), one without is base64
 *                         of an unscaled integer (mode precise): neither can look like the other
 *   numeric(p,0)          digits are a decimal, else base64; where both readings give a value of
 *                         p digits (four digits, say) the message is refused
 *   numeric               a decimal, or {"scale", "value"}; never plain base64, for its scale is
 *                         unknown
 *   timestamp             a number is microseconds (MicroTimestamp: PostgreSQL's timestamp and
 *                         timestamp(4..6) in the default mode). timestamp(0..3) and
 *                         time.precision.mode=connect send milliseconds, which bare JSON does not
 *                         show: such columns need the schema block
 *   timestamptz           an ISO 8601 string
 *
 * Exactness first: an integer out of its type's range, digits beyond a declared precision or
 * scale, NaN and infinite numerics, nanoseconds and NUL in text are refused, never rounded.
 */
#ifndef CONVERT_H
#define CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "common/pipeline.h"
#include "common/value.h"

enum shape_kind {
	SHAPE_UNKNOWN, /* bare JSON */
	SHAPE_INTEGER,
	SHAPE_FLOAT,
	SHAPE_BOOLEAN,
	SHAPE_STRING,
	SHAPE_DECIMAL,  /* base64, `scale` */
	SHAPE_VARIABLE, /* {"scale", "value": base64} */
	SHAPE_MILLISECONDS,
	SHAPE_MICROSECONDS,
	SHAPE_NANOSECONDS,
	SHAPE_ISO_LOCAL, /* string, without zone */
	SHAPE_ISO_ZONED, /* string, UTC */
	SHAPE_OTHER,     /* bytes, arrays, structs, dates: no type of ours */
};

struct shape { /* how the schema block says that a column is written */
	enum shape_kind kind;
	int scale; /* SHAPE_DECIMAL */
};

/* Room for one converted number, beside the unescaped text of the message itself. */
#define CONVERT_ROOM 1200

struct convert { /* state of one message's conversion */
	char *
	    room; /* for unescaped text and canonical decimals: the message's length and CONVERT_ROOM
	               a numeric value always suffice */
	size_t size, used;
	char *error; /* the caller's */
	size_t error_size;
	bool failed; /* a sentence stands in error */
};

/* Write the sentence, unless there is one already. Always false. */
bool convert_fail(struct convert *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Printable excerpt of any bytes, at most 60 characters, NUL-terminated. Returns buf. */
#define EXCERPT_SIZE 64
const char *convert_excerpt(struct slice, char buf[EXCERPT_SIZE]);

/* Whether a column of this type can be read from that shape. */
bool convert_fits(enum type, enum shape_kind);

/*
 * Take one value. Text equal to Debezium's placeholder of an unchanged TOASTed value becomes
 * VALUE_UNCHANGED. The value borrows the message or the room.
 * False when the message is refused: `failed` is set, or the scanner's own error.
 */
bool convert_value(struct convert *, struct json *, const struct column *, const struct shape *,
		   struct value *);

#endif
