/*
 * protocol.pml - the protocol of tallyd as a Spin model: rings, batches, take-over, the comparison,
 * checkpoint, and what may happen to them. run.sh names the configurations and runs them;
 * state.pml has the words and types, target.pml what PostgreSQL does, stages.pml what stages do.
 *
 * What is modelled. A log of N events in transactions (ENDS). The state at position p is the set
 * of the first p events, as bits: FOLD(p). So a lost event, a doubled one and a half transaction
 * are all seen by comparing a set with its position. A host is one tallyd: its stages are steps of
 * one process (proctype host), for a step reads and writes no more than its stage can see; each
 * step is indivisible in the code too, or is split here. Slowness and SIGSTOP need no step of their
 * own: whoever does nothing for a while is slow, and a zombie is one that goes on after another has
 * taken over. proctype world is the server's side of connections whose client is gone, and the
 * restore.
 *
 *   step here            code
 *   ingest_read          order_step(), writer_apply(), writer_end(): in the ring, not yet visible
 *   ingest_publish       writer_commit() -> ring_commit(): records and token by one store
 *   ingest_dies          supervise_replace(): the successor reads the token, origin_resume();
 *                        without one it starts as the first did, origin_start()
 *   reduce_absorb        core_take(); at CUT core_live()
 *   reduce_emit          core_due(), core_emit(); checkpoints_begin(), _next() (parts, flip),
 *                        _forget(). `half`: CORE_FULL in a batch of over half the ring; the rest is
 *                        written when there is room
 *   egress_begin         egress_batch(): rows into a statement, or into COPY for half a batch
 *   released, gone       egress_release(): first the word, then the room
 *   done < seen          egress_skip()
 *   compare              COMPARE_AND_SET and COMPARE_AND_FLIP: waits for the row's lock, matches or
 *                        fails (I4)
 *   apply                the COMMIT of it, seen by all at once
 *   DONE, PUBLISHED      board_publish(), then egress_done: ring_commit() of the consumer with its
 *                        token, released = 0
 *   REFUSED              commit_fenced(): EXIT_RECOVER
 *   leave_connection     death of egress, or the loss of its connection, before or after the COMMIT
 *                        whose answer is then unknown: egress_session() does the same for both, as
 *                        `taken` is set for both
 *   take_over_alone      target_update_row(true), egress_settle()
 *   take_over            supervise_boot(), daemon_renew(), target_take_over_anew(), handover.c,
 *                        core_load(), board_set_origin(), origin_start(): all up to PHASE_RUN. What
 *                        of it is seen outside is the one transaction; a death in between is one
 *                        before or after it. is_unusable: reduce refuses what is stored
 *   clear_host           EXIT_RECOVER, or death of reduce or the supervisor, of any stage during
 *                        boot, a reload: all are reaped, supervise_clear()
 *   GONE                 a host that never comes back
 *
 * The target: one row (epoch, owner, batch, position, checkpoint), its content, and the parts. A
 * transaction is SENT (all of it is on its way to the server, which may execute it whenever it
 * likes, also when the client is long dead), HELD (the row is updated and locked), DONE. A restore
 * puts back a copy taken at any earlier moment and ends all sessions.
 *
 * Keys and segments: key k0 = events 1, 5; k1 = event 3; k2 = events 2, 4. Segment 0 is k0 and k1,
 * segment 1 is k2. The first checkpoint has both segments in full; number n > 1 a delta of the
 * dirty keys and segment n % 2.
 *
 * What is shown, in every reachable state: the assertions in `apply` (each commit), `compare`,
 * `reduce_absorb` and `take_over`; and, by `timeout` in world: when nothing can happen any more,
 * all events are in the target, and the checkpoint is of the last position. As faults may stop at
 * any moment (the step that sets them to 0) and no run goes on for ever (run.sh looks for cycles),
 * the pipeline can finish from every state.
 *
 * Bounds: N events; FAULTS deaths, cuts, take-overs from a living one, unusable checkpoints;
 * RESTORES; HOSTS; LOCK (the advisory lock); LARGE (batches of over half the ring); CHECKPOINT. At
 * most two connections whose client is gone are kept, a third is ended at once. Not modelled:
 * bells, bytes, several partitions, servers and views, views that come and go, clocks,
 * commit_interval_ms, the clean stop (a death at a good moment).
 *
 * Found besides: with the epoch in it, the compare-and-set would not need the batch (nothing goes
 * wrong without it in any configuration here); it stays as a second line of defence.
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

/* ---- the mistakes: one of them is switched on by the environment when a proof runs ----------- */

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

#include "state.pml"
#include "target.pml"
#include "stages.pml"

/* ---- one tallyd ------------------------------------------------------------------------------ */

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
	:: d_step {
		SERVES(h) && H[h].tx == NONE && H[h].done < H[h].seen && HAS_WHOLE(h) ->
		egress_done(h)
	}
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
		/* The hosts are alike: let the first one begin. */
		H[h].phase == CLEAR && (h == 0 || T.owner || H[0].phase != CLEAR) &&
		    !SERVED(h) && (!LOCKED || MUTANT(select)) && LOCK_IS_FREE(h) ->
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

/* ---- the server's side, and the end ---------------------------------------------------------- */

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

#define SETTLED(h) \
	(H[h].phase == RUN && H[h].conn == ON && H[h].done == T.batch && H[h].batch == T.batch)
#if HOSTS > 1
#define ALL_DONE (SETTLED(0) || SETTLED(1))
#else
#define ALL_DONE SETTLED(0)
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
