/*
 * kafka.c - a database, the Debezium connector that reads it, and the logs that it has written.
 *
 * First all that a connector would send that never dies, unit by unit; then its lives: it sends
 * again from its last flush, and what was not acknowledged of a log's end may be lost.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

enum {
	KEEP_FREE = 64, /* units kept for what one item can need */
	SEGMENTS = 2 * SIM_ITEMS + 2,
	BACK = 16, /* units that a connector sends again at most */
};

struct unit { /* what the connector sends, in its order */
	enum { UNIT_BEGIN, UNIT_EVENT, UNIT_END, UNIT_ROW } kind;
	unsigned log, txn;
	struct entry entry;
	bool run_goes_on; /* the next event has the same LSN */
	uint64_t commit;
	unsigned count[SIM_TABLES]; /* END: events */
	struct attempt *attempt;
};

struct segment { /* units between two snapshots' beginnings */
	unsigned start, end;
	bool partial; /* a snapshot that was never finished */
};

struct maker {
	struct kafka_fake *k;
	const struct plan *plan;
	const struct plan_server *server;
	uint64_t random; /* of the item at hand */
	struct contents now;
	unsigned first_log[SIM_TABLES];
	uint64_t lsn, previous;
	bool has_previous;
	int64_t ms;
	unsigned txns, count, segments, kills;
	unsigned lost; /* events that were sent, but not kept */
	unsigned order[SIM_TABLES];
	struct unit unit[SIM_UNITS];
	struct segment segment[SEGMENTS];
	struct {
		unsigned at;
		uint64_t raw;
	} kill[SIM_ITEMS];
	unsigned seen_at[SIM_UNITS][SIM_LOGS + 1]; /* lengths of logs before a unit was sent */
	unsigned life_order[SIM_TABLES];
	uint64_t life_sequence; /* what this life takes for a commit, 0: it knows one */
};

static uint64_t
draw(struct maker *m, uint64_t below)
{
	return sim_random(&m->random, below);
}

static struct unit *
unit_add(struct maker *m, unsigned kind)
{
	struct unit *u = &m->unit[m->count++];
	INVARIANT(m->count <= SIM_UNITS);
	memset(u, 0, sizeof(*u));
	u->kind = kind;
	u->txn = m->txns;
	return u;
}

/* Where parts of a table may be shown alone, a row must not leave before it came. */
static bool
values_stay(const struct maker *m)
{
	return m->server->partitions[1] > 1 &&
	       (m->plan->slow || m->server->mode == ORDER_NONE || m->server->old);
}

static unsigned
log_of(struct maker *m, unsigned table, unsigned id, unsigned value)
{
	unsigned n = m->server->partitions[table];
	if (table == 0)
		return m->first_log[0] + id % n;
	return m->first_log[1] + (values_stay(m) ? value % n : (unsigned)draw(m, n));
}

/* --- transactions --- */

static struct unit *
event_add(struct maker *m, unsigned table, char op, const struct entry *e)
{
	struct unit *u = unit_add(m, UNIT_EVENT);
	u->entry = *e;
	u->entry.op = op;
	u->log = log_of(m, table, e->id, op == 'd' ? e->old_value : e->value);
	u->entry.place.order = ++m->order[table];
	u->entry.place.lsn = m->lsn;
	u->entry.attempt = -1;
	return u;
}

static void
tombstone_add(struct maker *m, const struct unit *deleted)
{
	struct unit *u = unit_add(m, UNIT_EVENT);
	*u = *deleted;
	u->entry.op = 0;
	u->run_goes_on = true;
}

static void
keyed_delete(struct maker *m, unsigned id)
{
	struct entry e = {.id = (uint8_t)id};
	struct unit *u = event_add(m, 0, 'd', &e);
	u->run_goes_on = true;
	tombstone_add(m, u);
	m->now.row[id].is = false;
}

static void
keyed_put(struct maker *m, unsigned id, char op)
{
	struct entry e = {.id = (uint8_t)id,
			  .group = (uint8_t)draw(m, SIM_GROUPS),
			  .value = (uint8_t)draw(m, SIM_VALUES)};
	e.unchanged = op == 'u' && draw(m, 4) == 0 && !m->plan->slow;
	if (e.unchanged)
		e.value = m->now.row[id].value;
	event_add(m, 0, op, &e);
	m->now.row[id].is = true;
	m->now.row[id].group = e.group;
	m->now.row[id].value = e.value;
}

