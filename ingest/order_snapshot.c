#include <inttypes.h>
#include <string.h>

#include "common/stage.h"
#include "ingest/order_state.h"

static bool
mark_is_first(enum snapshot_mark mark)
{
	return mark == SNAPSHOT_FIRST || mark == SNAPSHOT_FIRST_IN_COLLECTION;
}

/* An attempt is read by one transaction, and a later one by a later transaction. */
static int
attempt_compare(const struct event_place *row, uint64_t lsn, uint64_t xid)
{
	if (row->lsn != lsn)
		return row->lsn < lsn ? -1 : 1;
	if (row->xid == 0 || xid == 0)
		return 0;
	return (row->xid > xid) - (row->xid < xid);
}

/*
 * Within one partition rows come in the connector's order; among the partitions of a table they do
 * not, so where nothing else tells attempts apart, a first mark is a second beginning only where
 * this partition gave rows before, or when the attempt has had its first mark.
 */
static bool
row_begins_anew(const struct order_table *t, const struct order_partition *p)
{
	int order = attempt_compare(&p->head, t->lsn, t->xid);
	if (order != 0)
		return order > 0 || p->rows;
	return (p->head.xid == 0 || t->xid == 0) && mark_is_first(p->head.snapshot) &&
	       (p->rows || t->first_seen);
}

/* Of an attempt that silence has closed before this partition's rows were there. */
static bool
row_is_late(const struct order_table *t, const struct order_partition *p)
{
	const struct snapshot_place *closed = &t->closed;
	if (!closed->set || attempt_compare(&p->head, closed->lsn, closed->xid) != 0)
		return false;
	if (p->head.xid != 0 && closed->xid != 0)
		return true;
	return !mark_is_first(p->head.snapshot) && (t->partitions > 1 || !closed->marked);
}

/* Of an attempt at the same LSN that was given up before the one that is whole. */
static bool
row_is_given_up(const struct order_table *t, const struct order_partition *p)
{
	return t->closed.set && p->head.lsn == t->closed.lsn &&
	       attempt_compare(&p->head, t->closed.lsn, t->closed.xid) < 0;
}

static bool
mark_is_beyond(const struct watermark *mark, uint64_t lsn)
{
	if (!mark->set || mark->ordinal == 0)
		return false;
	return mark->has_sequence ? mark->sequence >= lsn : mark->lsn > lsn;
}

/* The end of the attempt would wipe out what other partitions have applied after it. */
static bool
row_comes_too_late(const struct order *o, const struct order_partition *p)
{
	if (!o->cut || !p->head.has_sequences || mark_is_beyond(&p->at.mark, p->head.lsn))
		return false;
	for (unsigned i = 0; i < o->count; i++) {
		const struct order_partition *other = &o->partitions[i];
		if (other != p && other->at.table == p->at.table && !other->rows &&
		    mark_is_beyond(&other->at.mark, p->head.lsn))
			return true;
	}
	return false;
}

/* What to do with a head that is a row of a snapshot. */
struct todo
order_snapshot_row(struct order *o, const struct order_partition *p)
{
	const struct order_table *t = &o->tables[p->at.table];
	if (t->begun) {
		if (attempt_compare(&p->head, t->lsn, t->xid) < 0 && !p->rows)
			return order_apply(o, p, DO_APPLY_LOOSE);
		if (!row_begins_anew(t, p))
			return order_apply(o, p, DO_APPLY_ROW);
	} else if (row_is_late(t, p)) {
		return order_apply(o, p, DO_APPLY_LOOSE);
	} else if (row_is_given_up(t, p)) {
		return order_apply(o, p, DO_DROP);
	}
	if (row_comes_too_late(o, p))
		order_refuse(o, EXIT_CONFIG, order_number(o, p),
			     "the snapshot row at offset %" PRId64
			     " was delivered after newer changes of "
			     "other partitions of its table: rebuild this pipeline",
			     p->head.offset);
	return order_apply(o, p, DO_SNAPSHOT_BEGIN);
}

