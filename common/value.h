/*
 * value.h - one SQL value, borrowed, and the column types that tallyd knows.
 *
 * A value never owns its bytes: what points to bytes points into a message, a ring record or a kept
 * row and is valid as long as those are. The type of a column decides the kind of its values:
 *
 *   SMALLINT, INTEGER, BIGINT     VALUE_INT
 *   MONEY                         VALUE_INT: hundredths
 *   DATE                          VALUE_INT: days since 1970-01-01; INT64_MAX and INT64_MIN are
 *                                 the infinities
 *   TIME                          VALUE_INT: microseconds since midnight, 24:00:00 included
 *   TIMESTAMP, TIMESTAMPTZ        VALUE_INT: microseconds since 1970-01-01 (UTC for the latter);
 *                                 infinities as above
 *   ENUM                          VALUE_INT: place among the labels, from 0 (pipeline.h)
 *   BOOLEAN                       VALUE_BOOL, i is 0 or 1
 *   REAL, DOUBLE                  VALUE_FLOAT; NaN and infinities included; a real is a float's value
 *   NUMERIC                       VALUE_DECIMAL: canonical decimal text (decimal.h), NaN, Infinity
 *   TEXT, VARCHAR, JSON           VALUE_TEXT: UTF-8, no NUL byte
 *   CHAR                          VALUE_TEXT without the blanks at its end, which mean nothing
 *   JSONB                         VALUE_TEXT in canonical form (jsonb.h): equal documents are equal
 *                                 bytes
 *   BYTEA                         VALUE_BYTES
 *   UUID                          VALUE_BYTES, 16
 *   INET                          VALUE_INET: inet.h
 *   INTERVAL                      VALUE_INTERVAL: interval.h
 *   ARRAY                         VALUE_ARRAY: array.h
 */
#ifndef VALUE_H
#define VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack;
struct unpack;

enum type {
	TYPE_SMALLINT,
	TYPE_INTEGER,
	TYPE_BIGINT,
	TYPE_NUMERIC,
	TYPE_REAL,
	TYPE_DOUBLE,
	TYPE_MONEY,
	TYPE_TEXT,
	TYPE_VARCHAR,
	TYPE_CHAR,
	TYPE_BYTEA,
	TYPE_UUID,
	TYPE_BOOLEAN,
	TYPE_DATE,
	TYPE_TIME,
	TYPE_TIMESTAMP,
	TYPE_TIMESTAMPTZ,
	TYPE_INTERVAL,
	TYPE_JSON,
	TYPE_JSONB,
	TYPE_INET,
	TYPE_ENUM,
	TYPE_ARRAY,
};
#define TYPE_COUNT (TYPE_ARRAY + 1)

enum value_kind {
	VALUE_NULL,
	VALUE_INT,
	VALUE_BOOL,
	VALUE_FLOAT,
	VALUE_DECIMAL, /* from here on s and len are meant */
	VALUE_TEXT,
	VALUE_BYTES,
	VALUE_INET,
	VALUE_INTERVAL,
	VALUE_ARRAY,
	VALUE_UNCHANGED, /* a TOASTed column that Debezium did not send: keep the row's own */
};

struct value {
	enum value_kind kind;
	uint32_t len; /* bytes at s */
	union {
		int64_t i;
		double d;
		const char *s; /* not NUL-terminated */
	};
};

/* PostgreSQL's name of a type ("integer", "timestamp with time zone", ...). Static. */
const char *type_name(enum type);

/* The kind of a type's values. */
enum value_kind type_kind(enum type);

/* The integers, numeric, and the floating-point types: compared with each other by value. */
bool type_is_number(enum type);
bool type_is_integer(enum type);
bool type_is_float(enum type);

/* text, varchar and char: ordered by a collation. */
bool type_is_text(enum type);

/* Whether PostgreSQL has an equality for it (all but json), and a min() and max(). */
bool type_has_equality(enum type);
bool type_has_extremes(enum type);

/* Whether its values may be compared by < here: not json, jsonb and arrays. */
bool type_has_order(enum type);

/* Whether values of both may be compared with each other: the same type, numbers, or text and varchar. */
bool type_is_comparable(enum type, enum type);

/* Whether s and len are meant. */
static inline bool
value_has_bytes(const struct value *v)
{
	return v->kind >= VALUE_DECIMAL && v->kind <= VALUE_ARRAY;
}

/*
 * Order of two values that are not NULL, of one type, or both of number types (then by value, as
 * double precision when one is a float, as in PostgreSQL). Text compares by bytes, which is the
 * order of collation "C"; NaN is greater than all numbers and equal to itself. Arrays are only
 * equal or not. Returns <0, 0 or >0.
 */
int value_compare(const struct value *, const struct value *);

/*
 * The same, and values that are equal but not the same (1.0 and 1.00, 0 and -0, 1 month and 30 days) have
 * an order too.
 */
int value_compare_exact(const struct value *, const struct value *);

/*
 * A number that orders values of one type roughly, as an abbreviated key: where a is before b by
 * value_compare_exact(), the rank of a is not greater than that of b. Of VALUE_INT it is the value itself.
 */
int64_t value_rank(const struct value *);

/*
 * The one value that stands for all that are equal to it: equal values become equal bytes when they
 * are packed. buf holds VALUE_NORMAL_ROOM bytes and may be borrowed by the result.
 */
#define VALUE_NORMAL_ROOM 16
struct value value_normal(const struct value *, char *buf);

/* Hash that agrees with value_compare() == 0 within a type; NULL has a hash too. */
uint64_t value_hash(const struct value *, uint64_t seed);
uint64_t value_hash_bytes(const void *, size_t len, uint64_t seed);

/*
 * Read a SQL literal's text as PostgreSQL's input function of the type would (a documented subset
 * for dates and times: ISO 8601 with an optional zone, 'infinity', '-infinity'; timestamptz without
 * a zone is read as UTC). Not for enums and arrays. buf takes the bytes that the value points to.
 * Returns false when the text is no value of the type or buf is too small; *v then is undefined.
 */
bool value_parse(enum type, const char *text, size_t len, char *buf, size_t size, struct value *v);

/*
 * Write PostgreSQL's text form of a non-NULL value ("t", "2026-11-24 04:18:50.840287+00",
 * "12.30", ...), NUL-terminated, into buf; of an enum its number, of an array nothing: column_print()
 * in pipeline.h knows more.
 * Returns its length, or the length that would be needed when that is >= size (as snprintf does).
 */
size_t value_print(enum type, const struct value *v, char *buf, size_t size);

/* The shortest decimal text that reads back as the same float or double ("0.1", "1e+300", "NaN"). */
#define FLOAT_TEXT_MAX 32
size_t float_print(double, bool single, char buf[FLOAT_TEXT_MAX]);

/* Append a value to a record. */
void value_pack(struct pack *, const struct value *);

/*
 * Read a value of the given type; what has bytes borrows the record's. Anything that does
 * not fit the type marks the cursor bad.
 */
void value_unpack(struct unpack *, enum type, struct value *);

#endif
