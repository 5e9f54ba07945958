#include "tests/bench/messages.h"

#include <stdlib.h>

#include "common/log.h"
#include "tests/bench/produce_shape.h"

#define SCHEMA_RUN 100 /* mixed: so many in a row have the schema block, or have not */
#define WALL_MS    1700000000000

struct messages {
	struct messages_plan plan;
	bool schema;    /* as shape_init() was told */
	uint8_t *alive; /* by key */
	uint64_t made;
	struct shape_place place;
	long long in_transaction;
	long long deleted; /* key whose tombstone comes next, or -1 */
	struct kafka_message *list;
	char *bytes;
	unsigned room; /* messages that both have room for */
};

static void
use_schema(struct messages *m, bool schema)
{
	const struct shape_settings settings = {
	    .schema = schema,
	    .groups = m->plan.groups > 0 ? m->plan.groups : 1,
	};

	m->schema = schema;
	shape_init(&settings);
}

struct messages *
messages_new(const struct messages_plan *plan)
{
	struct messages *m = xcalloc(1, sizeof(*m));

	m->plan = *plan;
	m->alive = xcalloc(plan->keys + 1, 1);
	m->place = (struct shape_place){.xid = 800, .lsn = 26969776, .sequence = 26969776};
	m->deleted = -1;
	use_schema(m, plan->schema != MESSAGES_BARE);
	return m;
}

void
messages_free(struct messages *m)
{
	free(m->alive);
	free(m->list);
	free(m->bytes);
	free(m);
}

/* Keys in turn until each was there, then at random. */
static struct shape_change
choose_change(struct messages *m)
{
	unsigned long long chance = shape_mix(m->made);
	struct shape_change c = {
	    .shape = m->plan.orders ? SHAPE_ORDERS : SHAPE_VALUES,
	    .op = 'c',
	    .number = (long long)m->made + 1,
	};

	if (!m->plan.orders)
		return c;
	c.key = (long long)(m->made < m->plan.keys ? m->made : chance % m->plan.keys);
	if (!m->alive[c.key]) {
		m->alive[c.key] = 1;
		return c;
	}
	c.op = 'u';
	if (m->plan.delete_every > 0 && (chance >> 32) % m->plan.delete_every == 0) {
		c.op = 'd';
		m->alive[c.key] = 0;
		m->deleted = c.key;
	}
	return c;
}

/* What the source's log says moves on with each event, and more with each transaction. */
static void
advance(struct messages *m)
{
	struct shape_place *p = &m->place;

	p->now_ms = WALL_MS + (long long)(m->made / 50);
	p->lsn += 72;
	if (m->in_transaction++ < m->plan.per_transaction)
		return;
	p->sequence = p->lsn + 48;
	p->lsn = p->sequence + 72;
	p->xid++;
	m->in_transaction = 1;
}

/* Returns how many bytes of `key` and what lies behind it were used. */
static size_t
make_one(struct messages *m, struct kafka_message *one, char *key)
{
	struct shape_change c = {.shape = SHAPE_ORDERS, .key = m->deleted};
	bool tombstone = m->deleted >= 0;
	char *value = key + SHAPE_KEY_MAX;

	if (m->plan.schema == MESSAGES_MIXED && m->schema != (m->made / SCHEMA_RUN % 2 == 0))
		use_schema(m, !m->schema);
	*one = (struct kafka_message){.offset = (int64_t)m->made, .timestamp_ms = WALL_MS};
	m->deleted = -1;
	if (!tombstone) {
		advance(m);
		c = choose_change(m);
		one->value = value;
		one->value_len = (size_t)shape_value(value, &c, &m->place);
	}
	int key_len = shape_key(key, &c);
	one->key = key_len < 0 ? NULL : key;
	one->key_len = key_len < 0 ? 0 : (size_t)key_len;
	m->made++;
	return SHAPE_KEY_MAX + one->value_len;
}

/* Close together, as in a fetched batch of a broker's, and beginning anywhere. */
const struct kafka_message *
messages_make(struct messages *m, unsigned count)
{
	size_t at = 0;

	if (count > m->room) {
		m->room = count;
		free(m->bytes);
		free(m->list);
		m->list = xcalloc(count, sizeof(*m->list));
		m->bytes = xcalloc(count, SHAPE_KEY_MAX + SHAPE_MESSAGE_MAX);
	}
	for (unsigned i = 0; i < count; i++)
		at += make_one(m, &m->list[i], m->bytes + at);
	return m->list;
}
