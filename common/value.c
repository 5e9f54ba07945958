#include "common/value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/array.h"
#include "common/calendar.h"
#include "common/decimal.h"
#include "common/inet.h"
#include "common/interval.h"
#include "common/pack.h"

#define EXT_UNCHANGED 1 /* msgpack extension type: a column that Debezium did not send */

__extension__ typedef unsigned __int128 uint128;

static const struct {
	const char *name;
	enum value_kind kind;
} types[] = {
    [TYPE_SMALLINT] = {"smallint", VALUE_INT},
    [TYPE_INTEGER] = {"integer", VALUE_INT},
    [TYPE_BIGINT] = {"bigint", VALUE_INT},
    [TYPE_NUMERIC] = {"numeric", VALUE_DECIMAL},
    [TYPE_REAL] = {"real", VALUE_FLOAT},
    [TYPE_DOUBLE] = {"double precision", VALUE_FLOAT},
    [TYPE_MONEY] = {"money", VALUE_INT},
    [TYPE_TEXT] = {"text", VALUE_TEXT},
    [TYPE_VARCHAR] = {"character varying", VALUE_TEXT},
    [TYPE_CHAR] = {"character", VALUE_TEXT},
    [TYPE_BYTEA] = {"bytea", VALUE_BYTES},
    [TYPE_UUID] = {"uuid", VALUE_BYTES},
    [TYPE_BOOLEAN] = {"boolean", VALUE_BOOL},
    [TYPE_DATE] = {"date", VALUE_INT},
    [TYPE_TIME] = {"time without time zone", VALUE_INT},
    [TYPE_TIMESTAMP] = {"timestamp without time zone", VALUE_INT},
    [TYPE_TIMESTAMPTZ] = {"timestamp with time zone", VALUE_INT},
    [TYPE_INTERVAL] = {"interval", VALUE_INTERVAL},
    [TYPE_JSON] = {"json", VALUE_TEXT},
    [TYPE_JSONB] = {"jsonb", VALUE_TEXT},
    [TYPE_INET] = {"inet", VALUE_INET},
    [TYPE_ENUM] = {"enum", VALUE_INT},
    [TYPE_ARRAY] = {"array", VALUE_ARRAY},
};
_Static_assert(sizeof(types) / sizeof(types[0]) == TYPE_COUNT, "every type");

const char *
type_name(enum type type)
{
	return type < TYPE_COUNT ? types[type].name : "unknown";
}

enum value_kind
type_kind(enum type type)
{
	return types[type].kind;
}

bool
type_is_integer(enum type type)
{
	return type <= TYPE_BIGINT;
}

bool
type_is_float(enum type type)
{
	return type == TYPE_REAL || type == TYPE_DOUBLE;
}

bool
type_is_number(enum type type)
{
	return type <= TYPE_DOUBLE;
}

bool
type_is_text(enum type type)
{
	return type == TYPE_TEXT || type == TYPE_VARCHAR || type == TYPE_CHAR;
}

bool
type_has_equality(enum type type)
{
	return type != TYPE_JSON;
}

bool
type_has_order(enum type type)
{
	return type != TYPE_JSON && type != TYPE_JSONB && type != TYPE_ARRAY;
}

bool
type_is_comparable(enum type a, enum type b)
{
	return (a == b && type_has_equality(a) && a != TYPE_ARRAY) ||
	       (type_is_number(a) && type_is_number(b)) ||
	       /* A char is compared as one with varchar, and as text with text: with neither here. */
	       (type_is_text(a) && type_is_text(b) && a != TYPE_CHAR && b != TYPE_CHAR);
}

/* As in PostgreSQL 15, but for arrays: their order is not needed for what they are carried for. */
bool
type_has_extremes(enum type type)
{
	switch (type) {
	case TYPE_BYTEA:
	case TYPE_UUID:
	case TYPE_BOOLEAN:
	case TYPE_JSON:
	case TYPE_JSONB:
	case TYPE_ARRAY:
		return false;
	default:
		return true;
	}
}

/* --- order --- */

static int
compare_bytes(const struct value *a, const struct value *b)
{
	uint32_t common = a->len < b->len ? a->len : b->len;
	int order = common > 0 ? memcmp(a->s, b->s, common) : 0;

	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* An integer as decimal text in buf (at least 24 bytes); a decimal as it is. */
static struct value
value_as_decimal(const struct value *v, char *buf, size_t size)
{
	if (v->kind == VALUE_DECIMAL)
		return *v;
	int len = snprintf(buf, size, "%" PRId64, v->i);
	return (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)len, .s = buf};
}

static double
value_as_double(const struct value *v)
{
	if (v->kind == VALUE_FLOAT)
		return v->d;
	return v->kind == VALUE_DECIMAL ? decimal_to_double(v->s, v->len) : (double)v->i;
}

static int
compare_doubles(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	return (a > b) - (a < b);
}

