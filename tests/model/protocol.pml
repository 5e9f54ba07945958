/*
 * protocol.pml - the protocol of tallyd as a Spin model: rings, batches, take-over, compare-and-set,
 * checkpoint, and what may happen to them. Run by run.sh, which names the configurations.
 *
 * What is modelled. A log of N events in transactions (ENDS). The state at position p is the set
 * of the first p events, as bits: FOLD(p). So a lost event, a doubled one and a half transaction
 * are all seen by comparing a set with its position. A host is one tallyd: its stages are steps of
 * one process (proctype host), for a step reads and writes no more than its stage can see; each
 * step is indivisible in the code too, or is split here. Slowness and SIGSTOP need no step of their
 * own: whoever does nothing for a while is slow. proctype world is the target's side of connections
 * whose client is gone, and the restore.
 *
 *   step here            code
 *   ingest_read          order_step(), writer_apply(), writer_end(): into the ring, not yet visible
 *   ingest_publish       writer_commit() -> ring_commit(): records and token by one store
 *   ingest_dies          supervise_replace(): the successor reads the token, origin_resume(); without
 *                        one it starts as the first did, origin_start()
 *   reduce_absorb        core_take(); at CUT core_live()
 *   reduce_emit          core_due(), core_emit(); the checkpoint's begin, parts, flip, forget
 *   reduce_emit_rest     core_emit() after CORE_FULL: the second half of a batch of over half the ring
 *   egress_begin         egress_batch(): rows into a statement, or into COPY for half a batch
 *   egress_flag, _room   egress_release(): first the word `released`, then the room
 *   egress_finish        egress_close_batch() -> commit_finish(): all is sent
 *   egress_skip          egress_skip()
 *   server_compare       COMPARE_AND_SET: waits for the row's lock, matches or fails (I4)
 *   server_commit        the COMMIT of it, seen by all at once
 *   egress_publish       board_publish()
 *   egress_done          ring_commit() of the consumer with its token; released = 0
 *   egress_fenced        commit_fenced(): EXIT_RECOVER
 *   egress_dies          death of egress, or the loss of its connection: egress_session() does the same
 *                        for both, as `taken` is set for both
 *   take_over_alone      target_update_row(true), egress_settle()
 *   take_over            supervise_boot(), daemon_renew(), target_take_over_anew(), the image, reduce's
 *                        load, board_set_origin(), origin_start(): all up to PHASE_RUN. What of it is
 *                        seen outside is the one transaction; a death in between is `all_die` before or
 *                        after it
 *   all_die              death of reduce or the supervisor, of any stage during boot, a reload
 *   host_leaves          a host that never comes back
 *
 * The target: one row (epoch, owner, batch, position, checkpoint), its content, and the parts. A
 * transaction is SENT (all of it is on its way to the server, which may execute it whenever it likes,
 * also when the client is long dead), HELD (the row is updated and locked), DONE. A restore puts back a
 * copy taken at any earlier moment and ends all sessions.
 *
 * Keys and segments: key k0 = events 1, 5; k1 = event 3; k2 = events 2, 4. Segment 0 is k0 and k1,
 * segment 1 is k2. The first checkpoint has both segments in full; number n > 1 a delta of the dirty keys
 * and segment n % 2.
 *
 * What is shown, in every reachable state: the assertions in `apply` (each commit), `reduce_absorb`,
 * and `take_over`; and by `timeout` in world: when nothing can happen any more, all events are in the target
 * and the checkpoint is of the last position. As faults may stop at any moment (`calm`) and every run ends
 * (run.sh lets Spin look for cycles too), the pipeline can finish from every state.
 *
 * Bounds: N events, FAULTS deaths and cuts, RESTORES restores, HOSTS, LOCK (advisory lock), LARGE
 * (batches of over half the ring), CHECKPOINT. At most two connections whose client is gone are kept, a third
 * is ended at once. Not modelled: bells, bytes, several partitions or views, clocks, commit_interval_ms.
 */

#ifndef N
#define N 4
#endif
#ifndef ENDS /* bit p: a transaction ends at position p */
#define ENDS 28 /* (1 2) (3) (4) */
#endif
#ifndef HOSTS
#define HOSTS 1
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef RESTORES
#define RESTORES 0
#endif
#ifndef LOCK
#define LOCK 0
#endif
#ifndef LARGE
#define LARGE 0
#endif
#ifndef CHECKPOINT
#define CHECKPOINT 0
#endif
#define ROOM    2 /* records in ingest's ring */
#define NUMBERS 5 /* checkpoints at most: asserted */

/* ---- the mistakes: one of them is switched on by the environment when a proof runs --------------- */

c_decl {
	enum {
		M_none,
		M_no_compare,
		M_compare_no_epoch,
		M_select,
		M_flip_early,
		M_flip_position,
		M_no_flag,
		M_alone_deletes,
		M_goes_on,
		M_cut_clears,
		M_close_at_end,
		M_token_first,
		M_bytes_first,
		M_from_durable,
		M_beyond_durable,
		M_forget_early,
		M_blind_retry,
		M_no_rewind_check,
		M_keep_unfinished,
		M_old_image,
		M_cut_speaks,
	};
	static int mutant;
	__attribute__((constructor)) static void choose_mutant(void)
	{
		extern char *getenv(const char *);
		extern int atoi(const char *);
		const char *number = getenv("TALLYD_MUTANT");
		mutant = number != 0 ? atoi(number) : 0;
	}
}
#define MUTANT(name) c_expr { mutant == M_##name }

