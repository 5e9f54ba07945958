/*
 * convert.h - one JSON value of a Debezium row -> one SQL value of the declared type.
 *
 * How a value is written depends on the connector's settings. With the schema block they are known:
 * a column has a message type there, and a table says which of these fit which declared type
 * (convert_table.c; README.md shows it). Bare JSON says nothing, so there the declared type and the
 * server's options decide (connector.h); where these are not given:
 *
 *   numeric(p,s), s > 0   a string with a point is a decimal (mode string), one without is base64
 *                         of an unscaled integer (mode precise): neither can look like the other
 *   numeric(p,0)          digits are a decimal, else base64; where both readings give a value of
 *                         p digits (four digits, say) the message is refused
 *   numeric               a decimal, or {"scale", "value"}; never plain base64, for its scale is
 *                         unknown
 *   time, timestamp       a number is milliseconds for a declared precision of 0 to 3, else
 *                         microseconds (mode adaptive)
 *   interval              a number is microseconds, a string ISO 8601
 *   bytea                 base64
 *
 * Exactness first: an integer out of its type's range, digits beyond a declared precision or
 * scale, text longer than declared, parts of a microsecond, dates that PostgreSQL does not have and NUL in text
 * are refused, never rounded. Infinite dates and timestamps are known by the impossible values that
 * the connector makes of them (convert_time.c).
 */
#ifndef CONVERT_H
#define CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/connector.h"
#include "common/json.h"
#include "common/pipeline.h"
#include "common/value.h"
#include "ingest/room.h"

enum shape_kind {
	SHAPE_UNKNOWN, /* bare JSON */
	SHAPE_INTEGER,
	SHAPE_FLOAT,
	SHAPE_BOOLEAN,
	SHAPE_STRING,
	SHAPE_BYTES,    /* base64 */
	SHAPE_DECIMAL,  /* base64, `scale` */
	SHAPE_VARIABLE, /* {"scale", "value": base64} */
	SHAPE_DAYS,
	SHAPE_MILLISECONDS,
	SHAPE_MICROSECONDS,
	SHAPE_NANOSECONDS,
	SHAPE_ISO,        /* a date, time or timestamp as a string */
	SHAPE_STRUCTURED, /* the same as an object */
	SHAPE_ARRAY,
	SHAPE_OTHER, /* no type of ours */
};

struct shape {                         /* how a column is written */
	enum shape_kind kind, element; /* element: of an array */
	int scale;                     /* of a DECIMAL or of an array of them */
	enum binary_mode binary;       /* how a string holds bytes; 0: not known */
};

/* A row of the table: how the schema block names a type, and what may be declared for it. */
struct message_type {
	const char *name; /* of the logical type; without one, of Connect's own type */
	enum shape_kind kind;
	uint32_t fits; /* one bit for each enum type */
};
_Static_assert(TYPE_COUNT <= 32, "a bit for each type");

/* The whole table, in the order in which README.md shows it. */
const struct message_type *convert_message_types(size_t *count);

/* The row of a type as the schema block describes it. Never NULL. */
const struct message_type *convert_message_type(struct slice name, struct slice type);

/* Whether a column of this declared type can be read from that message type. */
bool convert_fits(enum type, const struct message_type *);

/* What stands for an unchanged TOASTed value, in all the forms that the connector gives it. */
struct unavailable {
	const char *text; /* borrowed */
	size_t len;
	uint8_t uuid[16]; /* in an array of them */
};

/* `text` must not be empty. */
void unavailable_init(struct unavailable *, const char *text);

/* How bare JSON holds a column. */
struct shape convert_bare(const struct column *, const struct connector *);

struct convert { /* state of one message's conversion */
	const struct unavailable *unavailable;
	struct room *room; /* for what values are made of */
	char *text;        /* for unescaped strings: the message's length suffices */
	size_t text_size, text_used;
	char *error; /* the caller's */
	size_t error_size;
	bool failed; /* a sentence stands in error */
};

/* Write the sentence, unless there is one already. Always false. */
bool convert_fail(struct convert *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Printable excerpt of any bytes, at most 60 characters, NUL-terminated. Returns buf. */
#define EXCERPT_SIZE 64
const char *convert_excerpt(struct slice, char buf[EXCERPT_SIZE]);

/*
 * Take one value. What stands for an unchanged TOASTed value becomes VALUE_UNCHANGED. The value borrows the
 * message, the text or the room.
 * False when the message is refused: `failed` is set, or the scanner's own error.
 */
bool convert_value(struct convert *, struct json *, const struct column *, const struct shape *,
		   struct value *);

/*
 * The same of what json.h has already taken there: a whole number that is not negative, or a string,
 * unescaped. False also, without a sentence, where a scalar type is not written so at all.
 */
bool convert_whole(const struct column *, uint64_t n, struct value *);
bool convert_plain(struct convert *, const struct column *, const struct shape *, struct slice,
		   struct value *);

#endif
