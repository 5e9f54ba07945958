/*
 * order_state.h - the inside of `struct order`, shared by order*.c only.
 *
 * order.c           steps: what to do next in each mode, and noting that it was done
 * order_head.c      partitions and their heads; the transaction topic's messages
 * order_snapshot.c  attempts of snapshots: begin, restart, end
 * order_token.c     the resume token and position entries
 */
#ifndef ORDER_STATE_H
#define ORDER_STATE_H

#include "ingest/order.h"

#define ORDER_TORN_MS     5000  /* silence that stands for "no more events", counts unusable */
#define ORDER_GAP_MS      30000 /* that the source goes on without what END's counts say must come */
#define ORDER_AWAY_MS     10000 /* after the last event: no last words of a killed connector */
#define ORDER_SNAPSHOT_MS 5000  /* silence that ends a snapshot whose end mark we cannot see */
#define ORDER_NEVER       INT64_MAX

#define ORDER_KEY_DROP  0u /* keys of heads that wait for nothing; then LSNs */
#define ORDER_KEY_LOOSE 1u
#define ORDER_KEY_LEAST 2u

enum head_kind {
	HEAD_NONE,
	HEAD_HELD,     /* replay: at or beyond D, looked at after CUT */
	HEAD_DROP,     /* tombstone, heartbeat */
	HEAD_REPEAT,   /* at or below the watermark */
	HEAD_LOOSE,    /* row of an incremental snapshot */
	HEAD_SNAPSHOT, /* row of a snapshot */
	HEAD_STREAM,
	HEAD_AWAIT, /* first transaction of a new life of the connector: its snapshot must be near */
};

struct order_partition {
	struct partition_position at, durable;
	bool has_durable, arrived; /* replay */
	bool keyless;
	bool changed;      /* since the last END or CUT */
	bool rows;         /* gave rows to the open attempt of its table */
	bool caught_up;    /* has been at the end of its log, or begins there */
	uint64_t unread;   /* messages without a place that an END yet to come may count */
	bool unread_ended; /* a transaction behind them has begun */
	bool idle;
	int64_t idle_ms; /* when it was last reported */
	enum head_kind kind;
	uint64_t key;  /* order among heads: an LSN */
	unsigned slot; /* in o->heads */
	struct event_place head;
	struct watermark place; /* of the head, HEAD_STREAM and HEAD_REPEAT */
};

struct order_table {
	unsigned partitions;
	unsigned behind;                  /* partitions with unread history and no head */
	bool begun, first_seen, end_seen; /* the open attempt */
	bool more;                        /* by its marks this one has rows yet to come */
	uint64_t lsn, xid;
	struct snapshot_place closed; /* the newest whole one */
	uint64_t taken;               /* events of taken_xid applied */
};

enum deed { /* what order_done() has to note */
	    DO_WAIT,
	    DO_DROP,
	    DO_APPLY,       /* of the open transaction */
	    DO_APPLY_LOOSE, /* not of it: late, incremental, or each event for itself */
	    DO_APPLY_ROW,   /* of the open snapshot */
	    DO_SNAPSHOT_BEGIN,
	    DO_SNAPSHOT_END,
	    DO_SNAPSHOT_ABANDON,
	    DO_END,       /* consumes the pending END */
	    DO_END_PLAIN, /* does not */
	    DO_CUT,
	    DO_REFUSE,
};

enum shortage { /* why an END closes without what it counted */
		SHORTAGE_NONE,
		SHORTAGE_TORN,
		SHORTAGE_UNKNOWN, /* no usable counts */
		SHORTAGE_GAP,
};

/* Two words: it is returned in registers, and is asked for several times an event. */
struct todo {
	enum deed deed : 8;
	enum shortage shortage : 8;
	uint16_t table;
	int partition;
	int64_t deadline_ms;
};
_Static_assert(sizeof(struct todo) == 2 * sizeof(uint64_t), "returned in registers");

struct order {
	enum order_mode mode;
	int64_t autocommit_ms;
	int64_t now_ms; /* of the last step */

