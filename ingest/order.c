#include "ingest/order.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/stage.h"
#include "ingest/order_state.h"

struct order *
order_new(enum order_mode mode, int64_t autocommit_ms)
{
	struct order *o = xcalloc(1, sizeof(*o));
	o->mode = mode;
	o->autocommit_ms = autocommit_ms;
	o->tx_offered = o->end_ms = o->grown_ms = o->alive_ms = o->tx_end = -1;
	o->await_ms = o->stuck_ms = -1;
	return o;
}

void
order_free(struct order *o)
{
	if (o == NULL)
		return;
	free(o->partitions);
	free(o->tables);
	free(o->heads);
	free(o->changed);
	free(o);
}

/* The first reason stays: what comes after it may be its consequence. */
void
order_refuse(struct order *o, int code, int partition, const char *fmt, ...)
{
	va_list args;
	if (o->code != 0)
		return;
	o->code = code;
	o->refused_partition = partition;
	va_start(args, fmt);
	vsnprintf(o->reason, sizeof(o->reason), fmt, args);
	va_end(args);
}

struct order_table *
order_table_at(struct order *o, uint16_t table)
{
	if (table >= o->table_room) {
		unsigned room = table + 1u;
		o->tables = xreallocarray(o->tables, room, sizeof(*o->tables));
		memset(o->tables + o->table_room, 0, (room - o->table_room) * sizeof(*o->tables));
		o->table_room = room;
	}
	return &o->tables[table];
}

/* --- choosing what to do --- */

struct todo
order_wait(int64_t deadline_ms)
{
	return (struct todo){.deed = DO_WAIT, .partition = -1, .deadline_ms = deadline_ms};
}

struct todo
order_apply(const struct order *o, const struct order_partition *p, enum deed deed)
{
	return (struct todo){.deed = deed, .partition = order_number(o, p), .table = p->at.table};
}

static struct todo
order_end_plain(void)
{
	return (struct todo){.deed = DO_END_PLAIN, .partition = -1};
}

/* Whether all that the pending END lacks may be messages that could not be read. */
static bool
end_lacks_unread(const struct order *o)
{
	for (unsigned t = 0; o->unread > 0 && t < o->table_room; t++) {
		uint64_t found = o->tables[t].taken;
		for (unsigned i = 0; i < o->count; i++)
			if (o->partitions[i].at.table == t)
				found += o->partitions[i].unread;
		if (o->tables[t].partitions > 0 && t < TRANSACTION_TABLES_MAX &&
		    found < o->end.count[t])
			return false;
	}
	return o->unread > 0;
}

/*
 * Whether all that the pending END counted is there: applied, or with a newer snapshot, for a connector without
 * offsets takes one instead of sending the rest.
 */
static bool
end_is_whole(const struct order *o)
{
	if (!o->end_usable || o->outstanding == 0)
		return o->end_usable;
	for (unsigned i = 0; i < o->table_room && i < TRANSACTION_TABLES_MAX; i++) {
		const struct order_table *t = &o->tables[i];
		uint64_t lsn = t->begun ? t->lsn : t->closed.set ? t->closed.lsn : 0;
		if (t->partitions > 0 && t->taken < o->end.count[i] && lsn < o->end.lsn)
			return false;
	}
	return true;
}