/* ---- words --------------------------------------------------------------------------------------- */

#define FOLD(p)  ((1 << (p)) - 1)
#define WHOLE(p) ((p) == 0 || ((ENDS >> (p)) & 1))

/* Events of a key or segment, as bits. */
#define KEY0 17
#define KEY1 4
#define KEY2 10
#define SEGMENT0 (KEY0 | KEY1)
#define SEGMENT1 KEY2
#define KEY_OF(bit) (((bit) & KEY0) -> KEY0 : (((bit) & KEY1) -> KEY1 : KEY2))

/* Records of ingest's ring. */
#define CHANGE(e) (e)
#define END(p)    (8 + (p))
#define CUT(p)    (16 + (p))

/* Parts of a checkpoint. */
#define DELTA 1
#define FULL0 2
#define FULL1 4

/* A host, and egress's connection. */
#define CLEAR 0
#define RUN   1
#define GONE  2
#define AWAY  0
#define ON    1

/* A transaction. */
#define NONE      0
#define COPYING   1 /* half a batch is on its way, in a transaction that has no lock yet */
#define SENT      2
#define HELD      3
#define DONE      4
#define REFUSED   5
#define PUBLISHED 6 /* the board knows, the ring does not */

/*
 * Widths in bits: positions up to 5, sets of events 5, batches up to 31, epochs up to 15, owners up to
 * 7, checkpoints up to 7; the growing ones are asserted.
 */
typedef Slot { /* one batch in the ring from reduce */
	unsigned from : 5;
	unsigned to : 5;
	unsigned pos : 3;
	bit gone;            /* the room of the first half was given back */
	unsigned parts : 3;  /* of the checkpoint now under way */
	bit flip;
	unsigned forget : 3; /* what is obsolete since this checkpoint */
}

typedef Host {
	unsigned phase : 2;
	unsigned owner : 3;
	/* board */
	unsigned durable : 5;
	unsigned durable_pos : 3;
	unsigned released : 5;
	unsigned origin : 3;
	/* ring from ingest: its token; `end` is D */
	bit token;
	bit token_cut;
	bit token_open;
	unsigned token_next : 3;
	unsigned token_end : 3;
	/* ingest's own memory */
	bit cut;
	bit opened;
	bit publishing; /* mutants only */
	unsigned next : 3;
	unsigned end : 3;
	/* reduce */
	unsigned mem : 5;
	unsigned shown : 5;
	unsigned dirty : 5;
	unsigned pos : 3;
	unsigned batch : 5;
	bit live;
	bit open;
	bit half;   /* batch + 1 is half written */
	bit at_end; /* mutant only */
	/* its checkpoint: number, parts, those handed over, batch of the flip, position of the last one */
	unsigned ck : 3;
	unsigned ck_shape : 3;
	unsigned ck_given : 3;
	unsigned ck_flip : 5;
	unsigned ck_last : 3;
	unsigned ck_pos : 3;
	unsigned ck_dirty : 5; /* DELTA: events of the keys in it */
	unsigned forget : 3;
	bit unusable; /* what was stored could not be loaded */
	/* ring from reduce; token: done */
	Slot slot[3];
	unsigned done : 5;
	/* egress */
	unsigned conn : 1;
	unsigned tx : 3;
	unsigned epoch : 4;
	unsigned seen : 5; /* the target's batch when it was last heard of */
	bit first;         /* the first half of the batch is in the transaction */
	/* mutant only: an image that was made in a transaction of which nothing was heard */
	bit image;
	unsigned image_ck : 3;
	unsigned image_pos : 3;
}

typedef Orphan { /* a connection whose client is gone */
	unsigned tx : 3;
	unsigned epoch : 4;
	unsigned number : 5;
	bit first;
	Slot b;
	unsigned ck : 3;
	unsigned ck_shape : 3;
	unsigned ck_pos : 3;
	unsigned ck_dirty : 5;
}

typedef Part {
	unsigned have : 3; /* DELTA, FULL0, FULL1 */
	unsigned pos : 3;  /* the state that they carry */
	unsigned dirty : 5;
}

typedef Target {
	unsigned epoch : 4;
	unsigned owner : 3;
	unsigned batch : 5;
	unsigned pos : 3;
	unsigned content : 5;
	unsigned ck : 3;
	unsigned ck_pos : 3;
#if CHECKPOINT
	Part part[NUMBERS + 1];
#endif
}

Host H[HOSTS];
chan unseen[HOSTS] = [2] of {byte};  /* ingest: written, not yet published */
chan ring[HOSTS] = [ROOM] of {byte}; /* published */
Orphan O[2];
hidden Orphan X; /* the transaction that the server looks at in this step */
Target T;
#if RESTORES
Target saved;
bit is_saved;
#endif
unsigned faults : 2 = FAULTS;
unsigned restores : 2 = RESTORES;

/* Scratch of single steps: no part of the state. */
hidden byte i, e, loaded, newest, limit, used, usable, fits;

