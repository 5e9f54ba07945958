/*
 * mark.h - how an entry of the state stands to the stored checkpoint.
 *
 * Entries that are not clean stand on a dirty list in the order of their changes. One that is
 * removed leaves a tombstone there only if the checkpoint knows it. When its key comes back, that is
 * a new entry, which stands behind the tombstone: so a key has at most these two, however often it
 * comes and goes, and applying the list in its order gives the state.
 */
#ifndef MARK_H
#define MARK_H

enum mark {
	MARK_CLEAN,   /* as stored */
	MARK_NEW,     /* the checkpoint does not know it, or has a tombstone before it */
	MARK_CHANGED, /* the checkpoint knows it as it was */
	MARK_RESET,   /* likewise, but nothing of that is left in it (groups only) */
	MARK_DEAD,    /* a tombstone */
};

#endif