/* Whether the pending END may close; all heads before it have been taken. */
bool
order_end_done(struct order *o, struct todo *todo)
{
	bool counted = o->end_usable && !end_lacks_unread(o);
	*todo = (struct todo){.deed = DO_END, .partition = -1};
	if (o->end_ms < 0)
		o->end_ms = o->now_ms;
	if (end_is_whole(o))
		return true;
	/* All partitions have gone on beyond it: what it counted and did not come never will. */
	if (o->head_count == o->count) {
		todo->shortage = counted ? SHORTAGE_GAP : SHORTAGE_NONE;
		return true;
	}
	/* Counted, and the source is silent too: its connector may just be away, and bring the rest. */
	if (counted && o->alive_ms < 0) {
		*todo = order_wait(ORDER_NEVER);
		return false;
	}
	int64_t since = counted ? o->alive_ms : o->end_ms;
	int64_t need = counted ? ORDER_AWAY_MS : ORDER_TORN_MS, deadline;
	todo->shortage = counted ? SHORTAGE_GAP : o->begins > 1 ? SHORTAGE_TORN : SHORTAGE_UNKNOWN;
	if (order_is_silent(o, since, need, &deadline))
		return true;
	*todo = order_wait(deadline);
	return false;
}

/* What only moved the position is told when all is quiet, so that lag does not seem to stay. */
static struct todo
quiet_choose(struct order *o)
{
	int64_t deadline = ORDER_NEVER;
	if (o->changed_count == 0 && !o->tx_changed)
		return order_wait(ORDER_NEVER);
	if (o->head_count == 0 && order_is_silent(o, o->applied_ms, o->autocommit_ms, &deadline))
		return order_end_plain();
	return order_wait(deadline);
}

static struct order_partition *
snapshot_head_before(const struct order *o, uint64_t lsn)
{
	for (unsigned i = 0; i < o->head_count && o->snapshot_heads > 0; i++) {
		struct order_partition *p = &o->partitions[o->heads[i]];
		if (p->kind == HEAD_SNAPSHOT && p->head.lsn < lsn)
			return p;
	}
	return NULL;
}

/*
 * All before the pending END is taken. Where some of it never came, but a snapshot did, the snapshot
 * holds it, and is opened first: so nobody sees the transaction without it.
 */
static struct todo
metadata_end(struct order *o)
{
	struct order_partition *row = snapshot_head_before(o, UINT64_MAX);
	struct todo todo;
	if (row != NULL && !end_is_whole(o))
		return order_snapshot_row(o, row);
	order_end_done(o, &todo);
	return todo;
}

/* Events that never had an END: waiting for one would be waiting for ever. */
static struct todo
metadata_missing(struct order *o, const struct order_partition *p)
{
	if (p->head.order != 0 || !o->tx_idle) {
		o->stuck_ms = -1;
		return order_wait(ORDER_NEVER);
	}
	if (o->stuck_ms < 0)
		o->stuck_ms = o->now_ms;
	if (o->tx_idle_ms - o->stuck_ms >= ORDER_GAP_MS)
		order_refuse(o, EXIT_CONFIG, order_number(o, p),
			     "offset %" PRId64 " has no transaction metadata: set "
			     "provide.transaction.metadata=true in the connector, or take "
			     "transaction_topic out of the pipeline file",
			     p->head.offset);
	return order_wait(o->now_ms + 1000);
}

static struct todo
metadata_choose(struct order *o)
{
	struct order_partition *p = order_top(o);
	struct order_partition *row =
	    snapshot_head_before(o, o->end_pending ? o->end.lsn : UINT64_MAX);
	if (p != NULL && p->kind == HEAD_LOOSE)
		return order_apply(o, p, DO_APPLY_LOOSE);
	if (row != NULL)
		return order_snapshot_row(o, row);
	if (o->end_pending) {
		if (p == NULL || p->key >= o->end.lsn)
			return metadata_end(o);
		return order_is_behind(o, p) ? order_wait(ORDER_NEVER)
					     : order_apply(o, p, DO_APPLY);
	}
	if (p != NULL && p->kind == HEAD_STREAM && p->head.has_sequence &&
	    p->head.sequence < o->tx.last)
		return order_is_behind(o, p) ? order_wait(ORDER_NEVER)
					     : order_apply(o, p, DO_APPLY_LOOSE);
	if (o->loose && !o->txn)
		return order_end_plain();
	if (p != NULL && p->kind == HEAD_STREAM)
		return metadata_missing(o, p);
	return o->txn ? order_wait(ORDER_NEVER) : quiet_choose(o);
}