/* The attempt of the head's table begins, or begins anew. */
void
order_snapshot_begun(struct order *o, uint16_t table, const struct order_partition *p)
{
	struct order_table *t = &o->tables[table];
	t->begun = true;
	t->first_seen = t->end_seen = t->more = false;
	t->lsn = p->head.lsn;
	t->xid = p->head.xid;
	if (!o->snapshot_open) {
		o->last_seen = false;
		o->told_lsn = o->tx.last;
	}
	if (!o->snapshot_open || o->snapshot_lsn < t->lsn)
		o->snapshot_lsn = t->lsn;
	o->snapshot_open = true;
	o->row_ms = o->now_ms;
	o->await_ms = -1;
	for (unsigned i = 0; i < o->count; i++) {
		if (o->partitions[i].at.table == table)
			o->partitions[i].rows = false;
		if (o->partitions[i].kind == HEAD_AWAIT)
			order_classify(o, &o->partitions[i]);
	}
}

void
order_snapshot_applied(struct order *o, struct order_partition *p)
{
	struct order_table *t = &o->tables[p->at.table];
	enum snapshot_mark mark = p->head.snapshot;
	p->rows = true;
	t->first_seen |= mark_is_first(mark);
	t->end_seen |= mark == SNAPSHOT_LAST || mark == SNAPSHOT_LAST_IN_COLLECTION;
	/* A table of one row says `first` or `last`; a connector without end marks has no first ones. */
	t->more |= mark == SNAPSHOT_FIRST_IN_COLLECTION || (mark == SNAPSHOT_TRUE && t->first_seen);
	o->last_seen |= mark == SNAPSHOT_LAST;
	o->row_ms = o->now_ms;
}

/*
 * From here on a partition's own events tell its repeats again: judged by the snapshot's LSN, and
 * by what was applied before it, unless that is of a source with higher LSNs.
 */
static void
partition_judge_by(struct order_partition *p, uint64_t lsn)
{
	struct partition_position *at = &p->at;
	if (at->mark.set && !order_mark_is_snapshot(&at->mark))
		at->before = at->mark;
	if (at->before.lsn > lsn)
		at->before = (struct watermark){.set = false};
	at->mark = (struct watermark){.set = true, .lsn = lsn};
	if (!at->before.set) {
		at->seen = at->mark;
		at->seen_order = 0;
	}
}

/*
 * A row was applied that is not of the open attempt. Where another partition has begun a newer one,
 * it will be gone at its end; what was streamed before that may need it, and is no repeat.
 */
void
order_snapshot_passed(struct order *o, struct order_partition *p)
{
	const struct order_table *t = &o->tables[p->at.table];
	if (t->begun && attempt_compare(&p->head, t->lsn, t->xid) < 0)
		partition_judge_by(p, p->head.lsn);
	else
		o->counters.late++;
}

/*
 * A streamed head that was written after the snapshot. Behind rows of an attempt that a newer one
 * has overtaken, it was not. The first transaction after the snapshot may have begun before it.
 */
static bool
head_is_past(const struct order *o, const struct order_partition *p)
{
	if (p->kind == HEAD_AWAIT || p->kind == HEAD_HELD)
		return true;
	if (p->kind != HEAD_STREAM)
		return false;
	return p->key >= o->snapshot_lsn || p->head.lsn >= o->snapshot_lsn ||
	       (p->rows && o->tables[p->at.table].lsn == o->snapshot_lsn) ||
	       (o->end_pending && o->end.lsn > o->snapshot_lsn && p->head.xid == o->end.xid);
}

/* The connector died before its END, and what it did then is in the snapshot. */
static bool
end_never_comes(const struct order *o)
{
	return !o->end_pending && o->tx_idle && o->tx_idle_ms - o->row_ms >= ORDER_SNAPSHOT_MS;
}

