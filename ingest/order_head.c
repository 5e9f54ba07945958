#include <inttypes.h>
#include <string.h>

#include "common/log.h"
#include "common/stage.h"
#include "ingest/order_state.h"

/* --- the partitions, and what is known of those without a head --- */

static bool
partition_is_behind(const struct order_partition *p)
{
	return p->kind == HEAD_NONE && !p->caught_up && !p->arrived;
}

void
order_arrive(struct order *o, struct order_partition *p)
{
	if (p->arrived || o->cut)
		return;
	if (partition_is_behind(p))
		o->tables[p->at.table].behind--;
	p->arrived = true;
	o->arrived++;
}

/* After CUT: what lies behind D is history to be read again. */
void
order_depart(struct order *o, struct order_partition *p)
{
	p->arrived = false;
	if (partition_is_behind(p))
		o->tables[p->at.table].behind++;
}

/* One that an earlier version noted says only where it was. */
void
order_know_closed(struct order *o, const struct partition_position *at)
{
	struct snapshot_place *closed = &order_table_at(o, at->table)->closed;
	if (at->closed.set)
		*closed = at->closed;
	else if (!closed->set && order_mark_is_snapshot(&at->mark))
		*closed = (struct snapshot_place){.set = true, .marked = true, .lsn = at->mark.lsn};
}

int
order_insert(struct order *o, const struct order_partition *p)
{
	if (o->count == o->room) {
		o->room = o->room ? o->room * 2 : 8;
		o->partitions = xreallocarray(o->partitions, o->room, sizeof(*o->partitions));
		o->heads = xreallocarray(o->heads, o->room, sizeof(*o->heads));
		o->changed = xreallocarray(o->changed, o->room, sizeof(*o->changed));
	}
	struct order_table *t = order_table_at(o, p->at.table);
	o->partitions[o->count] = *p;
	order_know_closed(o, &p->at);
	t->partitions++;
	t->behind++;
	if (!o->cut && (!p->has_durable || p->at.next >= p->durable.next))
		order_arrive(o, &o->partitions[o->count]);
	return (int)o->count++;
}

int
order_add_partition(struct order *o, const struct partition_position *from,
		    const struct partition_position *durable)
{
	struct order_partition p = {.at = *from, .has_durable = durable != NULL};
	if (durable != NULL)
		p.durable = *durable;
	return order_insert(o, &p);
}

void
order_set_keyless(struct order *o, int partition)
{
	o->partitions[partition].keyless = true;
}

void
order_set_transaction(struct order *o, const struct transaction_position *from)
{
	o->tx = *from;
	o->tx.set = true;
}

void
order_mark_changed(struct order *o, struct order_partition *p)
{
	if (p->changed)
		return;
	p->changed = true;
	o->changed[o->changed_count++] = (unsigned)order_number(o, p);
}

bool
order_is_behind(const struct order *o, const struct order_partition *p)
{
	return o->tables[p->at.table].behind > 0;
}

bool
order_is_silent(const struct order *o, int64_t floor_ms, int64_t need_ms, int64_t *deadline_ms)
{
	int64_t until = floor_ms + need_ms;
	bool silent = true;
	*deadline_ms = ORDER_NEVER;
	if (o->idle_count + o->head_count < o->count)
		return false;
	for (unsigned i = 0; i < o->count && silent; i++)
		silent = o->partitions[i].kind != HEAD_NONE || o->partitions[i].idle_ms >= until;
	/* Past the time, but not reported idle since: the next report decides. */
	*deadline_ms = until > o->now_ms ? until : o->now_ms + 10;
	return silent && until <= o->now_ms;
}

/* --- the heap of heads --- */

static bool
heap_less(const struct order *o, unsigned a, unsigned b)
{
	const struct order_partition *p = &o->partitions[a], *q = &o->partitions[b];
	return p->key != q->key ? p->key < q->key : a < b;
}

static void
heap_set(struct order *o, unsigned slot, unsigned partition)
{
	o->heads[slot] = partition;
	o->partitions[partition].slot = slot;
}