#if HOSTS > 1
#define LOCKED (H[0].tx == HELD || H[1].tx == HELD || O[0].tx == HELD || O[1].tx == HELD)
#define SERVED(h) (H[1 - (h)].phase == RUN && H[1 - (h)].conn == ON && T.owner == H[1 - (h)].owner)
#else
#define LOCKED (H[0].tx == HELD || O[0].tx == HELD || O[1].tx == HELD)
#define SERVED(h) false
#endif
#define ORPHANS (O[0].tx != NONE || O[1].tx != NONE)

#if LOCK
/* A connection has the lock from before its take-over to its end. */
#if HOSTS > 1
#define LOCK_IS_FREE(h) (!ORPHANS && H[1 - (h)].conn == AWAY)
#else
#define LOCK_IS_FREE(h) (!ORPHANS)
#endif
#else
#define LOCK_IS_FREE(h) true
#endif

/* ---- the target ---------------------------------------------------------------------------------- */

/* The state that the parts up to number n make: `loaded`, if `usable`. */
inline load(n)
{
	loaded = 0;
	usable = true;
#if CHECKPOINT
	load_segment(n, FULL0, SEGMENT0);
	load_segment(n, FULL1, SEGMENT1)
#endif
}

inline load_segment(n, which, segment)
{
	newest = 0;
	for (i : 1 .. n) {
		if
		:: T.part[i].have & which -> newest = i
		:: else
		fi
	}
	if
	:: newest == 0 -> usable = false
	:: else ->
		loaded = loaded | (FOLD(T.part[newest].pos) & segment);
		for (i : newest + 1 .. n) {
			if
			:: T.part[i].have & DELTA ->
				e = segment & T.part[i].dirty;
				loaded = (loaded & ~e) | (FOLD(T.part[i].pos) & e)
			:: else
			fi
		}
	fi
}

inline delete_part(n, which)
{
	T.part[n].have = T.part[n].have & ~(which);
	if
	:: T.part[n].have == 0 ->
		T.part[n].pos = 0;
		T.part[n].dirty = 0
	:: else
	fi
}

/* Delete what the checkpoints up to n have made obsolete. */
inline forget_parts(n)
{
	newest = 0; /* the newest number that has segment 0 in full, then segment 1 */
	limit = 0;
	for (i : 1 .. n) {
		if
		:: (T.part[i].have & FULL0) || (i == n && MUTANT(forget_early)) -> newest = i
		:: else
		fi;
		if
		:: T.part[i].have & FULL1 -> limit = i
		:: else
		fi
	}
	for (i : 1 .. n) {
		if
		:: i < newest -> delete_part(i, FULL0)
		:: else
		fi;
		if
		:: i < limit -> delete_part(i, FULL1)
		:: else
		fi;
		if
		:: i <= newest && i <= limit -> delete_part(i, DELTA)
		:: else
		fi
	}
}

inline delete_unfinished()
{
	skip;
#if CHECKPOINT
	for (i : 1 .. NUMBERS) {
		if
		:: i > T.ck -> delete_part(i, DELTA | FULL0 | FULL1)
		:: else
		fi
	}
#endif
}

/* Does the compare-and-set of X match? Parts of the same transaction count for its flip. */
inline compare()
{
	fits = (X.epoch == T.epoch || MUTANT(no_compare) || MUTANT(compare_no_epoch)) &&
	    (X.number == T.batch + 1 || MUTANT(no_compare) || MUTANT(blind_retry));
#if CHECKPOINT
	/* It never has to fail for parts that are missing alone. */
	assert(!fits || !X.b.flip || (T.part[X.ck].have | X.b.parts) == X.ck_shape ||
	    MUTANT(flip_early))
#endif
}

/* X becomes visible. */
inline apply()
{
	assert(X.b.from == T.content); /* nothing is lost, nothing twice */
	assert(X.first);               /* not half a batch */
	assert(X.epoch == T.epoch);    /* no two writers: a fenced one never commits */
	assert(X.number == T.batch + 1);
	T.content = X.b.to;
	T.pos = X.b.pos;
	assert(X.number < 31);
	T.batch = X.number;
	assert(T.content == FOLD(T.pos) && WHOLE(T.pos)); /* position and state agree */
#if CHECKPOINT
	apply_checkpoint()
#endif
}

inline apply_checkpoint()
{
	if
	:: X.b.parts ->
		assert(!(T.part[X.ck].have & X.b.parts)); /* the primary key of the parts */
		assert(T.part[X.ck].have == 0 || T.part[X.ck].pos == X.ck_pos);
		T.part[X.ck].have = T.part[X.ck].have | X.b.parts;
		T.part[X.ck].pos = X.ck_pos;
		T.part[X.ck].dirty = X.ck_dirty
	:: else
	fi;
	if
	:: X.b.flip ->
		T.ck = X.ck;
		T.ck_pos = (MUTANT(flip_position) -> X.b.pos : X.ck_pos)
	:: else
	fi;
	if
	:: X.b.forget -> forget_parts(X.b.forget)
	:: else
	fi;
	if
	:: T.ck ->
		load(T.ck);
		assert(usable && loaded == FOLD(T.ck_pos)); /* what would be loaded now */
		assert(T.ck_pos <= T.pos)
	:: else
	fi
}