/* A streamed head that is older than the snapshot, and may be applied now. */
static bool
head_is_due(const struct order *o, const struct order_partition *p)
{
	if (p->kind != HEAD_STREAM || head_is_past(o, p) || order_is_behind(o, p))
		return false;
	if (o->mode != ORDER_METADATA || !o->cut)
		return true;
	if (o->end_pending && p->key < o->end.lsn)
		return true;
	return (p->head.has_sequence && p->head.sequence < o->tx.last) || end_never_comes(o);
}

/* The connector gives end marks, and that of the open attempt has not come. */
static bool
table_lacks_mark(const struct order_table *t)
{
	return t->begun && t->more && !t->end_seen;
}

/* One partition has its rows in the connector's order: the end mark is then still to come. */
static bool
table_lacks_rows(const struct order_table *t)
{
	return t->partitions == 1 && table_lacks_mark(t);
}

/*
 * Whether the attempt is to replace what was there, and its end mark has not come: then silence ends
 * nothing, and without that mark the table stays what it is. A first snapshot has nothing to lose: a
 * connector that died in it takes it again before it streams.
 */
static bool
table_lacks_end(const struct order *o, uint16_t table)
{
	const struct order_table *t = &o->tables[table];
	if (!table_lacks_mark(t) || t->closed.set)
		return table_lacks_mark(t);
	for (unsigned i = 0; i < o->count; i++)
		if (o->partitions[i].at.table == table && o->partitions[i].at.mark.set)
			return true;
	return false;
}

/*
 * The connector streams, behind rows of its snapshot, whose end mark never came: it died in it (one
 * that was asked for in mid-stream) and does not take it again. In other partitions the mark may
 * still be on its way, until they stream too or are silent.
 */
static bool
table_is_abandoned(const struct order *o, uint16_t table, int64_t *deadline)
{
	bool streams = false, all = true;
	if (!table_lacks_end(o, table))
		return false;
	for (unsigned i = 0; i < o->count; i++) {
		const struct order_partition *p = &o->partitions[i];
		if (p->at.table != table)
			continue;
		bool stream = p->rows ? p->kind == HEAD_STREAM : head_is_past(o, p);
		if (p->kind != HEAD_NONE && !stream)
			return false;
		streams |= p->rows && stream;
		all &= stream || (!o->cut && p->arrived);
	}
	return streams &&
	       (all || (o->cut && order_is_silent(o, o->row_ms, ORDER_SNAPSHOT_MS, deadline)));
}

static int64_t
silence_needed(const struct order *o)
{
	/* The last row of the last table says nothing of the other tables' topics. */
	for (unsigned i = 0; i < o->table_room; i++)
		if (table_lacks_rows(&o->tables[i]))
			return ORDER_SNAPSHOT_MS;
	if (o->last_seen || (o->end_pending && o->end.lsn > o->snapshot_lsn))
		return o->autocommit_ms;
	for (unsigned i = 0; i < o->table_room; i++)
		if (o->tables[i].partitions > 0 && !o->tables[i].end_seen)
			return ORDER_SNAPSHOT_MS;
	return o->autocommit_ms;
}

static bool
snapshot_is_complete(struct order *o, int64_t *deadline)
{
	*deadline = ORDER_NEVER;
	if (o->count == 1 && o->tables[o->partitions[0].at.table].end_seen)
		return true;
	for (unsigned i = 0; i < o->head_count; i++)
		if (!head_is_past(o, &o->partitions[o->heads[i]]))
			return false;
	if (o->head_count == o->count)
		return true;
	if (!o->cut) {
		for (unsigned i = 0; i < o->count; i++)
			if (o->partitions[i].kind == HEAD_NONE && !o->partitions[i].arrived)
				return false;
		return true;
	}
	for (unsigned i = 0; i < o->table_room; i++)
		if (table_lacks_end(o, (uint16_t)i))
			return false;
	return order_is_silent(o, o->row_ms, silence_needed(o), deadline);
}

