/* stages.pml - what the stages and the supervisor do; see protocol.pml. */

/* ---- slots, connections ---------------------------------------------------------------------- */

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

/* ---- ingest ---------------------------------------------------------------------------------- */

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

/* ---- reduce ---------------------------------------------------------------------------------- */

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

/* Memory stands at an end, and fewer than two batches are unacknowledged. To wait for the one, as
 * while ingest keeps up, is among the runs. */
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
	H[h].ck_shape = (H[h].ck == 1 || H[h].unusable -> FULL0 | FULL1 :
	    (H[h].ck & 1 -> DELTA | FULL1 : DELTA | FULL0));
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

/* ---- egress ---------------------------------------------------------------------------------- */

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