static bool
sequence_goes_on(const struct order_partition *p)
{
	const struct watermark *mark = &p->at.mark;
	return mark->has_sequence == p->place.has_sequence &&
	       (!mark->has_sequence || mark->sequence == p->place.sequence);
}

static struct todo
sequence_choose(struct order *o)
{
	struct order_partition *p = order_top(o);
	int64_t deadline;
	if (o->loose && !o->txn)
		return order_end_plain();
	if (p == NULL || p->kind == HEAD_AWAIT) {
		if (!o->txn)
			return quiet_choose(o);
		if (p != NULL || order_is_silent(o, o->applied_ms, o->autocommit_ms, &deadline))
			return order_end_plain();
		return order_wait(deadline);
	}
	if (o->txn && (p->kind != HEAD_STREAM || !sequence_goes_on(p)))
		return order_end_plain();
	if (p->kind == HEAD_SNAPSHOT)
		return order_snapshot_row(o, p);
	bool alone = p->kind == HEAD_LOOSE || !p->head.has_sequences;
	return order_apply(o, p, alone ? DO_APPLY_LOOSE : DO_APPLY);
}

static struct todo
none_choose(struct order *o)
{
	struct order_partition *p = order_top(o);
	if (o->loose)
		return order_end_plain();
	if (p == NULL || p->kind == HEAD_AWAIT)
		return quiet_choose(o);
	if (p->kind == HEAD_SNAPSHOT)
		return order_snapshot_row(o, p);
	if (p->kind == HEAD_STREAM && order_is_behind(o, p))
		return order_wait(ORDER_NEVER);
	return order_apply(o, p, DO_APPLY_LOOSE);
}

/*
 * A merge by LSN among the partitions of a table: a snapshot in one must come before the events
 * after it in another, or its end would wipe them out.
 */
static struct todo
replay_choose(struct order *o)
{
	struct order_partition *p = order_top(o);
	if (o->arrived == o->count && (p == NULL || p->kind == HEAD_HELD))
		return (struct todo){.deed = DO_CUT, .partition = -1};
	if (p == NULL || p->kind == HEAD_HELD || p->kind == HEAD_AWAIT)
		return order_wait(ORDER_NEVER);
	if (p->kind == HEAD_SNAPSHOT)
		return order_snapshot_row(o, p);
	if (p->kind == HEAD_STREAM && order_is_behind(o, p))
		return order_wait(ORDER_NEVER);
	return order_apply(o, p, DO_APPLY);
}

/* The snapshot that explains a new life of the connector must come, or it is another source. */
static void
await_check(struct order *o, struct todo *todo)
{
	const struct order_partition *p = o->partitions;
	/* It may stand behind a head that waits for its END. */
	if (o->head_count > o->await_heads) {
		o->await_ms = -1;
		return;
	}
	if (o->await_ms < 0)
		o->await_ms = o->now_ms;
	if (o->now_ms - o->await_ms < ORDER_SNAPSHOT_MS && o->count > 1) {
		int64_t deadline = o->await_ms + ORDER_SNAPSHOT_MS;
		if (todo->deadline_ms > deadline)
			todo->deadline_ms = deadline;
		return;
	}
	while (p->kind != HEAD_AWAIT)
		p++;
	order_refuse(o, EXIT_CONFIG, order_number(o, p),
		     "offset %" PRId64
		     " begins a new life of the connector, but no snapshot came before it: "
		     "changes may be missing; let the connector snapshot again, or rebuild",
		     p->head.offset);
}

static struct todo
order_choose(struct order *o)
{
	struct order_partition *p = order_top(o);
	if (o->closing)
		return order_snapshot_close(o);
	if (p != NULL && p->key == ORDER_KEY_DROP)
		return order_apply(o, p, DO_DROP);
	if (o->snapshot_open)
		return order_snapshot_choose(o);
	if (!o->cut)
		return replay_choose(o);
	if (o->mode == ORDER_METADATA)
		return metadata_choose(o);
	if (o->mode == ORDER_SEQUENCE && o->count == 1)
		return sequence_choose(o);
	return none_choose(o);
}