static void
heap_settle(struct order *o, unsigned slot)
{
	unsigned moving = o->heads[slot];
	while (slot > 0 && heap_less(o, moving, o->heads[(slot - 1) / 2])) {
		heap_set(o, slot, o->heads[(slot - 1) / 2]);
		slot = (slot - 1) / 2;
	}
	for (;;) {
		unsigned child = 2 * slot + 1;
		if (child >= o->head_count)
			break;
		if (child + 1 < o->head_count && heap_less(o, o->heads[child + 1], o->heads[child]))
			child++;
		if (!heap_less(o, o->heads[child], moving))
			break;
		heap_set(o, slot, o->heads[child]);
		slot = child;
	}
	heap_set(o, slot, moving);
}

static void
heap_remove(struct order *o, struct order_partition *p)
{
	unsigned slot = p->slot, last = o->heads[--o->head_count];
	if (slot == o->head_count)
		return;
	heap_set(o, slot, last);
	heap_settle(o, slot);
}

struct order_partition *
order_top(const struct order *o)
{
	return o->head_count > 0 ? &o->partitions[o->heads[0]] : NULL;
}

/* --- what a head is --- */

static bool
same_run(const struct watermark *a, const struct watermark *b)
{
	return a->set && a->ordinal > 0 && a->has_sequence == b->has_sequence &&
	       (!a->has_sequence || a->sequence == b->sequence) && a->lsn == b->lsn;
}

/*
 * The newest streamed event, if this one is of its transaction. A connector knows of no commit before its first
 * transaction, and one that begins amid that transaction anew takes its own LSN for one: sent again, the
 * events have another `sequence`. (`lsn_commit` is not in its offset then; PostgresOffsetContext.Loader takes
 * `lsn_proc`.) Another source may have the same transaction number, but later.
 */
static const struct watermark *
head_transaction(const struct order_partition *p)
{
	const struct watermark *mark =
	    order_mark_is_snapshot(&p->at.mark) ? &p->at.before : &p->at.mark;
	bool same =
	    p->head.xid != 0 && p->head.xid == p->at.mark_xid && p->head.source_ms <= p->at.mark_ms;
	return same && mark->set && p->head.has_sequences ? mark : NULL;
}

/*
 * A connector of 3.7 resumes inside a run of one LSN and goes on counting, so the difference of
 * data_collection_order leads to the ordinal it had before; an older one can only begin the run
 * anew, with smaller numbers: then the difference leads to 1 or below.
 */
static struct watermark
head_place(const struct order_partition *p)
{
	const struct event_place *e = &p->head;
	const struct watermark *seen = &p->at.seen, *transaction = head_transaction(p);
	struct watermark w = {true, e->has_sequence, e->sequence, e->lsn, 1};
	if (transaction != NULL) {
		w.has_sequence = transaction->has_sequence;
		w.sequence = transaction->sequence;
	}
	if (!same_run(seen, &w))
		return w;
	if (e->order <= 0 || p->at.seen_order <= 0) {
		w.ordinal = seen->ordinal + 1;
	} else if (e->order > p->at.seen_order) {
		w.ordinal = seen->ordinal + (uint64_t)(e->order - p->at.seen_order);
	} else {
		uint64_t back = (uint64_t)(p->at.seen_order - e->order);
		w.ordinal = seen->ordinal > back ? seen->ordinal - back : 1;
	}
	return w;
}

static bool
below_run(const struct watermark *w, const struct watermark *mark)
{
	struct watermark first = *mark;
	first.ordinal = 0;
	return watermark_compare(w, &first) < 0;
}

/*
 * Right after a snapshot a transaction that was open while it was read has older LSNs and is new.
 * What had been applied before the snapshot is not: a connector that dies soon after it sends that
 * again.
 */
static bool
is_from_before_snapshot(const struct order_partition *p)
{
	const struct partition_position *at = &p->at;
	return at->before.set && (p->place.has_sequence || head_transaction(p) != NULL) &&
	       p->head.source_ms <= at->mark_ms && watermark_compare(&p->place, &at->before) <= 0;
}

/*
 * Without `sequence` (Debezium 1.4) nothing can be known: LSNs of interleaved transactions do not
 * rise.
 */