/* Backup and restore. */
#define COPY_TARGET(DST, SRC) \
	DST.epoch = SRC.epoch; \
	DST.owner = SRC.owner; \
	DST.batch = SRC.batch; \
	DST.pos = SRC.pos; \
	DST.content = SRC.content; \
	DST.ck = SRC.ck; \
	DST.ck_pos = SRC.ck_pos; \
	COPY_PARTS(DST, SRC)
#if CHECKPOINT
#define COPY_PARTS(DST, SRC) \
	for (i : 1 .. NUMBERS) { \
		DST.part[i].have = SRC.part[i].have; \
		DST.part[i].pos = SRC.part[i].pos; \
		DST.part[i].dirty = SRC.part[i].dirty \
	}
#else
#define COPY_PARTS(DST, SRC) skip
#endif

/* ---- slots, connections -------------------------------------------------------------------------- */

#define CURRENT(h) H[h].slot[(H[h].done + 1) % 3]
#define OPENED(h)  H[h].slot[(H[h].batch + 1) % 3]

#define COPY_SLOT(DST, SRC) \
	DST.from = SRC.from; \
	DST.to = SRC.to; \
	DST.pos = SRC.pos; \
	DST.parts = SRC.parts; \
	DST.flip = SRC.flip; \
	DST.forget = SRC.forget

inline clear_slot(h, n)
{
	H[h].slot[n].from = 0;
	H[h].slot[n].to = 0;
	H[h].slot[n].pos = 0;
	H[h].slot[n].gone = 0;
	H[h].slot[n].parts = 0;
	H[h].slot[n].flip = 0;
	H[h].slot[n].forget = 0
}

/* X is what the host's connection has sent. */
inline take_up(h)
{
	X.tx = H[h].tx;
	X.epoch = H[h].epoch;
	X.number = H[h].done + 1;
	X.first = H[h].first;
	COPY_SLOT(X.b, CURRENT(h));
	X.ck = H[h].ck;
	X.ck_shape = H[h].ck_shape;
	X.ck_pos = H[h].ck_pos;
	X.ck_dirty = H[h].ck_dirty;
	if
	:: X.tx != SENT && X.tx != HELD -> /* nothing is under way, but the session and its lock */
		X.tx = DONE;
		X.epoch = 0;
		X.number = 0;
		X.first = 0;
		X.b.from = 0;
		X.b.to = 0;
		X.b.pos = 0;
		X.b.parts = 0;
		X.b.flip = 0;
		X.b.forget = 0
	:: else
	fi;
	if
	:: !X.b.parts && !X.b.flip -> /* no state where there is no difference */
		X.ck = 0;
		X.ck_shape = 0;
		X.ck_pos = 0;
		X.ck_dirty = 0
	:: else
	fi
}

#define COPY_ORPHAN(DST, SRC) \
	DST.tx = SRC.tx; \
	DST.epoch = SRC.epoch; \
	DST.number = SRC.number; \
	DST.first = SRC.first; \
	COPY_SLOT(DST.b, SRC.b); \
	DST.ck = SRC.ck; \
	DST.ck_shape = SRC.ck_shape; \
	DST.ck_pos = SRC.ck_pos; \
	DST.ck_dirty = SRC.ck_dirty

inline clear_orphan(o)
{
	if
	:: o == 0 -> COPY_ORPHAN(O[0], O[1]); blank_orphan(1)
	:: else -> blank_orphan(1)
	fi
}

inline blank_orphan(o)
{
	O[o].tx = NONE;
	O[o].epoch = 0;
	O[o].number = 0;
	O[o].first = 0;
	O[o].b.from = 0;
	O[o].b.to = 0;
	O[o].b.pos = 0;
	O[o].b.parts = 0;
	O[o].b.flip = 0;
	O[o].b.forget = 0;
	O[o].ck = 0;
	O[o].ck_shape = 0;
	O[o].ck_pos = 0;
	O[o].ck_dirty = 0
}

/* The client is gone; the server goes on with what it has got, until it notices. */
inline leave_connection(h)
{
	if
	:: H[h].conn == ON && (H[h].tx == SENT || H[h].tx == HELD || LOCK) ->
		take_up(h);
		if
		:: O[0].tx == NONE -> COPY_ORPHAN(O[0], X)
		:: O[0].tx != NONE && O[1].tx == NONE -> COPY_ORPHAN(O[1], X)
		:: else
		fi
	:: else
	fi;
	drop_connection(h)
}

inline drop_connection(h)
{
	H[h].conn = AWAY;
	H[h].tx = NONE;
	H[h].first = 0;
	H[h].epoch = 0;
	H[h].seen = 0
}

