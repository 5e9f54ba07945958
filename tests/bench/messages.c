#include "tests/bench/messages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define VALUE_MAX  (8 * 1024)
#define KEY_MAX    512
#define SCHEMA_RUN 100 /* mixed: so many in a row have the schema block, or have not */
#define WALL_MS    1700000000000

struct messages {
	struct messages_plan plan;
	char *schema;
	uint8_t *alive; /* by key */
	uint64_t random, made, lsn, sequence, xid;
	unsigned in_transaction;
	int64_t deleted; /* key whose tombstone comes next, or -1 */
	struct kafka_message *list;
	char *bytes;
	unsigned room; /* messages that both have room for */
};

static char *
read_schema(const char *path)
{
	char *line = NULL;
	size_t size = 0;
	FILE *in = fopen(path, "re");

	if (in == NULL || getline(&line, &size, in) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	fclose(in);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

struct messages *
messages_new(const struct messages_plan *plan)
{
	struct messages *m = xcalloc(1, sizeof(*m));

	m->plan = *plan;
	m->schema = read_schema(plan->orders ? "tests/bench/orders.schema.json"
					     : "tests/bench/values.schema.json");
	m->alive = xcalloc(plan->keys + 1, 1);
	m->random = 1;
	m->lsn = m->sequence = 26969776;
	m->xid = 800;
	m->deleted = -1;
	return m;
}

void
messages_free(struct messages *m)
{
	free(m->schema);
	free(m->alive);
	free(m->list);
	free(m->bytes);
	free(m);
}

/* A row; of a deleted one the connector knows the key only, and makes up the rest. */
static int
print_row(const struct messages *m, char *buf, size_t size, uint64_t i, uint64_t key, bool deleted)
{
	static const char *const products[] = {"Chair", "Kettle", "Mug", "Lamp", "Desk", "Pen"};
	static const char *const categories[] = {"home", "office", "garden", "kitchen"};
	static const char *const states[] = {"new", "paid", "shipped", "done"};
	unsigned long long n = i, k = key;

	if (!m->plan.orders)
		return snprintf(buf, size, "{\"value\":%llu}", n + 1);
	if (deleted)
		return snprintf(buf, size,
				"{\"order_id\":%llu,\"customer_id\":0,\"product\":\"\","
				"\"category\":\"\",\"qty\":0,\"price\":\"0.00\",\"discount\":null,"
				"\"status\":\"\",\"shipping_address\":null,\"note\":null,"
				"\"priority\":0,\"express\":false,"
				"\"created_at\":\"1970-01-01T00:00:00.000000Z\"}",
				k);
	return snprintf(buf, size,
			"{\"order_id\":%llu,\"customer_id\":%llu,\"product\":\"%s\","
			"\"category\":\"%s\",\"qty\":%llu,\"price\":\"%llu.%02llu\","
			"\"discount\":null,\"status\":\"%s\",\"shipping_address\":\"%llu Main St, "
			"Town %llu\",\"note\":\"call before\\ndelivery\",\"priority\":%llu,"
			"\"express\":%s,\"created_at\":\"2026-11-24T04:18:50.%06lluZ\"}",
			k, k * 7 % m->plan.groups, products[n % 6], categories[n / 3 % 4],
			n % 20 + 1, n * 31 % 1000, n * 17 % 100, states[n / 5 % 4], n % 1000,
			n % 97, n % 5, n % 2 ? "true" : "false", n % 1000000);
}

static size_t
print_value(const struct messages *m, char *buf, uint64_t i, uint64_t key, char op, bool schema)
{
	char row[1024];
	unsigned long long lsn = m->lsn, sequence = m->sequence, xid = m->xid;
	long long now_ms = WALL_MS + (long long)(i / 50);
	int n = schema ? snprintf(buf, VALUE_MAX, "{\"schema\":%s,\"payload\":", m->schema) : 0;

	print_row(m, row, sizeof(row), i, key, op == 'd');
	n += snprintf(buf + n, VALUE_MAX - (size_t)n,
		      "{\"before\":%s,\"after\":%s,\"source\":{\"version\":\"3.7.0.Final\","
		      "\"connector\":\"postgresql\",\"name\":\"postgres\",\"ts_ms\":%lld,"
		      "\"snapshot\":\"false\",\"db\":\"values_db\",\"sequence\":\"[\\\"%llu\\\","
		      "\\\"%llu\\\"]\",\"ts_us\":%lld406,\"ts_ns\":%lld406000,"
		      "\"schema\":\"public\",\"table\":\"%s\",\"txId\":%llu,\"lsn\":%llu,"
		      "\"xmin\":null},\"transaction\":null,\"op\":\"%c\",\"ts_ms\":%lld,"
		      "\"ts_us\":%lld748,\"ts_ns\":%lld748813}%s",
		      op == 'd' ? row : "null", op == 'd' ? "null" : row, now_ms, sequence, lsn,
		      now_ms, now_ms, m->plan.orders ? "orders" : "values", xid, lsn, op, now_ms,
		      now_ms, now_ms, schema ? "}" : "");
	return (size_t)n;
}

static size_t
print_key(char *buf, uint64_t key, bool schema)
{
	static const char block[] =
	    "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"int32\",\"optional\":false,"
	    "\"field\":\"order_id\"}],\"optional\":false,"
	    "\"name\":\"postgres.public.orders.Key\"},\"payload\":";

	return (size_t)snprintf(buf, KEY_MAX, "%s{\"order_id\":%llu}%s", schema ? block : "",
				(unsigned long long)key, schema ? "}" : "");
}

static uint64_t
choose_key(struct messages *m)
{
	if (m->made < m->plan.keys)
		return m->made;
	m->random = m->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (m->random >> 33) % m->plan.keys;
}

static char
choose_op(struct messages *m, uint64_t key)
{
	unsigned every = m->plan.delete_every;

	if (!m->plan.orders)
		return 'c';
	if (!m->alive[key]) {
		m->alive[key] = 1;
		return 'c';
	}
	if (every == 0 || (m->random >> 20) % every != 0)
		return 'u';
	m->alive[key] = 0;
	m->deleted = (int64_t)key;
	return 'd';
}

/* What the source's log says moves on with each event, and more with each transaction. */
static void
advance(struct messages *m)
{
	m->lsn += 72;
	if (m->in_transaction++ < m->plan.per_transaction)
		return;
	m->lsn += 48;
	m->sequence = m->lsn;
	m->lsn += 72;
	m->in_transaction = 1;
	m->xid++;
}

static void
make_one(struct messages *m, struct kafka_message *one, char *value, char *key_text)
{
	uint64_t i = m->made;
	bool schema = m->plan.schema == MESSAGES_SCHEMA ||
		      (m->plan.schema == MESSAGES_MIXED && i / SCHEMA_RUN % 2 == 0);

	*one = (struct kafka_message){.offset = (int64_t)i,
				      .timestamp_ms = WALL_MS + (int64_t)(i / 50)};
	if (m->deleted >= 0) {
		one->key = key_text;
		one->key_len = print_key(key_text, (uint64_t)m->deleted, schema);
		m->deleted = -1;
		m->made++;
		return;
	}
	uint64_t key = m->plan.orders ? choose_key(m) : 0;
	advance(m);
	one->value = value;
	one->value_len = print_value(m, value, i, key, choose_op(m, key), schema);
	if (m->plan.orders) {
		one->key = key_text;
		one->key_len = print_key(key_text, key, schema);
	}
	m->made++;
}

/* Close together, as in a fetched batch of a broker's: not each in a page of its own. */
const struct kafka_message *
messages_make(struct messages *m, unsigned count)
{
	size_t at = 0;

	if (count > m->room) {
		m->room = count;
		free(m->bytes);
		free(m->list);
		m->list = xcalloc(count, sizeof(*m->list));
		m->bytes = xcalloc(count, VALUE_MAX + KEY_MAX);
	}
	for (unsigned i = 0; i < count; i++) {
		char *key = m->bytes + at, *value = key + KEY_MAX;
		make_one(m, &m->list[i], value, key);
		at += KEY_MAX + m->list[i].value_len + 61; /* where a record begins is chance */
	}
	return m->list;
}