static enum head_kind
stream_kind(struct order *o, struct order_partition *p)
{
	const struct watermark *mark = &p->at.mark;
	p->place = head_place(p);
	if (!mark->set || !p->head.has_sequences || p->rows)
		return HEAD_STREAM;
	if (order_mark_is_snapshot(mark))
		return is_from_before_snapshot(p) ? HEAD_REPEAT : HEAD_STREAM;
	if (watermark_compare(&p->place, mark) > 0)
		return HEAD_STREAM;
	if (!below_run(&p->place, mark) || p->head.source_ms <= p->at.mark_ms)
		return HEAD_REPEAT;
	/* What an open snapshot holds already needs none of its own. */
	if (!p->place.has_sequence && mark->has_sequence)
		return o->mode == ORDER_METADATA && o->snapshot_open &&
			       p->head.lsn < o->snapshot_lsn
			   ? HEAD_STREAM
			   : HEAD_AWAIT;
	order_refuse(
	    o, EXIT_CONFIG, order_number(o, p),
	    "offset %" PRId64 " is older than what was applied by LSN, but newer by time: another "
	    "source writes this topic (a restored or upgraded database?); let the connector "
	    "snapshot into new topics, or rebuild",
	    p->head.offset);
	return HEAD_REPEAT;
}

/*
 * Rows of other partitions may be older than it, and come later. In history it was followed, so its
 * topic had one partition then, and all that others hold is newer.
 */
static void
check_truncate(struct order *o, const struct order_partition *p)
{
	unsigned partitions = o->tables[p->at.table].partitions;
	if (partitions == 1 || (!o->cut && p->has_durable))
		return;
	order_refuse(o, EXIT_DATA, order_number(o, p),
		     "offset %" PRId64
		     " is a TRUNCATE: its topic has %u partitions, and which of their rows came "
		     "before it is not known; let the connector snapshot into a topic with one, or "
		     "keep its skipped.operations=t",
		     p->head.offset, partitions);
}

static enum head_kind
head_kind(struct order *o, struct order_partition *p)
{
	if (!o->cut && p->has_durable && p->head.offset >= p->durable.next)
		return HEAD_HELD;
	if (p->head.kind != EVENT_CHANGE)
		return HEAD_DROP;
	if (p->head.snapshot == SNAPSHOT_FALSE) {
		enum head_kind kind = stream_kind(o, p);
		if (p->head.truncate && kind != HEAD_REPEAT)
			check_truncate(o, p);
		return kind;
	}
	if (p->head.snapshot != SNAPSHOT_INCREMENTAL)
		return HEAD_SNAPSHOT;
	if (p->keyless)
		order_refuse(o, EXIT_DATA, order_number(o, p),
			     "offset %" PRId64
			     " is a row of an incremental snapshot: for a table without "
			     "PRIMARY KEY it may be there already; declare the key, or use a "
			     "blocking snapshot",
			     p->head.offset);
	return HEAD_LOOSE;
}

/*
 * An END takes by sequence. Elsewhere what counts is whether an event is newer than a snapshot: the
 * first transaction after one may still have the sequence of the last before it, but not its LSN.
 */
static uint64_t
stream_key(const struct order *o, const struct event_place *e)
{
	uint64_t key = e->has_sequence ? e->sequence : e->lsn;
	if ((!o->cut || o->mode != ORDER_METADATA) && e->lsn > key)
		key = e->lsn;
	return key > ORDER_KEY_LEAST ? key : ORDER_KEY_LEAST;
}

static uint64_t
head_key(const struct order *o, const struct order_partition *p)
{
	switch (p->kind) {
	case HEAD_DROP:
	case HEAD_REPEAT:
		return ORDER_KEY_DROP;
	case HEAD_LOOSE:
		return ORDER_KEY_LOOSE;
	case HEAD_SNAPSHOT:
		return p->head.lsn > ORDER_KEY_LEAST ? p->head.lsn : ORDER_KEY_LEAST;
	case HEAD_STREAM:
		return stream_key(o, &p->head);
	default:
		return UINT64_MAX;
	}
}

static void
head_count(struct order *o, enum head_kind kind, unsigned by)
{
	if (kind == HEAD_SNAPSHOT)
		o->snapshot_heads += by;
	else if (kind == HEAD_AWAIT)
		o->await_heads += by;
}