/* A snapshot that began amid a transaction takes what was read of that one with it, and its END is theirs. */
static bool
owed_can_be_told(const struct order *o)
{
	return o->owed && !o->txn && !o->snapshot_open;
}

/* What may come between a transaction and an END that was put off. */
static bool
deed_goes_on(enum deed deed)
{
	return deed == DO_WAIT || deed == DO_DROP || deed == DO_APPLY || deed == DO_APPLY_LOOSE ||
	       deed == DO_END || deed == DO_END_PLAIN;
}

static enum order_step
deed_step(enum deed deed)
{
	static const enum order_step steps[] = {
	    [DO_WAIT] = ORDER_WAIT,
	    [DO_DROP] = ORDER_DROP,
	    [DO_APPLY] = ORDER_APPLY,
	    [DO_APPLY_LOOSE] = ORDER_APPLY,
	    [DO_APPLY_ROW] = ORDER_APPLY,
	    [DO_SNAPSHOT_BEGIN] = ORDER_SNAPSHOT_BEGIN,
	    [DO_SNAPSHOT_END] = ORDER_SNAPSHOT_END,
	    [DO_SNAPSHOT_ABANDON] = ORDER_SNAPSHOT_ABANDON,
	    [DO_END] = ORDER_END,
	    [DO_END_PLAIN] = ORDER_END,
	    [DO_CUT] = ORDER_CUT,
	    [DO_REFUSE] = ORDER_REFUSE,
	};
	return steps[deed];
}

static void
action_explain(const struct order *o, const struct todo *todo, struct order_action *action)
{
	if (todo->deed == DO_REFUSE)
		memcpy(action->reason, o->reason, sizeof(action->reason));
	else if (todo->shortage == SHORTAGE_TORN)
		snprintf(action->reason, sizeof(action->reason),
			 "transaction %" PRIu64 " (END at offset %" PRId64
			 ") was torn by a restart of the connector: closed after silence",
			 o->end.xid, o->end.offset);
}

void
order_step(struct order *o, int64_t now_ms, struct order_action *action)
{
	struct todo *todo = &o->todo;
	o->now_ms = now_ms;
	if (o->applied_ms < 0)
		o->applied_ms = o->row_ms = now_ms;
	if (o->code == 0) {
		order_snapshot_leave(o);
		*todo = order_choose(o);
		if (todo->deed == DO_WAIT && o->await_heads > 0 && !o->snapshot_open && o->cut)
			await_check(o, todo);
	}
	if (o->code != 0)
		*todo = (struct todo){.deed = DO_REFUSE, .partition = o->refused_partition};
	if (owed_can_be_told(o) && (o->settle || !deed_goes_on(todo->deed)))
		*todo = order_end_plain();
	action->step = deed_step(todo->deed);
	action->partition = todo->partition;
	action->table = todo->table;
	action->snapshot = todo->deed == DO_APPLY_ROW;
	action->repeat = todo->deed == DO_DROP && todo->partition >= 0 &&
			 o->partitions[todo->partition].kind == HEAD_REPEAT;
	action->deadline_ms = todo->deed == DO_WAIT ? todo->deadline_ms : ORDER_NEVER;
	action->code = o->code;
	action->reason[0] = '\0';
	action->gap = todo->shortage == SHORTAGE_GAP;
	if (todo->deed == DO_REFUSE || todo->shortage != SHORTAGE_NONE)
		action_explain(o, todo, action);
}

const struct transaction_event *
order_gap_end(const struct order *o)
{
	return &o->end;
}