static void
keyed_change(struct maker *m)
{
	unsigned id = (unsigned)draw(m, SIM_IDS), other = (unsigned)draw(m, SIM_IDS);
	unsigned what = (unsigned)draw(m, 8);
	if (!m->now.row[id].is) {
		keyed_put(m, id, 'c');
	} else if (what < 2) {
		keyed_delete(m, id);
	} else if (what == 2 && !m->now.row[other].is) {
		keyed_delete(m, id); /* a key changes: one LSN */
		keyed_put(m, other, 'c');
	} else {
		keyed_put(m, id, 'u');
	}
}

static bool
bag_pick(struct maker *m, struct entry *e)
{
	unsigned at = (unsigned)draw(m, SIM_GROUPS * SIM_VALUES);
	for (unsigned i = 0; i < SIM_GROUPS * SIM_VALUES; i++) {
		unsigned cell = (at + i) % (SIM_GROUPS * SIM_VALUES);
		if (m->now.bag[cell / SIM_VALUES][cell % SIM_VALUES] == 0)
			continue;
		e->old_group = (uint8_t)(cell / SIM_VALUES);
		e->old_value = (uint8_t)(cell % SIM_VALUES);
		return true;
	}
	return false;
}

static void
keyless_change(struct maker *m)
{
	struct entry e = {.group = (uint8_t)draw(m, SIM_GROUPS),
			  .value = (uint8_t)draw(m, SIM_VALUES)};
	unsigned what = (unsigned)draw(m, 5);
	char op = 'c';
	if (what < 3 && bag_pick(m, &e))
		op = what < 2 || values_stay(m) ? 'd' : 'u';
	event_add(m, 1, op, &e);
	if (op != 'c')
		m->now.bag[e.old_group][e.old_value]--;
	if (op != 'd')
		m->now.bag[e.group][e.value]++;
}

static void
truncate_add(struct maker *m, unsigned table)
{
	struct entry e = {.id = 0};
	event_add(m, table, 't', &e)->entry.place.truncate = true;
	if (table == 0)
		memset(m->now.row, 0, sizeof(m->now.row));
	else
		memset(m->now.bag, 0, sizeof(m->now.bag));
}

static void
change_add(struct maker *m)
{
	bool keyed = m->server->tables == 3 ? draw(m, 2) == 0 : m->server->tables == 1;
	if (m->server->partitions[!keyed] == 1 && draw(m, 20) == 0)
		truncate_add(m, !keyed);
	else if (keyed)
		keyed_change(m);
	else
		keyless_change(m);
}

static void
prefix_add(struct maker *m)
{
	struct kafka_fake *k = m->k;
	INVARIANT(k->prefixes < SIM_TXNS);
	k->prefix[k->prefixes] = m->now;
	for (unsigned t = 0; t < SIM_TABLES; t++)
		state_show(&m->now, t, &k->prefix_shown[k->prefixes]);
	k->prefixes++;
}

static void
transaction_finish(struct maker *m, unsigned first)
{
	struct unit *end = unit_add(m, UNIT_END);
	m->ms += (int64_t)draw(m, 3);
	for (unsigned i = first; i < m->count; i++) {
		struct unit *u = &m->unit[i];
		u->entry.place.source_ms = m->ms;
		u->commit = m->lsn;
		u->entry.place.has_sequence = m->has_previous;
		u->entry.place.sequence = m->previous;
		u->entry.place.xid = 1000 * (1 + m->txns);
		end->count[0] +=
		    u->kind == UNIT_EVENT && u->entry.op != 0 && u->log < m->server->partitions[0];
		end->count[1] += u->kind == UNIT_EVENT && u->log >= m->server->partitions[0];
	}
	m->previous = m->lsn;
	m->has_previous = true;
	m->txns++;
	prefix_add(m);
}

