#include "tests/bench/produce_shape.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SCHEMA_MAX (4 * 1024)

const char *const shape_names[SHAPES] = {"values", "orders", "payments"};

/* A field of a struct in the schema block; a ? before its type: it may be null. */
struct field {
	const char *type, *name;
};

/* The first column of those that have a key is the key. */
static const struct field columns[SHAPES][8] = {
    {{"int32", "value"}},
    {{"int32", "order_id"},
     {"int32", "customer_id"},
     {"int32", "qty"},
     {"string", "price"},
     {"string", "status"}},
    {{"int32", "payment_id"}, {"int32", "customer_id"}, {"string", "amount"}, {"string", "method"}},
};

static const struct field source_fields[] = {
    {"string", "version"},
    {"string", "connector"},
    {"string", "name"},
    {"int64", "ts_ms"},
    {"enum", "snapshot"},
    {"string", "db"},
    {"?string", "sequence"},
    {"?int64", "ts_us"},
    {"?int64", "ts_ns"},
    {"string", "schema"},
    {"string", "table"},
    {"?int64", "txId"},
    {"?int64", "lsn"},
    {"?int64", "xmin"},
    {"?string", "origin"},
    {"?int64", "origin_lsn"},
    {NULL, NULL},
};

static const struct field transaction_fields[] = {
    {"string", "id"},
    {"int64", "total_order"},
    {"int64", "data_collection_order"},
    {NULL, NULL},
};

static const struct field last_fields[] = {
    {"string", "op"}, {"?int64", "ts_ms"}, {"?int64", "ts_us"}, {"?int64", "ts_ns"}, {NULL, NULL}};

static const char snapshot_field[] =
    "{\"type\":\"string\",\"optional\":true,\"name\":\"io.debezium.data.Enum\",\"version\":1,"
    "\"parameters\":{\"allowed\":\"true,first,first_in_data_collection,"
    "last_in_data_collection,last,false,incremental\"},\"default\":\"false\","
    "\"field\":\"snapshot\"}";

static struct shape_settings settings;
static char schemas[SHAPES][SCHEMA_MAX], key_schemas[SHAPES][SHAPE_KEY_MAX];

struct row {
	long long customer, quantity, cents;
	const char *word; /* status, or method */
};

static void
print_fields(FILE *out, const struct field *fields, size_t most)
{
	for (size_t i = 0; i < most && fields[i].name != NULL; i++) {
		const char *type = fields[i].type;
		bool optional = type[0] == '?';
		fputs(i == 0 ? "" : ",", out);
		if (strcmp(type, "enum") == 0)
			fputs(snapshot_field, out);
		else
			fprintf(out, "{\"type\":\"%s\",\"optional\":%s,\"field\":\"%s\"}",
				type + optional, optional ? "true" : "false", fields[i].name);
	}
}

/* One that is a field itself, with what follows its fields. */
static void
print_struct(FILE *out, const struct field *fields, const char *rest)
{
	fputs("{\"type\":\"struct\",\"fields\":[", out);
	print_fields(out, fields, SIZE_MAX);
	fprintf(out, "],%s},", rest);
}

static void
print_row_struct(FILE *out, enum shape shape, const char *half)
{
	char rest[160];
	snprintf(rest, sizeof(rest),
		 "\"optional\":true,\"name\":\"postgres.public.%s.Value\",\"field\":\"%s\"",
		 shape_names[shape], half);
	print_struct(out, columns[shape], rest);
}

static void
print_schema(enum shape shape)
{
	FILE *out = fmemopen(schemas[shape], SCHEMA_MAX, "w");
	fputs("{\"type\":\"struct\",\"fields\":[", out);
	print_row_struct(out, shape, "before");
	print_row_struct(out, shape, "after");
	print_struct(out, source_fields,
		     "\"optional\":false,\"name\":\"io.debezium.connector.postgresql.Source\","
		     "\"version\":1,\"field\":\"source\"");
	print_struct(out, transaction_fields,
		     "\"optional\":true,\"name\":\"event.block\",\"version\":1,"
		     "\"field\":\"transaction\"");
	print_fields(out, last_fields, SIZE_MAX);
	fprintf(out, "],\"optional\":false,\"name\":\"postgres.public.%s.Envelope\",\"version\":2}",
		shape_names[shape]);
	fclose(out);
}