/* Look again at a head after the watermark below it has changed. */
void
order_classify(struct order *o, struct order_partition *p)
{
	if (p->kind == HEAD_NONE)
		return;
	head_count(o, p->kind, -1u);
	p->kind = head_kind(o, p);
	head_count(o, p->kind, 1);
	p->key = head_key(o, p);
	heap_settle(o, p->slot);
}

bool
order_wants(const struct order *o, int partition)
{
	const struct order_partition *p = &o->partitions[partition];
	return p->kind == HEAD_NONE && (o->cut || !p->arrived);
}

bool
order_wants_transaction(const struct order *o)
{
	return o->mode == ORDER_METADATA && o->cut && !o->end_pending;
}

bool
order_is_history(const struct order *o, int partition, int64_t offset)
{
	const struct order_partition *p = &o->partitions[partition];
	return !o->cut && p->has_durable && offset < p->durable.next;
}

static bool
offer_is_sane(struct order *o, int partition, const struct event_place *e)
{
	const struct order_partition *p = &o->partitions[partition];
	if (p->kind != HEAD_NONE)
		order_refuse(o, EXIT_INTERNAL, partition, "a second head at offset %" PRId64,
			     e->offset);
	else if (e->offset < p->at.next)
		order_refuse(o, EXIT_INTERNAL, partition,
			     "offset %" PRId64 " came after offset %" PRId64
			     ": offsets must only grow",
			     e->offset, p->at.next - 1);
	else if (!o->cut && p->has_durable && p->durable.hash != 0 &&
		 e->offset == p->durable.next - 1 && e->hash != p->durable.hash)
		order_refuse(o, EXIT_CONFIG, partition,
			     "the record at offset %" PRId64
			     " is not the one that the target's position "
			     "names: the topic was recreated; rebuild, or point at the old topic",
			     e->offset);
	return o->code == 0;
}

void
order_offer(struct order *o, int partition, const struct event_place *e)
{
	struct order_partition *p = &o->partitions[partition];
	if (!offer_is_sane(o, partition, e))
		return;
	if (partition_is_behind(p))
		o->tables[p->at.table].behind--;
	if (p->idle)
		o->idle_count--;
	p->idle = false;
	p->head = *e;
	p->kind = head_kind(o, p);
	head_count(o, p->kind, 1);
	p->key = head_key(o, p);
	if (p->kind == HEAD_HELD)
		order_arrive(o, p);
	heap_set(o, o->head_count, (unsigned)partition);
	o->head_count++;
	heap_settle(o, p->slot);
}

/* The head is used up: the position moves over it. */
void
order_head_remove(struct order *o, struct order_partition *p)
{
	heap_remove(o, p);
	head_count(o, p->kind, -1u);
	p->kind = HEAD_NONE;
	if (partition_is_behind(p))
		o->tables[p->at.table].behind++;
	p->at.next = p->head.offset + 1;
	p->at.hash = p->head.hash;
	order_mark_changed(o, p);
	if (!o->cut && p->at.next >= p->durable.next)
		order_arrive(o, p);
}

void
order_say_hash(struct order *o, int partition, uint64_t hash)
{
	o->partitions[partition].at.hash = hash;
}

void
order_idle(struct order *o, int partition, int64_t end, int64_t now_ms)
{
	struct order_partition *p = &o->partitions[partition];
	if (p->kind != HEAD_NONE)
		return;
	if (!o->cut && !p->arrived) {
		if (end < p->durable.next) {
			order_refuse(
			    o, EXIT_CONFIG, partition,
			    "the log ends at offset %" PRId64 ", before offset %" PRId64
			    " of the target's position: the topic was recreated or truncated; "
			    "rebuild, or restore the topic",
			    end, p->durable.next);
			return;
		}
		order_arrive(o, p);
	}
	if (partition_is_behind(p))
		o->tables[p->at.table].behind--;
	p->caught_up = true;
	o->idle_count += !p->idle;
	p->idle = true;
	p->idle_ms = now_ms;
}

/* --- the transaction topic --- */

/*
 * Counts belong to one life of the connector: a second BEGIN without an END between, or none at
 * all, and they say nothing of the events that are there.
 */