/* LSNs of transactions overlap: this one may have begun before the one before it ended. */
static void
transaction_add(struct maker *m)
{
	unsigned first = m->count, changes = (unsigned)draw(m, 6);
	uint64_t newest = m->lsn, run = draw(m, 3);
	m->lsn -= draw(m, 3) == 0 ? 3 : 0;
	memset(m->order, 0, sizeof(m->order));
	unit_add(m, UNIT_BEGIN);
	if (changes == 0 && draw(m, 2) == 0)
		changes = 1;
	for (unsigned i = 0; i < changes; i++) {
		change_add(m);
		bool goes_on = draw(m, 3) < run && i + 1 < changes;
		m->unit[m->count - 1].run_goes_on = goes_on;
		if (!goes_on)
			m->lsn += 1 + draw(m, 3);
	}
	m->lsn = (m->lsn > newest ? m->lsn : newest) + 8;
	transaction_finish(m, first);
}

static void
transaction_silent(struct maker *m)
{
	unsigned count = m->count;
	uint64_t previous = m->previous;
	bool has = m->has_previous;
	transaction_add(m);
	m->count = count;
	m->previous = previous;
	m->has_previous = has;
}

/* --- snapshots --- */

static void
row_add(struct maker *m, struct attempt *a, unsigned table, unsigned id, unsigned group,
	unsigned value)
{
	struct unit *u = unit_add(m, UNIT_ROW);
	u->entry = (struct entry){
	    .op = 'r', .id = (uint8_t)id, .group = (uint8_t)group, .value = (uint8_t)value};
	u->entry.place.lsn = m->lsn;
	u->entry.place.xid = 500 + 10 * (uint64_t)(a - m->k->attempt) + 1000 * m->txns;
	u->entry.place.source_ms = m->ms;
	u->entry.place.snapshot = a->rows[table] > 0 ? SNAPSHOT_TRUE : SNAPSHOT_FIRST_IN_COLLECTION;
	u->log = log_of(m, table, id, value);
	u->attempt = a;
	a->rows[table]++;
}

static struct attempt *
attempt_add(struct maker *m)
{
	struct attempt *a = &m->k->attempt[m->k->attempts++];
	INVARIANT(m->k->attempts <= SIM_ATTEMPTS);
	memset(a, 0, sizeof(*a));
	a->contents = m->now;
	return a;
}

static void
rows_add(struct maker *m)
{
	unsigned first = m->count, second;
	struct attempt *a = attempt_add(m);
	for (unsigned i = 0; i < SIM_IDS && m->server->tables & 1; i++)
		if (m->now.row[i].is)
			row_add(m, a, 0, i, m->now.row[i].group, m->now.row[i].value);
	second = m->count;
	for (unsigned c = 0; c < SIM_GROUPS * SIM_VALUES; c++)
		for (int n = m->now.bag[c / SIM_VALUES][c % SIM_VALUES]; n > 0; n--)
			row_add(m, a, 1, 0, c / SIM_VALUES, c % SIM_VALUES);
	if (m->count == first)
		return;
	m->unit[first].entry.place.snapshot = SNAPSHOT_FIRST;
	if (second > first && second < m->count)
		m->unit[second - 1].entry.place.snapshot = SNAPSHOT_LAST_IN_COLLECTION;
	m->unit[m->count - 1].entry.place.snapshot = SNAPSHOT_LAST;
}

static void
segment_begin(struct maker *m, bool partial)
{
	if (m->segments > 0)
		m->segment[m->segments - 1].end = m->count;
	m->segment[m->segments++] = (struct segment){.start = m->count, .partial = partial};
}

/* A table without rows would not be in the snapshot at all. */
static void
fill_empty(struct maker *m)
{
	bool rows = false;
	int bag = 0;
	for (unsigned i = 0; i < SIM_IDS; i++)
		rows |= m->now.row[i].is;
	for (unsigned c = 0; c < SIM_GROUPS * SIM_VALUES; c++)
		bag += m->now.bag[c / SIM_VALUES][c % SIM_VALUES];
	if (m->server->tables & 1 && !rows) {
		m->now.row[0].is = true;
		m->now.row[0].value = 1;
	}
	if (m->server->tables & 2 && bag == 0)
		m->now.bag[0][1]++;
	prefix_add(m);
}

/*
 * Later ones are left out where tallyd promises less: it may take silence for the end of one; and
 * several partitions without transaction metadata do not tell which snapshot an event came after.
 */
static bool
snapshots_come(const struct maker *m)
{
	bool parts = m->server->partitions[0] > 1 || m->server->partitions[1] > 1;
	return !m->plan->slow && !(m->server->mode == ORDER_NONE && parts);
}