/* All processes of a host are reaped; rings, board and owner are forgotten. */
inline clear_host(h)
{
	drop_connection(h);
	H[h].phase = CLEAR;
	H[h].owner = 0;
	H[h].durable = 0;
	H[h].durable_pos = 0;
	H[h].released = 0;
	H[h].origin = 0;
	H[h].token = 0;
	H[h].token_next = 0;
	H[h].token_end = 0;
	H[h].token_cut = 0;
	H[h].token_open = 0;
	H[h].next = 0;
	H[h].end = 0;
	H[h].cut = 0;
	H[h].opened = 0;
	H[h].publishing = 0;
	H[h].mem = 0;
	H[h].pos = 0;
	H[h].shown = 0;
	H[h].batch = 0;
	H[h].dirty = 0;
	H[h].live = 0;
	H[h].open = 0;
	H[h].half = 0;
	H[h].at_end = 0;
	H[h].ck = 0;
	H[h].ck_last = 0;
	H[h].forget = 0;
	H[h].unusable = 0;
	clear_checkpoint(h);
	H[h].done = 0;
	for (i : 0 .. 2) {
		clear_slot(h, i)
	}
	do
	:: nempty(unseen[h]) -> unseen[h]?e
	:: empty(unseen[h]) && nempty(ring[h]) -> ring[h]?e
	:: empty(unseen[h]) && empty(ring[h]) -> break
	od;
	skip
}

inline clear_checkpoint(h)
{
	H[h].ck_shape = 0;
	H[h].ck_given = 0;
	H[h].ck_flip = 0;
	H[h].ck_pos = 0;
	H[h].ck_dirty = 0
}

/* ---- ingest -------------------------------------------------------------------------------------- */

/* Where the replay stops. */
#define REACHED(h) (MUTANT(beyond_durable) -> \
	H[h].next == (H[h].end < N -> H[h].end + 1 : N) : H[h].next == H[h].end)

inline ingest_read(h)
{
	if
	:: !H[h].cut && REACHED(h) ->
		unseen[h]!CUT(H[h].end);
		H[h].cut = 1;
		H[h].opened = 0
	:: H[h].cut && H[h].opened && WHOLE(H[h].next) ->
		unseen[h]!END(H[h].next);
		H[h].opened = 0
	:: else ->
		H[h].next++;
		unseen[h]!CHANGE(H[h].next);
		H[h].opened = H[h].cut
	fi
}

inline ingest_put(h)
{
	do
	:: nempty(unseen[h]) ->
		unseen[h]?e;
		ring[h]!e
	:: empty(unseen[h]) -> break
	od;
	skip
}

inline ingest_token(h)
{
	H[h].token = 1;
	H[h].token_next = H[h].next;
	H[h].token_cut = H[h].cut;
	H[h].token_open = H[h].opened;
	H[h].token_end = (H[h].cut -> 0 : H[h].end)
}

/* By the rule one store; a mutant needs two. */
inline ingest_publish(h)
{
	if
	:: MUTANT(token_first) && !H[h].publishing ->
		ingest_token(h);
		H[h].publishing = 1
	:: MUTANT(bytes_first) && !H[h].publishing ->
		ingest_put(h);
		H[h].publishing = 1
	:: else ->
		ingest_put(h);
		ingest_token(h);
		H[h].publishing = 0
	fi
}

inline ingest_start(h)
{
	if
	:: H[h].token ->
		H[h].next = (MUTANT(from_durable) -> H[h].durable_pos : H[h].token_next);
		H[h].end = H[h].token_end;
		H[h].cut = H[h].token_cut;
		H[h].opened = (MUTANT(from_durable) -> 0 : H[h].token_open)
	:: else ->
		H[h].next = H[h].origin;
		H[h].end = H[h].durable_pos;
		H[h].cut = 0;
		H[h].opened = 0
	fi
}

inline ingest_dies(h)
{
	do
	:: nempty(unseen[h]) -> unseen[h]?e
	:: empty(unseen[h]) -> break
	od;
	H[h].publishing = 0;
	ingest_start(h)
}

/* ---- reduce -------------------------------------------------------------------------------------- */

/* Memory is the state of the batch that the target has. */
inline reduce_live(h)
{
	H[h].live = 1;
	H[h].batch = H[h].durable;
	H[h].shown = (H[h].durable > 0 && !MUTANT(cut_speaks) -> H[h].mem : 0);
	if
	:: MUTANT(cut_clears) -> H[h].dirty = 0
	:: else
	fi
}

inline reduce_absorb(h)
{
	ring[h]?e;
	if
	:: e < END(0) ->
		e = 1 << (e - 1);
		assert(!(H[h].mem & e)); /* not twice */
		H[h].mem = H[h].mem | e;
		if
		:: CHECKPOINT -> H[h].dirty = H[h].dirty | KEY_OF(e)
		:: else
		fi;
		H[h].open = 1;
		H[h].at_end = 0
	:: else ->
		H[h].pos = e & 7;
		H[h].open = 0;
		if
		:: e >= CUT(0) && !H[h].live -> reduce_live(h)
		:: else
		fi;
		if
		:: MUTANT(close_at_end) -> H[h].at_end = (H[h].batch < H[h].durable + 2)
		:: else
		fi;
		assert(H[h].mem == FOLD(H[h].pos) && WHOLE(H[h].pos)) /* nothing lost on the way */
	fi
}

/* Memory stands at an end, and fewer than two batches are unacknowledged. */
#define MAY_CLOSE(h) (H[h].phase == RUN && H[h].live && !H[h].open && !H[h].half && \
	H[h].batch < H[h].durable + 2 && (H[h].at_end || !MUTANT(close_at_end)))