/* The open snapshot goes on: rows first, then what is older than it, then its end. */
struct todo
order_snapshot_choose(struct order *o)
{
	const struct order_partition *due = NULL;
	int64_t deadline, abandoned = ORDER_NEVER;
	struct todo todo = {.deed = DO_SNAPSHOT_ABANDON, .partition = -1};
	for (; o->snapshot_heads == 0 && todo.table < o->table_room; todo.table++)
		if (table_is_abandoned(o, todo.table, &abandoned))
			return todo;
	if (o->count == 1 && snapshot_is_complete(o, &deadline))
		return order_snapshot_close(o);
	for (unsigned i = 0; i < o->head_count; i++) {
		const struct order_partition *p = &o->partitions[o->heads[i]];
		if (p->kind == HEAD_SNAPSHOT)
			return order_snapshot_row(o, p);
		if (p->kind == HEAD_LOOSE)
			return order_apply(o, p, DO_APPLY_LOOSE);
		if (due == NULL && head_is_due(o, p))
			due = p;
	}
	if (due != NULL)
		return order_apply(o, due, o->end_pending ? DO_APPLY : DO_APPLY_LOOSE);
	/* What the snapshot holds already needs no END of its own. */
	if (o->end_pending && o->end.lsn <= o->snapshot_lsn && order_end_done(o, &todo)) {
		/* What it counted may lie behind the rows, and is in them. */
		order_consume_end(o, todo.shortage == SHORTAGE_GAP ? SHORTAGE_NONE : todo.shortage);
		o->loose |= o->txn;
		o->txn = false;
		return order_snapshot_choose(o);
	}
	if (snapshot_is_complete(o, &deadline))
		return order_snapshot_close(o);
	if (deadline == ORDER_NEVER && o->tx_idle && !o->end_pending)
		deadline = o->now_ms + 1000;
	return order_wait(deadline < abandoned ? deadline : abandoned);
}

struct todo
order_snapshot_close(struct order *o)
{
	struct todo todo = {.deed = DO_SNAPSHOT_END, .partition = -1};
	o->closing = true;
	while (todo.table < o->table_room && !o->tables[todo.table].begun)
		todo.table++;
	return todo;
}

static void
partition_close(struct order *o, struct order_partition *p, const struct order_table *t)
{
	partition_judge_by(p, t->lsn);
	p->rows = false;
	p->at.closed = t->closed;
	order_mark_changed(o, p);
	order_classify(o, p);
}

static void
snapshot_over(struct order *o)
{
	o->snapshot_open = o->closing = false;
	for (unsigned i = 0; i < o->table_room; i++)
		o->tables[i].first_seen = o->tables[i].end_seen = false;
	if (o->cut)
		o->loose = true;
}

void
order_snapshot_ended(struct order *o, uint16_t table)
{
	struct order_table *t = &o->tables[table];
	bool open = false;
	t->begun = false;
	t->closed = (struct snapshot_place){
	    .set = true, .marked = t->end_seen, .lsn = t->lsn, .xid = t->xid};
	for (unsigned i = 0; i < o->count; i++)
		if (o->partitions[i].at.table == table)
			partition_close(o, &o->partitions[i], t);
	for (unsigned i = 0; i < o->table_room; i++)
		open |= o->tables[i].begun;
	if (open)
		return;
	o->counters.snapshots++;
	snapshot_over(o);
}

/*
 * It stays open, for what the attempt has read of a keyed table was newer than what is streamed next:
 * nothing is whole before the LSN of the snapshot.
 */
void
order_snapshot_abandoned(struct order *o, uint16_t table)
{
	struct order_table *t = &o->tables[table];
	t->begun = t->first_seen = t->more = false;
	for (unsigned i = 0; i < o->count; i++) {
		struct order_partition *p = &o->partitions[i];
		if (p->at.table != table)
			continue;
		p->rows = false;
		order_classify(o, p);
	}
}

/* Whether the last attempt was abandoned, and what is streamed has come to where it had read. */
void
order_snapshot_leave(struct order *o)
{
	int64_t deadline;
	if (!o->snapshot_open || o->snapshot_heads > 0)
		return;
	for (unsigned i = 0; i < o->table_room; i++)
		if (o->tables[i].begun)
			return;
	if (!snapshot_is_complete(o, &deadline))
		return;
	snapshot_over(o);
}