static void
snapshot_add(struct maker *m)
{
	bool interrupted = draw(m, 3) == 0 && snapshots_come(m);
	if (m->k->attempts + 8 > SIM_ATTEMPTS)
		return;
	for (unsigned i = 0; i < 1u + interrupted; i++) {
		fill_empty(m);
		m->lsn += 100;
		m->ms += 1000;
		segment_begin(m, i == 0 && interrupted);
		rows_add(m);
		m->lsn +=
		    m->server->partitions[0] < 2 && m->server->partitions[1] < 2 && draw(m, 4) == 0
			? 2
			: 50;
		if (i == 0 && interrupted && draw(m, 2) == 0)
			transaction_silent(m);
	}
	m->has_previous = false;
}

/* --- the connector's lives --- */

static void
send_transaction(struct maker *m, const struct unit *u, enum transaction_status status,
		 const unsigned *count)
{
	struct kafka_fake *k = m->k;
	struct transaction_event *e = &k->tx[k->tx_count];
	INVARIANT(k->tx_count < SIM_ENTRIES);
	if (m->server->mode != ORDER_METADATA)
		return;
	memset(e, 0, offsetof(struct transaction_event, count));
	e->status = status;
	e->xid = u->entry.place.xid;
	e->lsn = u->commit;
	e->has_lsn = e->has_counts = true;
	memset(e->count, 0, SIM_TABLES * sizeof(e->count[0]));
	for (unsigned t = 0; t < SIM_TABLES; t++)
		e->count[t] = count != NULL ? count[t] : 0;
	e->offset = k->tx_count;
	e->hash = 7 + k->tx_count++;
	e->source_ms = u->entry.place.source_ms;
	k->tx_epoch[e->offset] = k->epoch;
}

static void
send_garbage(struct maker *m, struct log *log)
{
	struct entry *e = &log->at[log->count];
	INVARIANT(log->count < SIM_ENTRIES);
	*e = (struct entry){.attempt = -1, .sent = m->k->sent++, .epoch = m->k->epoch};
	e->place.kind = EVENT_UNREADABLE;
	e->place.offset = log->count;
	e->place.hash = 1 + (uint64_t)log->count * 31;
	log->count++;
}

static void
send_entry(struct maker *m, unsigned unit)
{
	const struct unit *u = &m->unit[unit];
	struct log *log = &m->k->log[u->log];
	if ((unit + m->k->sent) % 19 == 7)
		send_garbage(m, log);
	struct entry *e = &log->at[log->count];
	INVARIANT(log->count < SIM_ENTRIES);
	*e = u->entry;
	e->unit = (uint16_t)unit;
	e->sent = m->k->sent++;
	e->epoch = m->k->epoch;
	e->attempt = u->attempt != NULL ? (int)(u->attempt - m->k->attempt) : -1;
	e->place.kind = e->op == 0 ? EVENT_TOMBSTONE : EVENT_CHANGE;
	e->place.has_sequences = e->place.has_lsn = true;
	if (m->server->mode != ORDER_METADATA || u->kind == UNIT_ROW)
		e->place.order = 0;
	else if (m->server->old && e->op != 0)
		e->place.order = ++m->life_order[log->table];
	if (m->life_sequence != 0 && u->kind == UNIT_EVENT && !e->place.has_sequence) {
		e->place.has_sequence = true;
		e->place.sequence = m->life_sequence;
	}
	e->place.offset = log->count;
	e->place.hash = 1 + (uint64_t)log->count * 31 + u->log;
	log->count++;
}

/*
 * Where no commit came before: a connector that goes on amid that transaction takes where it was for one, and
 * the same events have a `sequence` then. 0: it does not.
 */
static uint64_t
sequence_of_life(const struct maker *m, unsigned from)
{
	const struct unit *u = &m->unit[from];
	if (from == 0 || u->kind != UNIT_EVENT || u->entry.place.has_sequence)
		return 0;
	return u[-1].kind == UNIT_EVENT ? u[-1].entry.place.lsn : u->entry.place.lsn - 1;
}