static int
compare_numbers(const struct value *a, const struct value *b)
{
	char abuf[24], bbuf[24];

	if (a->kind == VALUE_FLOAT || b->kind == VALUE_FLOAT)
		return compare_doubles(value_as_double(a), value_as_double(b));
	struct value x = value_as_decimal(a, abuf, sizeof(abuf));
	struct value y = value_as_decimal(b, bbuf, sizeof(bbuf));
	return decimal_compare(x.s, x.len, y.s, y.len);
}

static struct interval
value_interval(const struct value *v)
{
	struct interval interval;

	interval_load(&interval, (const uint8_t *)v->s);
	return interval;
}

static int
compare_intervals(const struct value *a, const struct value *b)
{
	struct interval x = value_interval(a), y = value_interval(b);

	return interval_compare(&x, &y);
}

int
value_compare(const struct value *a, const struct value *b)
{
	switch (a->kind) {
	case VALUE_INT:
	case VALUE_BOOL:
		if (b->kind == a->kind)
			return (a->i > b->i) - (a->i < b->i);
		return compare_numbers(a, b);
	case VALUE_FLOAT:
	case VALUE_DECIMAL:
		return compare_numbers(a, b);
	case VALUE_INET:
		return inet_compare((const uint8_t *)a->s, a->len, (const uint8_t *)b->s, b->len);
	case VALUE_INTERVAL:
		return compare_intervals(a, b);
	case VALUE_TEXT:
	case VALUE_BYTES:
	case VALUE_ARRAY:
		return compare_bytes(a, b);
	case VALUE_NULL:
	case VALUE_UNCHANGED:
		break;
	}
	return 0;
}

int
value_compare_exact(const struct value *a, const struct value *b)
{
	int order = value_compare(a, b);

	if (order != 0)
		return order;
	if (a->kind == VALUE_FLOAT && b->kind == VALUE_FLOAT)
		return (signbit(b->d) != 0) - (signbit(a->d) != 0);
	if (a->kind == VALUE_DECIMAL)
		return (a->len > b->len) - (a->len < b->len);
	return a->kind == VALUE_INTERVAL ? compare_bytes(a, b) : 0;
}

static int64_t
rank_double(double d)
{
	int64_t bits;

	if (isnan(d))
		return INT64_MAX;
	memcpy(&bits, &d, sizeof(bits));
	return bits < 0 ? bits ^ INT64_MAX : bits;
}

/* As memcmp() looks at them. */
static int64_t
rank_bytes(const char *s, size_t len)
{
	uint64_t rank = 0;

	for (size_t i = 0; i < sizeof(rank); i++)
		rank = rank << 8 | (i < len ? (unsigned char)s[i] : 0);
	return (int64_t)(rank ^ UINT64_C(1) << 63);
}

int64_t
value_rank(const struct value *v)
{
	switch (v->kind) {
	case VALUE_INT:
	case VALUE_BOOL:
		return v->i;
	case VALUE_FLOAT:
		return rank_double(v->d);
	case VALUE_DECIMAL:
		return decimal_rank(v->s, v->len);
	case VALUE_TEXT:
	case VALUE_BYTES:
		return rank_bytes(v->s, v->len);
	default:
		return 0;
	}
}

/* Without the zeros at its end. */
static void
decimal_shorten(struct value *v)
{
	if (memchr(v->s, '.', v->len) == NULL)
		return;
	while (v->s[v->len - 1] == '0')
		v->len--;
	if (v->s[v->len - 1] == '.')
		v->len--;
}

struct value
value_normal(const struct value *v, char *buf)
{
	struct value normal = *v;
	struct interval interval;

	if (v->kind == VALUE_DECIMAL) {
		decimal_shorten(&normal);
	} else if (v->kind == VALUE_FLOAT) {
		normal.d = isnan(v->d) ? (double)NAN : v->d == 0 ? 0.0 : v->d;
	} else if (v->kind == VALUE_INTERVAL) {
		interval = value_interval(v);
		interval_normal(&interval);
		interval_store(&interval, (uint8_t *)buf);
		normal.s = buf;
	}
	return normal;
}

/* --- hash --- */

