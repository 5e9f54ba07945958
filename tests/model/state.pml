/* state.pml - words, types and variables; see protocol.pml. */

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
 * Widths in bits: positions up to 5, sets of events 5, batches up to 31, epochs up to 15, owners up
 * to 7, checkpoints up to 7; the growing ones are asserted.
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
