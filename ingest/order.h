/*
 * order.h - whole transactions, repeats and snapshots: in which order events of several partitions
 * are applied, which are dropped, and where a transaction ends.
 *
 * No clock, no I/O, no threads: events and time are handed in, decisions come out, so it can be
 * simulated. The caller holds at most one undecided event (the head) for each partition and
 * fetches a partition's next one only when order_wants() it, so memory is bounded by the caller.
 *
 * The caller's loop:
 *     for each partition p: if order_wants(o, p): fetch -> order_offer() or order_idle()
 *     if order_wants_transaction(o): fetch from the transaction topic -> order_offer_transaction()
 *         or order_idle_transaction()
 *     order_step() says what to do now; having done it: order_done(); again
 *     before a sleep: order_settle(); if it is true, again
 *
 * Modes (derived, printed by `tallyd check`):
 *     ORDER_METADATA  a transaction topic: END(xid, C) takes from each partition the events with
 *                     sequence[0] < C; its counts only close early
 *     ORDER_SEQUENCE  one partition, Debezium >= 1.5: a transaction ends at the first event with a
 *                     greater sequence[0], or after autocommit_duration_ms of silence
 *     ORDER_NONE      each event is a transaction
 */
#ifndef ORDER_H
#define ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/position.h"
#include "ingest/debezium.h"

enum order_mode {
	ORDER_NONE,
	ORDER_SEQUENCE,
	ORDER_METADATA,
};

enum order_step {
	ORDER_WAIT,  /* nothing to do before an event, an idle report or the deadline */
	ORDER_APPLY, /* put the head of `partition` into the ring as CHANGE record(s) */
	ORDER_DROP,  /* the head of `partition` changes nothing: repeat, tombstone, heartbeat */
	ORDER_SNAPSHOT_BEGIN,   /* of `table` */
	ORDER_SNAPSHOT_END,     /* of `table` */
	ORDER_SNAPSHOT_ABANDON, /* of `table`: the connector died in it, and goes on without it */
	ORDER_END,              /* a whole transaction has been applied, and those put off before */
	ORDER_CUT,              /* replay only: every partition has come to D */
	ORDER_REFUSE, /* cannot go on: exit with `code`, saying `reason` (partition, if it has one) */
};

struct order_action {
	enum order_step step;
	int partition; /* as numbered by order_add_partition(); -1: none */
	uint16_t table;
	bool snapshot;       /* APPLY: this row belongs to the open snapshot */
	bool repeat;         /* DROP: because it is at or below the watermark */
	int64_t deadline_ms; /* WAIT: call again at this monotonic time; INT64_MAX: never */
	bool gap;            /* END: events that it counted never came, see order_gap() */
	int code;            /* REFUSE */
	char reason
	    [256]; /* REFUSE; END: not empty when it closed without its events, to be logged */
};

/*
 * Messages that cannot be read (debezium.h): one with a place is an event like any other. One without
 * (EVENT_UNREADABLE) is passed over at once (DROP), in the transaction that is open, or else in one of
 * its own. The END of the transaction that it belongs to may count it, and nobody knows which that is:
 * so the counts are not believed of an END that lacks no more than was passed over in its tables, until
 * an event behind it was closed.
 */

struct order_counters {
	uint64_t repeats, late, torn, gaps, snapshots, tombstones, transactions;
};

struct order;

/* autocommit_ms: how long silence closes a sequence-mode transaction or a snapshot. */
struct order *order_new(enum order_mode, int64_t autocommit_ms);
void order_free(struct order *);

/*
 * Before the first step: all partitions of all tables, with where each begins. With `durable`
 * (the D of a recovery: same length, same order, or NULL) order first replays: each partition from
 * its position up to durable[i].next and no further, then ORDER_CUT, then it goes on. Without it
 * ORDER_CUT comes at once. Returns the partition's number (0, 1, ...).
 */
int order_add_partition(struct order *, const struct partition_position *from,
			const struct partition_position *durable);

/*
 * The partition's table has no PRIMARY KEY: a row of an incremental snapshot, which may be there
 * already, is refused (code 65). Part of the resume token.
 */