static uint64_t
hash_mix(uint64_t a, uint64_t b)
{
	uint128 product = (uint128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
hash_word(uint64_t word, uint64_t seed)
{
	return hash_mix(seed ^ word ^ UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db));
}

uint64_t
value_hash_bytes(const void *bytes, size_t len, uint64_t seed)
{
	const uint8_t *at = bytes;
	size_t left = len;
	uint64_t word, hash = seed;

	for (; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = hash_word(word, hash);
	}
	word = 0;
	if (left > 0)
		memcpy(&word, at, left);
	hash = hash_word(word, hash);
	return hash_mix(hash ^ len, UINT64_C(0x8ebc6af09c88c6e3));
}

uint64_t
value_hash(const struct value *v, uint64_t seed)
{
	char buf[VALUE_NORMAL_ROOM];
	struct value normal;
	uint64_t bits;

	switch (v->kind) {
	case VALUE_INT:
	case VALUE_BOOL:
		return hash_mix(hash_word((uint64_t)v->i, seed), UINT64_C(0x589965cc75374cc3));
	case VALUE_DECIMAL:
		return decimal_hash(v->s, v->len, seed);
	case VALUE_FLOAT:
		normal = value_normal(v, buf);
		memcpy(&bits, &normal.d, sizeof(bits));
		return hash_mix(hash_word(bits, seed), UINT64_C(0x589965cc75374cc3));
	case VALUE_INTERVAL:
		normal = value_normal(v, buf);
		return value_hash_bytes(normal.s, normal.len, seed);
	case VALUE_TEXT:
	case VALUE_BYTES:
	case VALUE_INET:
	case VALUE_ARRAY:
		return value_hash_bytes(v->s, v->len, seed);
	case VALUE_NULL:
	case VALUE_UNCHANGED:
		break;
	}
	return hash_word((uint64_t)v->kind + 1, ~seed);
}

/* --- msgpack --- */

void
value_pack(struct pack *pack, const struct value *v)
{
	switch (v->kind) {
	case VALUE_NULL:
		pack_nil(pack);
		break;
	case VALUE_INT:
		pack_int(pack, v->i);
		break;
	case VALUE_BOOL:
		pack_bool(pack, v->i != 0);
		break;
	case VALUE_FLOAT:
		pack_float(pack, v->d);
		break;
	case VALUE_DECIMAL:
	case VALUE_TEXT:
		pack_str(pack, v->s, v->len);
		break;
	case VALUE_BYTES:
	case VALUE_INET:
	case VALUE_INTERVAL:
	case VALUE_ARRAY:
		pack_bin(pack, v->s, v->len);
		break;
	case VALUE_UNCHANGED:
		pack_ext(pack, EXT_UNCHANGED, "", 1);
		break;
	}
}

static bool
int_fits(enum type type, int64_t i)
{
	switch (type) {
	case TYPE_SMALLINT:
		return i >= INT16_MIN && i <= INT16_MAX;
	case TYPE_INTEGER:
		return i >= INT32_MIN && i <= INT32_MAX;
	case TYPE_DATE:
		return (i >= INT32_MIN && i <= INT32_MAX) || i == INT64_MIN || i == INT64_MAX;
	case TYPE_TIME:
		return i >= 0 && i <= TIME_MAX_US;
	case TYPE_ENUM:
		return i >= 0 && i <= UINT16_MAX;
	default:
		return true;
	}
}

static bool
bytes_fit(enum type type, const struct value *v)
{
	const uint8_t *bytes = (const uint8_t *)v->s;

	switch (type) {
	case TYPE_UUID:
		return v->len == 16;
	case TYPE_INET:
		return inet_is_valid(bytes, v->len);
	case TYPE_INTERVAL:
		return v->len == INTERVAL_BYTES;
	case TYPE_ARRAY:
		return array_is_valid(bytes, v->len);
	case TYPE_NUMERIC:
		return decimal_is_canonical(v->s, v->len);
	default:
		return true;
	}
}

static void
unpack_unchanged(struct unpack *unpack, struct value *v)
{
	int8_t type = 0;
	uint32_t len;

	(void)unpack_ext(unpack, &type, &len);
	if (type != EXT_UNCHANGED)
		unpack->bad = true;
	v->kind = VALUE_UNCHANGED;
}

static void
unpack_typed(struct unpack *unpack, enum type type, struct value *v)
{
	*v = (struct value){.kind = types[type].kind};
	switch (v->kind) {
	case VALUE_INT:
		v->i = unpack_int(unpack);
		if (v->i < 0 || v->i > INT16_MAX) /* what is between, all of them hold */
			unpack->bad |= !int_fits(type, v->i);
		break;
	case VALUE_BOOL:
		v->i = unpack_bool(unpack);
		break;
	case VALUE_FLOAT:
		v->d = unpack_float(unpack);
		break;
	case VALUE_DECIMAL:
	case VALUE_TEXT:
		v->s = unpack_str(unpack, &v->len);
		break;
	default:
		v->s = (const char *)unpack_bin(unpack, &v->len);
		break;
	}
	if (!unpack->bad && !unpack->kept && value_has_bytes(v) && !bytes_fit(type, v))
		unpack->bad = true;
}

/* A nil, or that a value is as it was. */
static void
unpack_none(struct unpack *unpack, struct value *v)
{
	*v = (struct value){.kind = VALUE_NULL};
	if (!unpack_nil(unpack))
		unpack_unchanged(unpack, v);
}

void
value_unpack(struct unpack *unpack, enum type type, struct value *v)
{
	enum unpack_kind kind = unpack_peek(unpack);

	if (kind == UNPACK_NIL || kind == UNPACK_EXT)
		unpack_none(unpack, v);
	else
		unpack_typed(unpack, type, v);
	if (unpack->bad)
		*v = (struct value){.kind = VALUE_NULL};
}