/* One life: from a unit to another. An old connector counts as that life counts. */
static void
connector_live(struct maker *m, unsigned from, unsigned to)
{
	m->life_sequence = sequence_of_life(m, from);
	for (unsigned i = from; i < to; i++) {
		const struct unit *u = &m->unit[i];
		for (unsigned l = 0; l < m->k->logs; l++)
			m->seen_at[i][l] = m->k->log[l].count;
		m->seen_at[i][SIM_LOGS] = m->k->tx_count;
		m->k->epoch += u->kind != UNIT_ROW && i > 0 && m->unit[i - 1].kind == UNIT_ROW;
		if (i == from || u->kind == UNIT_BEGIN)
			memset(m->life_order, 0, sizeof(m->life_order));
		if (u->kind == UNIT_BEGIN || (m->server->old && i == from && u->kind != UNIT_ROW))
			send_transaction(m, u, TRANSACTION_BEGIN, NULL);
		if (u->kind == UNIT_END)
			send_transaction(m, u, TRANSACTION_END,
					 m->server->old ? m->life_order : u->count);
		else if (u->kind != UNIT_BEGIN)
			send_entry(m, i);
	}
}

/* Killed: of what was sent after the last flush the end of each log may be lost. */
static void
connector_lose(struct maker *m, unsigned flushed)
{
	for (unsigned l = 0; l <= m->k->logs; l++) {
		unsigned *count = l < m->k->logs ? &m->k->log[l].count : &m->k->tx_count;
		unsigned kept = m->seen_at[flushed][l < m->k->logs ? l : SIM_LOGS];
		if (*count <= kept)
			continue;
		unsigned left = kept + (unsigned)draw(m, *count - kept + 1);
		m->lost += l < m->k->logs ? *count - left : 0;
		*count = left;
	}
}

/* A snapshot that was not finished is read again as a whole; at its end all is flushed. */
static unsigned
snapshot_anew(struct maker *m, unsigned unit, unsigned killed)
{
	for (unsigned i = unit; i <= killed; i++)
		if (m->unit[i].kind != UNIT_ROW)
			return i;
	while (unit > 0 && m->unit[unit - 1].kind == UNIT_ROW &&
	       m->unit[unit - 1].attempt == m->unit[unit].attempt)
		unit--;
	struct attempt *old = m->unit[unit].attempt, *a = &m->k->attempt[m->k->attempts++];
	INVARIANT(m->k->attempts <= SIM_ATTEMPTS);
	*a = *old;
	for (unsigned i = unit; i < m->count && m->unit[i].attempt == old; i++) {
		m->unit[i].entry.place.lsn++;
		m->unit[i].entry.place.xid++;
		m->unit[i].attempt = a;
	}
	return unit;
}

/*
 * Without data_collection_order nothing tells the last event of a log, sent again next to itself,
 * from another row of one COPY: such a repeat counts. That is not held against tallyd here.
 */
static void
neighbours_part(struct maker *m, unsigned flushed)
{
	if (m->server->mode == ORDER_METADATA)
		return;
	for (unsigned l = 0; l < m->k->logs; l++) {
		struct log *log = &m->k->log[l];
		unsigned next = flushed;
		while (next < m->count &&
		       (m->unit[next].log != l || m->unit[next].kind != UNIT_EVENT))
			next++;
		while (next < m->count && log->count > m->seen_at[flushed][l] &&
		       (log->at[log->count - 1].place.kind == EVENT_UNREADABLE ||
			log->at[log->count - 1].place.lsn == m->unit[next].entry.place.lsn))
			log->count--;
	}
}

static unsigned
connector_flushed(struct maker *m, unsigned from, unsigned to)
{
	unsigned back = to - from < BACK ? to - from : BACK;
	unsigned flushed = to - 1 - (unsigned)draw(m, back);
	bool counts = m->server->mode == ORDER_METADATA && !m->server->old;
	while (!counts && flushed > from && m->unit[flushed - 1].run_goes_on)
		flushed--;
	if (m->unit[flushed].kind == UNIT_ROW)
		flushed = snapshot_anew(m, flushed, to - 1);
	return flushed;
}