#define ROWS(h) (H[h].mem != H[h].shown)
#define IDLE(h) (H[h].ck_shape == 0 || (H[h].ck_flip && H[h].durable >= H[h].ck_flip))
#define MAY_BEGIN(h) (CHECKPOINT && IDLE(h) && H[h].ck_last != H[h].pos)
#define REST(h) (H[h].ck_shape & ~H[h].ck_given)

/* The lowest part that is left. */
#define FIRST_OF(parts) (((parts) & DELTA) -> DELTA : (((parts) & FULL0) -> FULL0 : FULL1))

/* The flip is durable: what it made obsolete goes with this batch. */
inline checkpoint_settle(h)
{
	if
	:: H[h].ck_flip && H[h].durable >= H[h].ck_flip ->
		H[h].forget = H[h].ck;
		clear_checkpoint(h)
	:: else
	fi
}

inline checkpoint_begin(h)
{
	H[h].ck++;
	assert(H[h].ck <= NUMBERS);
	H[h].ck_last = H[h].pos;
	H[h].ck_pos = H[h].pos;
	H[h].ck_dirty = H[h].dirty;
	H[h].dirty = 0;
	H[h].ck_shape = (H[h].ck == 1 || H[h].unusable -> FULL0 | FULL1 : (H[h].ck & 1 -> DELTA | FULL1 : DELTA | FULL0));
	H[h].unusable = 0
}

inline checkpoint_hand(h, all)
{
	OPENED(h).parts = (all -> REST(h) : FIRST_OF(REST(h)));
	H[h].ck_given = H[h].ck_given | OPENED(h).parts;
	OPENED(h).flip = all || (MUTANT(flip_early) && REST(h) != 0);
	if
	:: OPENED(h).flip -> H[h].ck_flip = H[h].batch + 1
	:: else -> 
		if
		:: MUTANT(forget_early) && REST(h) == 0 -> OPENED(h).forget = H[h].ck
		:: else
		fi
	fi
}

#define NO_PART  0
#define ONE_PART 1
#define ALL      2

inline reduce_emit(h, is_large, begins, parts)
{
	OPENED(h).from = H[h].shown;
	OPENED(h).to = H[h].mem;
	OPENED(h).pos = H[h].pos;
	H[h].shown = H[h].mem;
	H[h].at_end = 0;
#if CHECKPOINT
	checkpoint_settle(h);
	OPENED(h).forget = H[h].forget;
	H[h].forget = 0;
	if
	:: begins -> checkpoint_begin(h)
	:: else
	fi;
	if
	:: parts == ONE_PART -> checkpoint_hand(h, false)
	:: parts == ALL -> checkpoint_hand(h, true)
	:: else
	fi;
#endif
	if
	:: is_large -> H[h].half = 1
	:: else -> H[h].batch++
	fi
}

/* ---- egress -------------------------------------------------------------------------------------- */

/* The current batch is in the ring, whole or its first half. */
#define HAS_WHOLE(h) (H[h].batch > H[h].done)
#define HAS_HALF(h)  (H[h].half && H[h].batch == H[h].done)
#define SERVES(h)    (H[h].phase == RUN && H[h].conn == ON)

inline egress_begin(h)
{
	H[h].first = !CURRENT(h).gone;
	H[h].tx = (HAS_WHOLE(h) -> SENT : COPYING)
}

inline egress_done(h)
{
	clear_slot(h, (H[h].done + 1) % 3);
	H[h].done++;
	H[h].released = 0;
	H[h].tx = NONE;
	H[h].first = 0
}

/* After the take-over's UPDATE: does the target stand where ring and board say? */
#define MOVED(h) (((T.batch < H[h].durable || T.batch < H[h].done) && !MUTANT(no_rewind_check)) || \
	T.batch < H[h].released || T.batch > H[h].done + 1)

inline take_over_alone(h)
{
	assert(T.epoch < 15);
	T.epoch++;
	H[h].epoch = T.epoch;
	T.owner = H[h].owner;
	H[h].seen = (MUTANT(blind_retry) -> H[h].done : T.batch);
	if
	:: MUTANT(alone_deletes) -> delete_unfinished()
	:: else
	fi;
	if
	:: MOVED(h) -> clear_host(h)
	:: else ->
		H[h].durable = T.batch;
		H[h].durable_pos = T.pos;
		H[h].released = 0;
		H[h].conn = ON
	fi
}

/* The same by SELECT, which does not wait; epoch and owner are not written. */
inline take_over_by_select(h)
{
	H[h].epoch = T.epoch;
	H[h].seen = T.batch;
	if
	:: MOVED(h) -> clear_host(h)
	:: else ->
		H[h].durable = T.batch;
		H[h].durable_pos = T.pos;
		H[h].released = 0;
		H[h].conn = ON
	fi
}

/* An owner that nobody has: by the rule it is drawn at random. */
inline draw_owner(h)
{
	used = 1 << T.owner;
	for (i : 0 .. HOSTS - 1) {
		used = used | (1 << H[i].owner)
	}
#if RESTORES
	used = used | (1 << saved.owner);
#endif
	i = 1;
	do
	:: used & (1 << i) -> i++
	:: else -> break
	od;
	assert(i < 8);
	H[h].owner = i
}