uint64_t
order_gap(const struct order *o, uint16_t table)
{
	if (table >= o->table_room || o->tables[table].partitions == 0)
		return 0;
	return o->end.count[table] - o->tables[table].taken;
}

/* --- noting what was done --- */

/* Events still come: what is missing of the pending END may be right behind them. */
static void
end_goes_on(struct order *o)
{
	if (o->end_ms >= 0)
		o->end_ms = o->now_ms;
	o->grown_ms = o->alive_ms = o->tx_end = -1;
	o->tx_gone = 0;
}

static void
head_pass_unread(struct order *o, struct order_partition *p)
{
	p->unread++;
	p->unread_ended = false;
	o->unread++;
	/* What is said of it is whole, and closed at once where nothing else is open. */
	if (o->cut && !o->txn)
		o->loose = true;
	end_goes_on(o);
}

static void
head_drop(struct order *o, struct order_partition *p)
{
	if (p->kind == HEAD_REPEAT) {
		p->at.seen = p->place;
		p->at.seen_order = p->head.order;
		o->counters.repeats++;
		end_goes_on(o);
	} else if (p->head.kind == EVENT_TOMBSTONE) {
		o->counters.tombstones++;
	} else if (p->head.kind == EVENT_UNREADABLE) {
		head_pass_unread(o, p);
	}
	order_head_remove(o, p);
}

/*
 * Of a transaction that is closed. Nobody has seen it without this where that was in an open attempt, which holds
 * it.
 */
static void
head_count_late(struct order *o, const struct order_partition *p)
{
	const struct order_table *t = &o->tables[p->at.table];
	uint64_t after = p->head.has_sequence ? p->head.sequence : 0;
	o->counters.late += !t->begun || p->head.lsn >= t->lsn || after < o->told_lsn;
}

static void
head_count_taken(struct order *o, const struct order_partition *p)
{
	struct order_table *t = &o->tables[p->at.table];
	if (p->head.xid != o->end.xid) {
		head_count_late(o, p);
		return;
	}
	t->taken++;
	if (!o->end_usable)
		return;
	if (t->taken > o->end.count[p->at.table])
		o->end_usable = false;
	else
		o->outstanding--;
}

static void
head_apply(struct order *o, struct order_partition *p, bool loose)
{
	if (p->kind == HEAD_STREAM) {
		p->rows = false; /* of an attempt that a newer one has overtaken */
		p->at.mark = p->at.seen = p->place;
		p->at.mark_xid = p->head.xid;
		p->at.before = (struct watermark){.set = false};
		p->at.seen_order = p->head.order;
		p->unread_ended = p->unread > 0;
		/* The greatest: commits of one moment may have their times the other way round. */
		if (p->head.source_ms > p->at.mark_ms)
			p->at.mark_ms = p->head.source_ms;
		end_goes_on(o);
		if (o->end_pending)
			head_count_taken(o, p);
		else if (loose && o->cut && o->mode == ORDER_METADATA)
			head_count_late(o, p);
	} else if (p->kind == HEAD_SNAPSHOT) {
		order_snapshot_passed(o, p);
	}
	if (o->cut && loose)
		o->loose = true;
	else if (o->cut)
		o->txn = true;
	o->applied_ms = o->now_ms;
	order_head_remove(o, p);
}

static void
changed_forget(struct order *o)
{
	for (unsigned i = 0; i < o->changed_count; i++)
		o->partitions[o->changed[i]].changed = false;
	o->changed_count = 0;
	o->tx_changed = false;
}

/* What lies behind them is closed: no later END counts them. */
static void
unread_forget(struct order *o)
{
	for (unsigned i = 0; i < o->count && o->unread > 0; i++) {
		struct order_partition *p = &o->partitions[i];
		if (!p->unread_ended)
			continue;
		o->unread -= p->unread;
		p->unread = 0;
		p->unread_ended = false;
	}
}