	struct order_partition *partitions;
	unsigned count, room, arrived, idle_count;
	struct order_table *tables;
	unsigned table_room;
	unsigned *heads; /* binary heap of the partitions that have a head, least key first */
	unsigned head_count, snapshot_heads, await_heads;
	unsigned *changed;
	unsigned changed_count;

	bool cut;
	bool txn;           /* changes of an unfinished transaction were applied */
	bool loose;         /* changes that are whole, but not closed by an END yet */
	bool owed;          /* of transactions before, whose ENDs were put off */
	bool settle;        /* no longer */
	int64_t applied_ms; /* when the last event was; -1: before a restart */

	bool snapshot_open, closing, last_seen;
	uint64_t snapshot_lsn; /* greatest of the open attempts */
	uint64_t told_lsn;     /* of the newest END before the first of them; 0: not known */
	int64_t row_ms;        /* when the last row of it was applied */

	struct transaction_position tx;
	bool tx_changed, tx_idle;
	int64_t tx_offered, tx_idle_ms;
	unsigned begins; /* BEGINs since the last END */
	uint64_t begin_xid;
	bool end_pending, end_usable;
	struct transaction_event end;
	uint64_t outstanding; /* counted by END and not applied yet */
	uint64_t unread;      /* of all partitions */
	int64_t end_ms;       /* since when nothing before it has come, -1: not yet looked at */
	int64_t grown_ms;     /* when the source was first seen to go on without it, -1: not yet */
	int64_t alive_ms;     /* and when once more, ORDER_GAP_MS later or more, -1: not yet */
	int64_t tx_end;       /* of the transaction topic, as asked last for this; -1: not yet */
	int64_t tx_gone;      /* ENDs before it: the source went on without their events, too */
	uint64_t taken_xid;

	int64_t await_ms, stuck_ms; /* since when, -1: not */
	struct todo todo;
	struct order_counters counters;
	int code; /* refused */
	int refused_partition;
	char reason[256];
};

/* order.c */
void order_refuse(struct order *, int code, int partition, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
struct order_table *order_table_at(struct order *, uint16_t table);
struct todo order_apply(const struct order *, const struct order_partition *, enum deed);
struct todo order_wait(int64_t deadline_ms);
bool order_end_done(struct order *, struct todo *);
void order_consume_end(struct order *, enum shortage);

/* order_head.c */
int order_insert(struct order *, const struct order_partition *);
void order_arrive(struct order *, struct order_partition *);
void order_depart(struct order *, struct order_partition *);
struct order_partition *order_top(const struct order *);
void order_head_remove(struct order *, struct order_partition *);
void order_classify(struct order *, struct order_partition *);
void order_mark_changed(struct order *, struct order_partition *);
bool order_is_behind(const struct order *, const struct order_partition *);
void order_know_closed(struct order *, const struct partition_position *);

/* A mark that no streamed event can have stands for a snapshot that has ended. */
static inline bool
order_mark_is_snapshot(const struct watermark *mark)
{
	return mark->set && !mark->has_sequence && mark->ordinal == 0;
}

static inline int
order_number(const struct order *o, const struct order_partition *p)
{
	return (int)(p - o->partitions);
}

/*
 * True when each partition without a head was seen at its end at floor_ms + need_ms or later;
 * otherwise *deadline_ms is the soonest time at which that may be.
 */
bool order_is_silent(const struct order *, int64_t floor_ms, int64_t need_ms, int64_t *deadline_ms);

/* order_snapshot.c */
struct todo order_snapshot_row(struct order *, const struct order_partition *);
struct todo order_snapshot_choose(struct order *);
struct todo order_snapshot_close(struct order *);
void order_snapshot_begun(struct order *, uint16_t table, const struct order_partition *);
void order_snapshot_applied(struct order *, struct order_partition *);
void order_snapshot_passed(struct order *, struct order_partition *);
void order_snapshot_ended(struct order *, uint16_t table);
void order_snapshot_abandoned(struct order *, uint16_t table);
void order_snapshot_leave(struct order *);

/* order_token.c */
struct transaction_position order_transaction_after(const struct order *);

#endif