inline take_over(h, is_unusable)
{
	if
	:: MUTANT(select) -> H[h].owner = 0
	:: else ->
		draw_owner(h);
		assert(T.epoch < 15);
	T.epoch++;
		T.owner = H[h].owner
	fi;
	if
	:: MUTANT(keep_unfinished)
	:: else -> delete_unfinished()
	fi;
	load(T.ck);
	assert(T.ck == 0 || (usable && loaded == FOLD(T.ck_pos)));
	if
	:: !H[h].image ->
		H[h].image_ck = T.ck;
		H[h].image_pos = T.ck_pos
	:: else -> H[h].image = 0
	fi;
	H[h].phase = RUN;
	H[h].epoch = T.epoch;
	H[h].seen = T.batch;
	H[h].done = T.batch;
	H[h].conn = ON;
	H[h].durable = T.batch;
	H[h].durable_pos = T.pos;
	H[h].batch = T.batch;
	H[h].ck = H[h].image_ck;
	if
	:: is_unusable -> H[h].unusable = 1
	:: else ->
		H[h].mem = FOLD(H[h].image_pos);
		H[h].pos = H[h].image_pos;
		H[h].origin = H[h].image_pos;
		H[h].ck_last = H[h].image_pos;
		H[h].forget = H[h].image_ck
	fi;
	H[h].image_ck = 0;
	H[h].image_pos = 0;
	ingest_start(h)
}

/* ---- one tallyd ---------------------------------------------------------------------------------- */

proctype host(byte h)
{
end:
	do
	/* ingest */
	:: d_step {
		H[h].phase == RUN && nfull(unseen[h]) && !H[h].publishing &&
		    !(H[h].cut && H[h].next == N && !H[h].opened) -> ingest_read(h)
	}
	:: d_step {
		(nempty(unseen[h]) || H[h].publishing) && len(ring[h]) + len(unseen[h]) <= ROOM ->
		ingest_publish(h)
	}
	:: d_step {
		faults > 0 && (nempty(unseen[h]) || H[h].publishing) ->
		faults--;
		ingest_dies(h)
	}

	/* reduce */
	:: d_step { nempty(ring[h]) && !H[h].half -> reduce_absorb(h) }
	:: d_step { MAY_CLOSE(h) && ROWS(h) && IDLE(h) -> reduce_emit(h, 0, 0, NO_PART) }
#if CHECKPOINT
	:: d_step { MAY_CLOSE(h) && MAY_BEGIN(h) -> reduce_emit(h, 0, 1, ONE_PART) }
	:: d_step { MAY_CLOSE(h) && MAY_BEGIN(h) -> reduce_emit(h, 0, 1, ALL) }
	:: d_step { MAY_CLOSE(h) && !IDLE(h) && REST(h) -> reduce_emit(h, 0, 0, ONE_PART) }
	:: d_step { MAY_CLOSE(h) && !IDLE(h) && !H[h].ck_flip -> reduce_emit(h, 0, 0, ALL) }
	:: d_step {
		MAY_CLOSE(h) && ROWS(h) && !IDLE(h) && H[h].ck_flip -> reduce_emit(h, 0, 0, NO_PART)
	}
#endif
#if LARGE
	:: d_step { MAY_CLOSE(h) && ROWS(h) && IDLE(h) -> reduce_emit(h, 1, 0, NO_PART) }
#if CHECKPOINT
	:: d_step { MAY_CLOSE(h) && ROWS(h) && MAY_BEGIN(h) -> reduce_emit(h, 1, 1, ALL) }
	:: d_step { MAY_CLOSE(h) && ROWS(h) && MAY_BEGIN(h) -> reduce_emit(h, 1, 1, ONE_PART) }
#endif
	:: d_step { H[h].half && OPENED(h).gone -> H[h].half = 0; H[h].batch++ }
#endif

	/* egress */
	:: d_step {
		SERVES(h) && H[h].tx == NONE && H[h].done >= H[h].seen && (HAS_WHOLE(h) || HAS_HALF(h)) ->
		egress_begin(h)
	}
	:: d_step { SERVES(h) && H[h].tx == NONE && H[h].done < H[h].seen && HAS_WHOLE(h) -> egress_done(h) }
#if LARGE
	:: d_step {
		H[h].tx == COPYING && H[h].released <= H[h].done && !MUTANT(no_flag) ->
		H[h].released = H[h].done + 1
	}
	:: d_step {
		H[h].tx == COPYING && (H[h].released > H[h].done || MUTANT(no_flag)) && !CURRENT(h).gone ->
		CURRENT(h).gone = 1
	}
	:: d_step { H[h].tx == COPYING && CURRENT(h).gone && HAS_WHOLE(h) -> H[h].tx = SENT }
#endif
	:: d_step {
		H[h].tx == SENT && !LOCKED ->
		take_up(h);
		compare();
		H[h].tx = (fits -> HELD : REFUSED)
	}
	:: d_step {
		H[h].tx == HELD ->
		take_up(h);
		apply();
		H[h].tx = DONE
	}
	:: d_step {
		H[h].tx == DONE ->
		H[h].durable = H[h].done + 1;
		H[h].durable_pos = CURRENT(h).pos;
		H[h].seen = H[h].done + 1;
		H[h].tx = PUBLISHED
	}
	:: d_step { H[h].tx == PUBLISHED -> egress_done(h) }
	:: d_step { H[h].tx == REFUSED -> clear_host(h) }
	:: d_step {
		faults > 0 && SERVES(h) ->
		faults--;
		leave_connection(h)
	}
	:: d_step {
		H[h].phase == RUN && H[h].conn == AWAY && T.owner != H[h].owner && !MUTANT(goes_on) &&
		    !MUTANT(select) && (LOCK || !LOCKED) ->
		clear_host(h)
	}
	:: d_step {
		H[h].phase == RUN && H[h].conn == AWAY && (T.owner == H[h].owner || MUTANT(goes_on)) &&
		    !LOCKED && LOCK_IS_FREE(h) && !MUTANT(select) ->
		take_over_alone(h)
	}
	:: d_step {
		H[h].phase == RUN && H[h].conn == AWAY && MUTANT(select) -> take_over_by_select(h)
	}

	/* the supervisor */
	:: d_step {
		H[h].phase == CLEAR && (h == 0 || T.owner || H[0].phase != CLEAR) && !SERVED(h) && (!LOCKED || MUTANT(select)) && LOCK_IS_FREE(h) ->
		take_over(h, false)
	}
#if CHECKPOINT
	:: d_step { /* a part is damaged, or a table has another layout */
		faults > 0 && H[h].phase == CLEAR && T.ck && !SERVED(h) && !LOCKED && LOCK_IS_FREE(h) ->
		faults--;
		take_over(h, true)
	}
#endif
	:: d_step { /* the take-over came to nothing, but its image is kept */
		faults > 0 && H[h].phase == CLEAR && !H[h].image && MUTANT(old_image) && !LOCKED ->
		faults--;
		H[h].image = 1;
		H[h].image_ck = T.ck;
		H[h].image_pos = T.ck_pos
	}
	:: d_step {
		faults > 0 && H[h].phase == RUN ->
		faults--;
		leave_connection(h);
		clear_host(h)
	}
#if HOSTS > 1
#if !LOCK
	/* Nothing but the lock keeps a second one from taking over while the first one lives. */
	:: d_step {
		faults > 0 && H[h].phase == CLEAR && SERVED(h) && (!LOCKED || MUTANT(select)) ->
		faults--;
		take_over(h, false)
	}
#endif
	:: d_step {
		faults > 0 && H[h].phase == RUN && H[1 - h].phase != GONE ->
		faults--;
		leave_connection(h);
		clear_host(h);
		H[h].phase = GONE;
		H[h].owner = 0
	}
#endif
	od
}

