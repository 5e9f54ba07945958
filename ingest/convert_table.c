/*
 * convert_table.c - which message type fits which declared type. README.md shows this table; a test
 * holds the two against each other.
 */
#include <string.h>

#include "ingest/convert.h"

#define T(type)  (UINT32_C(1) << TYPE_##type)
#define INTEGERS (T(SMALLINT) | T(INTEGER) | T(BIGINT) | T(NUMERIC))
#define TEXTS    (T(TEXT) | T(VARCHAR) | T(CHAR))
#define DEBEZIUM "io.debezium."
#define CONNECT  "org.apache.kafka.connect.data."

static const struct message_type types[] = {
    {"int8", SHAPE_INTEGER, INTEGERS},
    {"int16", SHAPE_INTEGER, INTEGERS},
    {"int32", SHAPE_INTEGER, INTEGERS},
    {"int64", SHAPE_INTEGER, INTEGERS},
    {"float", SHAPE_FLOAT, T(REAL)},
    {"double", SHAPE_FLOAT, T(DOUBLE) | T(NUMERIC) | T(MONEY)},
    {"boolean", SHAPE_BOOLEAN, T(BOOLEAN)},
    {"string", SHAPE_STRING, TEXTS | T(NUMERIC) | T(MONEY) | T(BYTEA) | T(INET) | T(ENUM)},
    {"bytes", SHAPE_BYTES, T(BYTEA)},
    {"array", SHAPE_ARRAY, T(ARRAY)},
    {CONNECT "Decimal", SHAPE_DECIMAL, T(NUMERIC) | T(MONEY)},
    {DEBEZIUM "data.VariableScaleDecimal", SHAPE_VARIABLE, T(NUMERIC)},
    {DEBEZIUM "time.Date", SHAPE_DAYS, T(DATE)},
    {CONNECT "Date", SHAPE_DAYS, T(DATE)},
    {DEBEZIUM "time.StructuredDate", SHAPE_STRUCTURED, T(DATE)},
    {DEBEZIUM "time.IsoDate", SHAPE_ISO, T(DATE) | T(TEXT)},
    {DEBEZIUM "time.Time", SHAPE_MILLISECONDS, T(TIME)},
    {CONNECT "Time", SHAPE_MILLISECONDS, T(TIME)},
    {DEBEZIUM "time.MicroTime", SHAPE_MICROSECONDS, T(TIME)},
    {DEBEZIUM "time.NanoTime", SHAPE_NANOSECONDS, T(TIME)},
    {DEBEZIUM "time.StructuredTime", SHAPE_STRUCTURED, T(TIME)},
    {DEBEZIUM "time.IsoTime", SHAPE_ISO, T(TIME) | T(TEXT)},
    {DEBEZIUM "time.Timestamp", SHAPE_MILLISECONDS, T(TIMESTAMP)},
    {CONNECT "Timestamp", SHAPE_MILLISECONDS, T(TIMESTAMP)},
    {DEBEZIUM "time.MicroTimestamp", SHAPE_MICROSECONDS, T(TIMESTAMP)},
    {DEBEZIUM "time.NanoTimestamp", SHAPE_NANOSECONDS, T(TIMESTAMP)},
    {DEBEZIUM "time.StructuredTimestamp", SHAPE_STRUCTURED, T(TIMESTAMP)},
    {DEBEZIUM "time.IsoTimestamp", SHAPE_ISO, T(TIMESTAMP) | T(TEXT)},
    {DEBEZIUM "time.StructuredZonedTimestamp", SHAPE_STRUCTURED, T(TIMESTAMPTZ)},
    {DEBEZIUM "time.ZonedTimestamp", SHAPE_ISO, T(TIMESTAMPTZ) | T(TEXT)},
    {DEBEZIUM "time.MicroDuration", SHAPE_MICROSECONDS, T(INTERVAL)},
    {DEBEZIUM "time.NanoDuration", SHAPE_NANOSECONDS, T(INTERVAL)},
    {DEBEZIUM "time.StructuredDuration", SHAPE_STRUCTURED, T(INTERVAL)},
    {DEBEZIUM "time.Interval", SHAPE_STRING, T(INTERVAL) | T(TEXT)},
    {DEBEZIUM "data.Json", SHAPE_STRING, T(JSON) | T(JSONB) | T(TEXT)},
    {DEBEZIUM "data.Uuid", SHAPE_STRING, T(UUID) | T(TEXT)},
    {DEBEZIUM "data.Enum", SHAPE_STRING, T(ENUM) | T(TEXT)},
    {DEBEZIUM "data.Ltree", SHAPE_STRING, T(TEXT)},
    {DEBEZIUM "data.Tsvector", SHAPE_STRING, T(TEXT)},
    {DEBEZIUM "data.Xml", SHAPE_STRING, T(TEXT)},
    {DEBEZIUM "time.ZonedTime", SHAPE_STRING, T(TEXT)},
    {DEBEZIUM "data.Bits", SHAPE_OTHER, 0},
    {DEBEZIUM "time.StructuredZonedTime", SHAPE_OTHER, 0},
    {"struct", SHAPE_OTHER, 0},
};

static const struct message_type other = {"other", SHAPE_OTHER, 0};

const struct message_type *
convert_message_types(size_t *count)
{
	*count = sizeof(types) / sizeof(types[0]);
	return types;
}

static const struct message_type *
find_type(struct slice name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (slice_is(name, types[i].name))
			return &types[i];
	return NULL;
}

static bool
starts_with(struct slice s, const char *prefix)
{
	size_t len = strlen(prefix);

	return s.len >= len && memcmp(s.s, prefix, len) == 0;
}

const struct message_type *
convert_message_type(struct slice name, struct slice type)
{
	const struct message_type *found = name.len > 0 ? find_type(name) : NULL;

	if (found)
		return found;
	/* A time of a kind not known here would look like a plain number. */
	if (starts_with(name, DEBEZIUM "time.") || starts_with(name, CONNECT))
		return &other;
	found = find_type(type);
	return found ? found : &other;
}

bool
convert_fits(enum type type, const struct message_type *message)
{
	return (message->fits & UINT32_C(1) << type) != 0;
}