static void
end_count(struct order *o)
{
	const struct transaction_event *e = &o->end;
	o->end_usable = e->has_counts && o->begins == 1 && o->begin_xid == e->xid;
	o->outstanding = 0;
	if (o->taken_xid != e->xid || !o->txn) {
		for (unsigned i = 0; i < o->table_room; i++)
			o->tables[i].taken = 0;
		o->taken_xid = e->xid;
	}
	for (unsigned i = 0; i < o->table_room && o->end_usable; i++) {
		uint64_t count = i < TRANSACTION_TABLES_MAX ? e->count[i] : 0;
		if (i >= TRANSACTION_TABLES_MAX && o->tables[i].partitions > 0)
			o->end_usable = false;
		else if (o->tables[i].taken > count)
			o->end_usable = false;
		else if (o->tables[i].partitions > 0)
			o->outstanding += count - o->tables[i].taken;
	}
}

static void
transaction_move(struct order *o, int64_t offset, uint64_t hash)
{
	o->tx.set = true;
	o->tx.next = offset + 1;
	o->tx.hash = hash;
	o->tx_changed = true;
}

static void
transaction_end(struct order *o, const struct transaction_event *e)
{
	if (!e->has_lsn) {
		order_refuse(o, EXIT_CONFIG, -1,
			     "offset %" PRId64
			     " of the transaction topic has no LSN: Debezium 2 or newer is "
			     "needed for it; take transaction_topic out of the pipeline file",
			     e->offset);
		return;
	}
	if (e->lsn <= o->tx.last) {
		o->begins = 0;
		transaction_move(o, e->offset, e->hash);
		return;
	}
	o->end = *e;
	o->end_pending = true;
	o->end_ms = o->grown_ms = o->tx_end = -1;
	o->alive_ms = e->offset < o->tx_gone ? 0 : -1;
	end_count(o);
}

void
order_offer_transaction(struct order *o, const struct transaction_event *e)
{
	if (o->end_pending || e->offset < o->tx.next || e->offset <= o->tx_offered) {
		order_refuse(o, EXIT_INTERNAL, -1,
			     "offset %" PRId64 " of the transaction topic came out of turn",
			     e->offset);
		return;
	}
	o->tx_offered = e->offset;
	o->tx_idle = false;
	o->stuck_ms = -1;
	if (e->status == TRANSACTION_END) {
		transaction_end(o, e);
	} else if (e->status == TRANSACTION_BEGIN) {
		/* The position stays before it: a successor must see it too. */
		o->begins++;
		o->begin_xid = e->xid;
	} else if (o->begins == 0) {
		transaction_move(o, e->offset, e->hash);
	}
}

bool
order_doubts(const struct order *o, int64_t now_ms)
{
	return o->end_pending && o->end_usable && o->alive_ms < 0 && o->end_ms >= 0 &&
	       now_ms - o->end_ms >= ORDER_AWAY_MS;
}

void
order_more_transactions(struct order *o, int64_t end, int64_t now_ms)
{
	if (!order_doubts(o, now_ms))
		return;
	bool grew = o->tx_end >= 0 && end > o->tx_end;
	o->tx_end = end;
	if (grew && o->grown_ms < 0) {
		o->grown_ms = now_ms;
	} else if (grew && now_ms - o->grown_ms >= ORDER_GAP_MS) {
		o->alive_ms = now_ms;
		o->tx_gone = end;
	}
}

void
order_woke(struct order *o, int64_t now_ms)
{
	if (o->end_ms >= 0)
		o->end_ms = now_ms;
	if (o->grown_ms >= 0)
		o->grown_ms = now_ms;
	if (o->alive_ms > 0)
		o->alive_ms = now_ms;
	if (o->txn && o->applied_ms >= 0)
		o->applied_ms = now_ms;
}

void
order_idle_transaction(struct order *o, int64_t end, int64_t now_ms)
{
	if (end < o->tx.next)
		order_refuse(
		    o, EXIT_CONFIG, -1,
		    "the transaction topic ends at offset %" PRId64 ", before offset %" PRId64
		    " of the position: it was recreated or truncated; rebuild, or restore it",
		    end, o->tx.next);
	o->tx_idle = true;
	o->tx_idle_ms = now_ms;
}
