#include <string.h>

#include "common/fault.h"
#include "common/pack.h"
#include "ingest/order_state.h"

#define TOKEN_VERSION    4
#define TOKEN_FIELDS     15
#define TABLE_FIELDS     8
#define PARTITION_FIELDS 8

/* --- position entries --- */

/* The transaction topic's position once the pending END is consumed. */
struct transaction_position
order_transaction_after(const struct order *o)
{
	struct transaction_position at = o->tx;
	at.set = true;
	at.next = o->end.offset + 1;
	at.hash = o->end.hash;
	at.last = o->end.lsn;
	return at;
}

static void
pack_transaction(const struct order *o, bool all, struct pack *pack)
{
	if (o->todo.deed == DO_END) {
		struct transaction_position at = order_transaction_after(o);
		position_pack_transaction(pack, &at);
	} else if (o->tx.set && (all || o->tx_changed)) {
		position_pack_transaction(pack, &o->tx);
	}
}

/* May be asked again before order_done(): that is what marks them as told. */
void
order_pack_position(struct order *o, bool all, struct pack *pack)
{
	bool cut = o->todo.deed == DO_CUT;
	pack_transaction(o, all, pack);
	for (unsigned i = 0; i < (all ? o->count : o->changed_count); i++) {
		const struct order_partition *p = &o->partitions[all ? i : o->changed[i]];
		position_pack_partition(pack, cut && p->has_durable ? &p->durable : &p->at);
	}
}

/* --- the resume token --- */

static void
table_save(const struct order_table *t, uint16_t table, struct pack *pack)
{
	pack_array(pack, TABLE_FIELDS);
	pack_uint(pack, table);
	pack_bool(pack, t->begun);
	pack_bool(pack, t->first_seen);
	pack_bool(pack, t->end_seen);
	pack_bool(pack, t->more);
	pack_uint(pack, t->lsn);
	pack_uint(pack, t->xid);
	pack_uint(pack, t->taken);
}

static void
partition_save(const struct order *o, const struct order_partition *p, struct pack *pack)
{
	pack_array(pack, PARTITION_FIELDS);
	position_pack_partition(pack, &p->at);
	pack_bool(pack, p->keyless);
	pack_bool(pack, p->rows);
	pack_bool(pack, p->changed);
	pack_bool(pack, p->arrived);
	pack_uint(pack, p->unread);
	pack_bool(pack, p->unread_ended);
	if (o->cut || !p->has_durable)
		pack_nil(pack);
	else
		position_pack_partition(pack, &p->durable);
}

void
order_save(const struct order *o, struct pack *pack)
{
	unsigned tables = 0;
	for (unsigned i = 0; i < o->table_room; i++)
		tables += o->tables[i].partitions > 0;
	pack_array(pack, TOKEN_FIELDS);
	pack_uint(pack, TOKEN_VERSION);
	pack_uint(pack, o->mode);
	pack_bool(pack, o->cut);
	pack_bool(pack, o->txn);
	pack_bool(pack, o->loose || o->owed);
	pack_bool(pack, o->snapshot_open);
	pack_bool(pack, o->closing);
	pack_bool(pack, o->last_seen);
	pack_uint(pack, o->snapshot_lsn);
	pack_uint(pack, o->taken_xid);
	pack_bool(pack, o->tx.set);
	position_pack_transaction(pack, &o->tx);
	pack_bool(pack, o->tx_changed);
	pack_array(pack, tables);
	for (unsigned i = 0; i < o->table_room; i++)
		if (o->tables[i].partitions > 0)
			table_save(&o->tables[i], (uint16_t)i, pack);
	pack_array(pack, o->count);
	for (unsigned i = 0; i < o->count; i++)
		partition_save(o, &o->partitions[i], pack);
}

static void
table_load(struct order *o, struct unpack *u)
{
	if (unpack_array(u) != TABLE_FIELDS)
		u->bad = true;
	uint64_t table = unpack_uint(u);
	if (u->bad || table > UINT16_MAX) {
		u->bad = true;
		return;
	}
	struct order_table *t = order_table_at(o, (uint16_t)table);
	t->begun = unpack_bool(u);
	t->first_seen = unpack_bool(u);
	t->end_seen = unpack_bool(u);
	t->more = unpack_bool(u);
	t->lsn = unpack_uint(u);
	t->xid = unpack_uint(u);
	t->taken = unpack_uint(u);
}

static void
partition_load(struct order *o, struct unpack *u)
{
	struct order_partition p = {0};
	if (unpack_array(u) != PARTITION_FIELDS)
		u->bad = true;
	position_unpack_partition(u, &p.at);
	p.keyless = unpack_bool(u);
	p.rows = unpack_bool(u);
	bool changed = unpack_bool(u);
	bool arrived = unpack_bool(u);
	p.unread = unpack_uint(u);
	p.unread_ended = unpack_bool(u);
	p.has_durable = !unpack_nil(u);
	if (p.has_durable)
		position_unpack_partition(u, &p.durable);
	if (u->bad)
		return;
	int number = order_insert(o, &p);
	o->unread += p.unread;
	struct order_partition *at = &o->partitions[number];
	if (changed)
		order_mark_changed(o, at);
	if (arrived)
		order_arrive(o, at);
}

/* What other code relies on; a token of ours always has it. */
static bool
snapshot_is_sane(const struct order *o)
{
	bool begun = false;
	for (unsigned i = 0; i < o->table_room; i++)
		begun |= o->tables[i].begun;
	return (o->snapshot_open || !begun) && (begun || !o->closing);
}

static void
flags_load(struct order *o, struct unpack *u)
{
	o->cut = unpack_bool(u);
	o->txn = unpack_bool(u);
	o->loose = unpack_bool(u);
	o->snapshot_open = unpack_bool(u);
	o->closing = unpack_bool(u);
	o->last_seen = unpack_bool(u);
	o->snapshot_lsn = unpack_uint(u);
	o->taken_xid = unpack_uint(u);
}

bool
order_load(struct order *o, const uint8_t *token, size_t len)
{
	struct unpack u;
	unpack_init(&u, token, len);
	if (FAULT("order.load") || o->count > 0 || unpack_array(&u) != TOKEN_FIELDS ||
	    unpack_uint(&u) != TOKEN_VERSION)
		return false;
	(void)unpack_uint(&u); /* the mode it was saved in: a caller may go on in another */
	flags_load(o, &u);
	bool set = unpack_bool(&u);
	position_unpack_transaction(&u, &o->tx);
	o->tx.set = set;
	o->tx_changed = unpack_bool(&u);
	for (uint32_t n = unpack_array(&u); n > 0 && !u.bad; n--)
		table_load(o, &u);
	for (uint32_t n = unpack_array(&u); n > 0 && !u.bad; n--)
		partition_load(o, &u);
	o->owed = o->cut && o->loose; /* of either, there is no END yet */
	o->applied_ms = o->row_ms = -1;
	o->loose |= o->txn && o->mode == ORDER_NONE;
	o->txn = o->txn && o->mode != ORDER_NONE;
	return !u.bad && u.at == u.end && snapshot_is_sane(o);
}