static void
segment_live(struct maker *m, const struct segment *s, bool last)
{
	unsigned from = s->start;
	if (s->start == s->end)
		return;
	if (s->partial) {
		m->random = s->start + m->plan->seed;
		connector_live(m, from, from + 1 + (unsigned)draw(m, s->end - s->start));
		connector_lose(m, from);
		return;
	}
	for (unsigned i = 0; i < m->kills; i++) {
		unsigned to = m->kill[i].at;
		m->random = m->kill[i].raw;
		if (to <= from || to > s->end || m->k->attempts + 2 > SIM_ATTEMPTS)
			continue;
		connector_live(m, from, to);
		unsigned flushed = connector_flushed(m, from, to);
		connector_lose(m, flushed);
		neighbours_part(m, flushed);
		from = flushed;
		m->k->kills++;
	}
	if (from == s->end)
		return;
	connector_live(m, from, s->end);
	m->random = s->end + m->plan->seed;
	/* Rows of a snapshot are lost only with its end: else it would never be known. */
	unsigned lost = m->lost, flushed = s->end - (unsigned)draw(m, s->end - from) - 1;
	while (flushed < s->end && m->unit[flushed].kind == UNIT_ROW)
		flushed++;
	if (!last && draw(m, 2) == 0 && flushed < s->end)
		connector_lose(m, flushed);
	m->k->torn |= m->lost > lost;
}

/* --- the whole --- */

static void
logs_make(struct maker *m)
{
	struct kafka_fake *k = m->k;
	k->logs = k->tx_count = k->tx_visible = k->attempts = k->prefixes = 0;
	k->sent = k->kills = k->snapshots = k->epoch = 0;
	k->torn = false;
	for (unsigned t = 0; t < SIM_TABLES; t++) {
		m->first_log[t] = k->logs;
		for (unsigned p = 0; p < m->server->partitions[t]; p++) {
			struct log *log = &k->log[k->logs++];
			log->table = (uint16_t)t;
			log->partition = (int32_t)p;
			log->count = log->visible = 0;
		}
	}
}

static void
items_make(struct maker *m)
{
	unsigned silent = 0;
	m->random = m->plan->seed ^ 0x51;
	if (m->server->starts_bare || m->plan->slow)
		segment_begin(m, false);
	else {
		transaction_silent(m);
		snapshot_add(m);
	}
	for (unsigned i = 0; i < m->server->count && m->count < SIM_UNITS - KEEP_FREE; i++) {
		const struct plan_part *item = &m->server->item[i];
		m->random = item->raw;
		if (item->dropped || (item->kind == ITEM_SNAPSHOT && !snapshots_come(m)))
			continue;
		if (item->kind == ITEM_SNAPSHOT) {
			silent = (unsigned)draw(m, 3);
			for (; silent > 0; silent--)
				transaction_silent(m);
			snapshot_add(m);
		} else if (item->kind == ITEM_TRANSACTION) {
			transaction_add(m);
		} else {
			unsigned cut = (unsigned)draw(m, 8);
			m->kill[m->kills].at = m->count > cut ? m->count - cut : 0;
			m->kill[m->kills++].raw = item->raw;
		}
	}
	/* Until the next END, nobody knows that one before it was lost. */
	m->random = m->plan->seed;
	transaction_add(m);
	m->segment[m->segments - 1].end = m->count;
}

/* Attempts as the logs have them: what was lost at the end of a log is not of them. */
static void
attempts_count(struct kafka_fake *k)
{
	for (unsigned a = 0; a < k->attempts; a++) {
		memset(k->attempt[a].rows_sent, 0, sizeof(k->attempt[a].rows_sent));
		k->attempt[a].begun = UINT32_MAX;
		for (unsigned l = 0; l < k->logs; l++)
			k->attempt[a].last[l] = -1;
	}
	for (unsigned l = 0; l < k->logs; l++) {
		for (unsigned i = 0; i < k->log[l].count; i++) {
			const struct entry *e = &k->log[l].at[i];
			if (e->attempt < 0)
				continue;
			struct attempt *a = &k->attempt[e->attempt];
			a->rows_sent[k->log[l].table]++;
			a->last[l] = (int)i;
			if (e->sent < a->begun)
				a->begun = e->sent;
		}
	}
	k->snapshots = k->attempts;
}