void order_set_keyless(struct order *, int partition);
void order_set_transaction(struct order *, const struct transaction_position *from);

bool order_wants(const struct order *, int partition);
bool order_wants_transaction(const struct order *);

/* Whether a replay must pass this offset before it comes to D. */
bool order_is_history(const struct order *, int partition, int64_t offset);

/* Hand in a head. Offsets of a partition must only grow; others make the next step REFUSE. */
void order_offer(struct order *, int partition, const struct event_place *);

/* Of the record that was applied or dropped last, if it was offered without: before a position or a token is packed. */
void order_say_hash(struct order *, int partition, uint64_t hash);

/*
 * Nothing to fetch now: the log of this partition ends at offset `end` at this time. To be
 * reported again whenever it is looked at, for silence is measured from report to report; never
 * to be reported while the broker is away.
 */
void order_idle(struct order *, int partition, int64_t end, int64_t now_ms);
void order_offer_transaction(struct order *, const struct transaction_event *);
void order_idle_transaction(struct order *, int64_t end, int64_t now_ms);

/*
 * A connector writes the messages of the transaction topic ahead of the rows. So where it died, ENDs stand
 * there whose rows come when it is back, be that in an hour. What tells it from one that has lost them is that
 * the source goes on without them, for long: back again it begins with ENDs, too. While this is true it is to be
 * looked for: order_more_transactions().
 */
bool order_doubts(const struct order *, int64_t now_ms);

/* Now and again while order doubts: the offset that the transaction topic's next message will get. */
void order_more_transactions(struct order *, int64_t end, int64_t now_ms);

/* The caller stood still until now (SIGSTOP, a frozen host): silence is measured from here on. */
void order_woke(struct order *, int64_t now_ms);

/*
 * What to do now. Pure until order_done(): asked again it answers the same. ORDER_APPLY and DROP
 * use up the head at order_done().
 */
void order_step(struct order *, int64_t now_ms, struct order_action *);
void order_done(struct order *);

/*
 * While much waits to be read, an END for each transaction costs as much as the transaction. Instead of
 * telling an ORDER_END, before its order_done(): put it off. What it closes is whole, and is told by the next
 * END: order asks for that one before anything but changes, drops and waits, and before the next change of another
 * transaction once order_settle() was called. Where a further transaction is begun already, it waits for that
 * one to be whole: put off only what is followed by much. False: this END must be told (a loss, a snapshot, a
 * replay, settled).
 */
bool order_put_off(struct order *);

/* To be called before a sleep, too. True: the next order_step() is the ORDER_END that was put off. */
bool order_settle(struct order *);

/*
 * While an action with `gap` is not done: the END, and how many of the events it counted in a table
 * were not there. They may be lost: the connector, its topics or a transform have dropped them.
 */
const struct transaction_event *order_gap_end(const struct order *);
uint64_t order_gap(const struct order *, uint16_t table);

/* Whether everything applied so far is whole and told (no open transaction, snapshot, replay, owed END). */
bool order_whole(const struct order *);

/* Whether it has yet to come to D: before ORDER_CUT. */
bool order_is_replaying(const struct order *);

/*
 * Position entries (position.h) for an END or CUT: those that changed since the last call, or all.
 * Only meaningful when the step is ORDER_END or ORDER_CUT; marks them as told.
 */
void order_pack_position(struct order *, bool all, struct pack *);

/*
 * The resume token: everything a successor needs to go on after the records committed so far,
 * open transaction, snapshot and replay included. Heads are not part of it: it fetches again from
 * each partition's next offset. order_load() replaces all that order_add_partition() did (call it
 * on a new order without partitions, of any mode). False when the bytes are no token of this
 * version; the order is then good for order_free() only.
 */
void order_save(const struct order *, struct pack *);
bool order_load(struct order *, const uint8_t *token, size_t len);

/* Where to fetch from, after order_load() as well. */
int order_partitions(const struct order *);
const struct partition_position *order_partition(const struct order *, int partition);
const struct transaction_position *order_transaction(const struct order *);

const struct order_counters *order_counters(const struct order *);

#endif