void
order_consume_end(struct order *o, enum shortage shortage)
{
	unread_forget(o);
	o->tx = order_transaction_after(o);
	o->tx_changed = true;
	o->end_pending = false;
	o->begins = 0;
	o->counters.torn += shortage == SHORTAGE_TORN;
	o->counters.gaps += shortage == SHORTAGE_GAP;
	o->counters.transactions++;
}

static void
transaction_close(struct order *o)
{
	if (o->todo.deed == DO_END)
		order_consume_end(o, o->todo.shortage);
	else if (o->txn || o->loose)
		o->counters.transactions++;
	o->txn = o->loose = false;
}

static void
done_end(struct order *o)
{
	transaction_close(o);
	o->owed = o->settle = false;
	changed_forget(o);
}

bool
order_put_off(struct order *o)
{
	bool closes =
	    o->todo.deed == DO_END || (o->todo.deed == DO_END_PLAIN && (o->txn || o->loose));
	if (!closes || !o->cut || o->settle || o->snapshot_open || o->closing ||
	    o->todo.shortage != SHORTAGE_NONE)
		return false;
	transaction_close(o);
	o->owed = true;
	o->todo.deed = DO_WAIT;
	return true;
}

bool
order_settle(struct order *o)
{
	o->settle = o->owed;
	return owed_can_be_told(o);
}

/* What D is silent about, for an earlier version wrote it, is as this replay found it. */
static void
partition_come_to_durable(struct order *o, struct order_partition *p)
{
	struct partition_position at = p->durable;
	if (!at.closed.set) {
		at.closed = p->at.closed;
		at.before = p->at.before;
	}
	if (at.mark_xid == 0 && watermark_compare(&at.mark, &p->at.mark) == 0)
		at.mark_xid = p->at.mark_xid;
	p->at = at;
	order_know_closed(o, &at);
}

static void
done_cut(struct order *o)
{
	o->cut = true;
	for (unsigned i = 0; i < o->count; i++) {
		struct order_partition *p = &o->partitions[i];
		if (p->has_durable)
			partition_come_to_durable(o, p);
		order_depart(o, p);
	}
	for (unsigned i = 0; i < o->count; i++)
		order_classify(o, &o->partitions[i]);
	changed_forget(o);
}

void
order_done(struct order *o)
{
	struct order_partition *p =
	    o->todo.partition >= 0 ? &o->partitions[o->todo.partition] : NULL;
	switch (o->todo.deed) {
	case DO_DROP:
		head_drop(o, p);
		break;
	case DO_APPLY:
	case DO_APPLY_LOOSE:
		head_apply(o, p, o->todo.deed == DO_APPLY_LOOSE);
		break;
	case DO_APPLY_ROW:
		order_snapshot_applied(o, p);
		order_head_remove(o, p);
		break;
	case DO_SNAPSHOT_BEGIN:
		order_snapshot_begun(o, o->todo.table, p);
		break;
	case DO_SNAPSHOT_END:
		order_snapshot_ended(o, o->todo.table);
		break;
	case DO_SNAPSHOT_ABANDON:
		order_snapshot_abandoned(o, o->todo.table);
		break;
	case DO_END:
	case DO_END_PLAIN:
		done_end(o);
		break;
	case DO_CUT:
		done_cut(o);
		break;
	default:
		break;
	}
	o->todo.deed = DO_WAIT;
}

bool
order_whole(const struct order *o)
{
	return o->cut && !o->txn && !o->loose && !o->owed && !o->snapshot_open;
}

bool
order_is_replaying(const struct order *o)
{
	return !o->cut;
}

int
order_partitions(const struct order *o)
{
	return (int)o->count;
}

const struct partition_position *
order_partition(const struct order *o, int partition)
{
	return &o->partitions[partition].at;
}

const struct transaction_position *
order_transaction(const struct order *o)
{
	return &o->tx;
}

const struct order_counters *
order_counters(const struct order *o)
{
	return &o->counters;
}