void
kafka_make(struct kafka_fake *k, const struct plan *plan, unsigned server)
{
	static struct maker m;
	memset(&m, 0, offsetof(struct maker, unit));
	m.segments = m.kills = 0;
	m.k = k;
	m.plan = plan;
	m.server = &plan->server[server];
	m.lsn = 1000;
	m.ms = 1700000000000;
	logs_make(&m);
	prefix_add(&m);
	items_make(&m);
	for (unsigned i = 0; i < m.segments; i++)
		segment_live(&m, &m.segment[i], i + 1 == m.segments);
	attempts_count(k);
}

/* --- what the logs say --- */

/* Of one table: each table is replaced for itself. */
static bool
attempt_is_in(const struct kafka_fake *k, const struct attempt *a, unsigned table,
	      const int64_t *next)
{
	for (unsigned l = 0; l < k->logs; l++)
		if (k->log[l].table == table && a->last[l] >= next[l])
			return false;
	return a->rows[table] > 0 && a->rows_sent[table] == a->rows[table];
}

static void
entry_apply(const struct entry *e, unsigned table, struct contents *c)
{
	if (e->op == 't') {
		if (table == 0)
			memset(c->row, 0, sizeof(c->row));
		else
			memset(c->bag, 0, sizeof(c->bag));
		return;
	}
	if (table == 0) {
		c->row[e->id].is = e->op != 'd';
		c->row[e->id].group = e->group;
		c->row[e->id].value = e->value;
		return;
	}
	if (e->op != 'c')
		c->bag[e->old_group][e->old_value]--;
	if (e->op != 'd')
		c->bag[e->group][e->value]++;
}

static void
table_state_at(const struct kafka_fake *k, unsigned table, const int64_t *next, struct contents *c)
{
	bool seen[SIM_UNITS] = {false};
	unsigned begun = 0;
	for (unsigned i = 0; i < k->attempts; i++) {
		const struct attempt *a = &k->attempt[i];
		if (!attempt_is_in(k, a, table, next) || a->begun < begun)
			continue;
		begun = a->begun;
		if (table == 0)
			memcpy(c->row, a->contents.row, sizeof(c->row));
		else
			memcpy(c->bag, a->contents.bag, sizeof(c->bag));
	}
	for (unsigned l = 0; l < k->logs; l++) {
		for (int64_t i = 0; k->log[l].table == table && i < next[l]; i++) {
			const struct entry *e = &k->log[l].at[i];
			if (e->attempt >= 0 || e->op == 0 || e->sent < begun || seen[e->unit])
				continue;
			seen[e->unit] = true;
			entry_apply(e, table, c);
		}
	}
}

void
kafka_state_at(const struct kafka_fake *k, const int64_t *next, struct contents *c)
{
	memset(c, 0, sizeof(*c));
	for (unsigned t = 0; t < SIM_TABLES; t++)
		table_state_at(k, t, next, c);
}

static void
entry_print(const struct log *log, const struct entry *e)
{
	printf("  t%u[%d] %3" PRId64 ": %c", log->table, log->partition, e->place.offset,
	       e->place.kind == EVENT_UNREADABLE ? '?'
	       : e->op != 0                      ? e->op
						 : '-');
	if (e->attempt >= 0)
		printf(" attempt %d mark %u", e->attempt, e->place.snapshot);
	else if (e->place.has_sequence)
		printf(" seq %" PRIu64, e->place.sequence);
	else
		printf(" seq -");
	printf(" lsn %" PRIu64 " xid %" PRIu64 " order %" PRId64
	       " id %u (g %u v %u%s) was (g %u v %u) "
	       "unit %u\n",
	       e->place.lsn, e->place.xid, e->place.order, e->id, e->group, e->value,
	       e->unchanged ? " unchanged" : "", e->old_group, e->old_value, e->unit);
}

void
kafka_print(const struct kafka_fake *k)
{
	for (unsigned l = 0; l < k->logs; l++)
		for (unsigned i = 0; i < k->log[l].count; i++)
			entry_print(&k->log[l], &k->log[l].at[i]);
	for (unsigned i = 0; i < k->tx_count; i++)
		printf("  tx %3u: %s xid %" PRIu64 " lsn %" PRIu64 " counts %" PRIu64 " %" PRIu64
		       "\n",
		       i, k->tx[i].status == TRANSACTION_BEGIN ? "BEGIN" : "END  ", k->tx[i].xid,
		       k->tx[i].lsn, k->tx[i].count[0], k->tx[i].count[1]);
}
