/* target.pml - what PostgreSQL does; see protocol.pml. */

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