static void
print_key_schema(enum shape shape)
{
	FILE *out = fmemopen(key_schemas[shape], SHAPE_KEY_MAX, "w");
	fputs("{\"type\":\"struct\",\"fields\":[", out);
	print_fields(out, columns[shape], 1);
	fprintf(out, "],\"optional\":false,\"name\":\"postgres.public.%s.Key\"}",
		shape_names[shape]);
	fclose(out);
}

void
shape_init(const struct shape_settings *wanted)
{
	settings = *wanted;
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		print_schema(shape);
		print_key_schema(shape);
	}
}

unsigned long long
shape_mix(unsigned long long x)
{
	x += 0x9e3779b97f4a7c15ULL; /* splitmix64 */
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Of four events on a row three leave it in its own group, or bring it back there. */
static struct row
row_of(enum shape shape, long long key, long long number)
{
	static const char *const states[] = {"new", "paid", "packed", "shipped"};
	static const char *const methods[] = {"card", "transfer", "invoice", "cash"};
	unsigned long long chance = shape_mix((unsigned long long)number * SHAPES + shape);
	unsigned long long home = shape_mix((unsigned long long)key);
	unsigned long long groups = (unsigned long long)settings.groups;
	return (struct row){
	    .customer = (long long)((chance % 4 == 0 ? chance >> 8 : home) % groups),
	    .quantity = (long long)(chance >> 16) % 20 + 1,
	    .cents = (long long)(chance >> 24) % 100000 + 1,
	    .word = (shape == SHAPE_ORDERS ? states : methods)[chance >> 62],
	};
}

/* With the default replica identity a deleted row has its key; the rest is made up by the connector. */
static struct row
row_of_delete(void)
{
	return (struct row){.word = ""};
}

static int
print_row(char *buf, size_t size, const struct shape_change *c, const struct row *r)
{
	switch (c->shape) {
	case SHAPE_ORDERS:
		return snprintf(buf, size,
				"{\"order_id\":%lld,\"customer_id\":%lld,\"qty\":%lld,"
				"\"price\":\"%lld.%02lld\",\"status\":\"%s\"}",
				c->key, r->customer, r->quantity, r->cents / 100, r->cents % 100,
				r->word);
	case SHAPE_PAYMENTS:
		return snprintf(buf, size,
				"{\"payment_id\":%lld,\"customer_id\":%lld,"
				"\"amount\":\"%lld.%02lld\",\"method\":\"%s\"}",
				c->key, r->customer, r->cents / 100, r->cents % 100, r->word);
	case SHAPE_VALUES:
	default:
		return snprintf(buf, size, "{\"value\":%lld}", c->number);
	}
}

int
shape_csv(char *buf, enum shape shape, long long key, long long number)
{
	struct row r = row_of(shape, key, number);
	switch (shape) {
	case SHAPE_ORDERS:
		return snprintf(buf, SHAPE_KEY_MAX, "%lld,%lld,%lld,%lld.%02lld,%s\n", key,
				r.customer, r.quantity, r.cents / 100, r.cents % 100, r.word);
	case SHAPE_PAYMENTS:
		return snprintf(buf, SHAPE_KEY_MAX, "%lld,%lld,%lld.%02lld,%s\n", key, r.customer,
				r.cents / 100, r.cents % 100, r.word);
	case SHAPE_VALUES:
	default:
		return snprintf(buf, SHAPE_KEY_MAX, "%lld\n", number);
	}
}

static void
print_transaction(char *buf, size_t size, enum shape shape, const struct shape_place *p)
{
	if (!settings.transactions)
		snprintf(buf, size, "null");
	else
		snprintf(
		    buf, size,
		    "{\"id\":\"%llu:%llu\",\"total_order\":%lld,\"data_collection_order\":%lld}",
		    p->xid, p->lsn, p->total_order, p->order[shape]);
}

int
shape_value(char *buf, const struct shape_change *c, const struct shape_place *p)
{
	char row[512], transaction[160];
	struct row r = c->op == 'd' ? row_of_delete() : row_of(c->shape, c->key, c->number);
	print_row(row, sizeof(row), c, &r);
	print_transaction(transaction, sizeof(transaction), c->shape, p);
	int n = settings.schema ? snprintf(buf, SHAPE_MESSAGE_MAX,
					   "{\"schema\":%s,\"payload\":", schemas[c->shape])
				: 0;
	n += snprintf(buf + n, (size_t)(SHAPE_MESSAGE_MAX - n),
		      "{\"before\":%s,\"after\":%s,\"source\":{\"version\":\"3.7.0.Final\","
		      "\"connector\":\"postgresql\",\"name\":\"postgres\",\"ts_ms\":%lld,"
		      "\"snapshot\":\"false\",\"db\":\"values_db\",\"sequence\":\"[\\\"%llu\\\","
		      "\\\"%llu\\\"]\",\"ts_us\":%lld406,\"ts_ns\":%lld406000,"
		      "\"schema\":\"public\",\"table\":\"%s\",\"txId\":%llu,\"lsn\":%llu,"
		      "\"xmin\":null,\"origin\":null,\"origin_lsn\":null},\"transaction\":%s,"
		      "\"op\":\"%c\",\"ts_ms\":%lld,\"ts_us\":%lld748,\"ts_ns\":%lld748813}%s",
		      c->op == 'd' ? row : "null", c->op == 'd' ? "null" : row, p->now_ms,
		      p->sequence, p->lsn, p->now_ms, p->now_ms, shape_names[c->shape], p->xid,
		      p->lsn, transaction, c->op, p->now_ms, p->now_ms, p->now_ms,
		      settings.schema ? "}" : "");
	return n;
}

int
shape_key(char *buf, const struct shape_change *c)
{
	char key[64];
	if (c->shape == SHAPE_VALUES)
		return -1;
	snprintf(key, sizeof(key), "{\"%s\":%lld}", columns[c->shape][0].name, c->key);
	if (!settings.schema)
		return snprintf(buf, SHAPE_KEY_MAX, "%s", key);
	return snprintf(buf, SHAPE_KEY_MAX, "{\"schema\":%s,\"payload\":%s}", key_schemas[c->shape],
			key);
}

int
shape_mark_key(char *buf, const struct shape_place *p)
{
	return snprintf(buf, SHAPE_KEY_MAX, "{\"id\":\"%llu:%llu\"}", p->xid, p->lsn);
}

int
shape_mark(char *buf, const struct shape_place *p, bool end)
{
	int n = snprintf(buf, SHAPE_KEY_MAX, "{\"status\":\"%s\",\"id\":\"%llu:%llu\",",
			 end ? "END" : "BEGIN", p->xid, p->lsn);
	size_t used = (size_t)n;
	if (!end)
		return n +
		       snprintf(buf + used, SHAPE_KEY_MAX - used,
				"\"event_count\":null,\"data_collections\":null,\"ts_ms\":%lld}",
				p->now_ms);
	n += snprintf(buf + used, SHAPE_KEY_MAX - used,
		      "\"event_count\":%lld,\"data_collections\":[", p->total_order);
	for (int i = 0, listed = 0; i < SHAPES; i++) {
		if (p->order[i] == 0)
			continue;
		n += snprintf(buf + n, (size_t)(SHAPE_KEY_MAX - n),
			      "%s{\"data_collection\":\"public.%s\",\"event_count\":%lld}",
			      listed++ > 0 ? "," : "", shape_names[i], p->order[i]);
	}
	return n + snprintf(buf + n, (size_t)(SHAPE_KEY_MAX - n), "],\"ts_ms\":%lld}", p->now_ms);
}