/* ---- the server's side, and the end -------------------------------------------------------------- */

inline orphan_goes_on(o)
{
	COPY_ORPHAN(X, O[o]);
	if
	:: X.tx == SENT ->
		compare();
		if
		:: fits -> O[o].tx = HELD
		:: else -> clear_orphan(o)
		fi
	:: else ->
		apply();
		clear_orphan(o)
	fi
}

inline restore()
{
	skip;
#if RESTORES
	COPY_TARGET(T, saved);
	restores--;
	blank_orphan(0);
	blank_orphan(1);
	drop_connection(0);
#if HOSTS > 1
	drop_connection(1);
#endif
	if
	:: restores == 0 -> /* a copy that is needed no more is no state */
		saved.epoch = 0;
		saved.owner = 0;
		saved.batch = 0;
		saved.pos = 0;
		saved.content = 0;
		saved.ck = 0;
		saved.ck_pos = 0;
#if CHECKPOINT
		for (i : 1 .. NUMBERS) {
			saved.part[i].have = 0;
			saved.part[i].pos = 0;
			saved.part[i].dirty = 0
		}
#endif
	:: else
	fi;
	is_saved = 0
#endif
}

#if HOSTS > 1
#define SETTLED(h) (H[h].phase == RUN && H[h].conn == ON && H[h].done == T.batch && H[h].batch == T.batch)
#define ALL_DONE (SETTLED(0) || SETTLED(1))
#else
#define ALL_DONE (H[0].phase == RUN && H[0].conn == ON && H[0].done == T.batch && H[0].batch == T.batch)
#endif

proctype world()
{
end:
	do
	:: d_step { (O[0].tx == SENT && !LOCKED) || O[0].tx == HELD -> orphan_goes_on(0) }
	:: d_step { (O[1].tx == SENT && !LOCKED) || O[1].tx == HELD -> orphan_goes_on(1) }
	:: d_step { O[0].tx != NONE -> clear_orphan(0) } /* the server has noticed */
	:: d_step { O[1].tx != NONE -> clear_orphan(1) }
#if RESTORES
	:: d_step {
		restores > 0 && !is_saved ->
		COPY_TARGET(saved, T);
		is_saved = 1
	}
	:: d_step { restores > 0 && is_saved && saved.epoch != T.epoch -> restore() }
#endif
	:: d_step { /* calm: from here on nothing bad happens any more */
		faults > 0 || restores > 0 ->
		faults = 0;
		restores = 0;
	}
	:: timeout ->
		assert(ALL_DONE && T.pos == N && T.content == FOLD(N));
		assert(!CHECKPOINT || (T.ck > 0 && T.ck_pos == N));
		break
	od
}

init {
	atomic {
		run host(0);
#if HOSTS > 1
		run host(1);
#endif
		run world()
	}
}
