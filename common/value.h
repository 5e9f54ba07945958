/*
 * value.h - one SQL value, borrowed, and the column types that tallyd knows.
 *
 * A value never owns its bytes: text and decimals point into a message, a ring record or a kept
 * row and are valid as long as those are. The type of a column decides which kinds it may hold:
 *
 *   TYPE_INTEGER, TYPE_BIGINT           VALUE_INT
 *   TYPE_NUMERIC                        VALUE_DECIMAL: canonical decimal text (decimal.h)
 *   TYPE_TEXT                           VALUE_TEXT: UTF-8, no NUL byte
 *   TYPE_BOOLEAN                        VALUE_BOOL, i is 0 or 1
 *   TYPE_TIMESTAMP, TYPE_TIMESTAMPTZ    VALUE_INT: microseconds since 1970-01-01 (UTC for the
 *                                       latter); INT64_MAX and INT64_MIN are the infinities
 */
#ifndef VALUE_H
#define VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack;
struct unpack;

enum type {
	TYPE_INTEGER,
	TYPE_BIGINT,
	TYPE_NUMERIC,
	TYPE_TEXT,
	TYPE_BOOLEAN,
	TYPE_TIMESTAMP,
	TYPE_TIMESTAMPTZ,
};
#define TYPE_COUNT (TYPE_TIMESTAMPTZ + 1)

enum value_kind {
	VALUE_NULL,
	VALUE_INT,
	VALUE_DECIMAL,
	VALUE_TEXT,
	VALUE_BOOL,
	VALUE_UNCHANGED, /* a TOASTed column that Debezium did not send: keep the row's own */
};

struct value {
	enum value_kind kind;
	uint32_t len; /* bytes at s */
	union {
		int64_t i;
		const char *s; /* not NUL-terminated */
	};
};

/* PostgreSQL's name of a type ("integer", "timestamp with time zone", ...). Static. */
const char *type_name(enum type);

/* True for the types on which sum() and avg() are defined (integer, bigint, numeric). */
bool type_is_number(enum type);

/*
 * Order of two values that are not NULL, of one type, or both of number types (integers and
 * numerics compare by value). Text compares by bytes, which is the order of collation "C".
 * Returns <0, 0 or >0.
 */
int value_compare(const struct value *, const struct value *);

/* Hash that agrees with value_compare() == 0; NULL has a hash too. */
uint64_t value_hash(const struct value *, uint64_t seed);
uint64_t value_hash_bytes(const void *, size_t len, uint64_t seed);

/*
 * Read a SQL literal's text as PostgreSQL's input function of the type would (a documented subset
 * for timestamps: ISO 8601 with an optional zone, 'infinity', '-infinity'; timestamptz without a
 * zone is read as UTC). Decimals are rewritten in canonical form into buf.
 * Returns false when the text is no value of the type or buf is too small; *v then is undefined.
 */
bool value_parse(enum type, const char *text, size_t len, char *buf, size_t size, struct value *v);

/*
 * Write PostgreSQL's text form of a non-NULL value ("t", "2026-11-24 04:18:50.840287+00",
 * "12.30", ...), NUL-terminated, into buf.
 * Returns its length, or the length that would be needed when that is >= size (as snprintf does).
 */
size_t value_print(enum type, const struct value *v, char *buf, size_t size);

/* Append a value to a record. */
void value_pack(struct pack *, const struct value *);

/*
 * Read a value of the given type; text and decimals borrow the record's bytes. Anything that does
 * not fit the type marks the cursor bad.
 */
void value_unpack(struct unpack *, enum type, struct value *);

#endif
