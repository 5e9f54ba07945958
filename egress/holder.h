/*
 * holder.h - the session that holds the pipeline, seen from one that stands by.
 *
 * A stopped host's kernel still answers keepalives, and the server ends the host's session by
 * idle_session_timeout or idle_in_transaction_session_timeout, which tallyd has set for itself. It
 * has no such limit inside a COPY: there the one who stands by ends it (from PostgreSQL 14, which
 * shows how far a COPY is). Safe whatever the holder does: its next commit has the old epoch (I4).
 */
#ifndef EGRESS_HOLDER_H
#define EGRESS_HOLDER_H

#include <stdint.h>

struct target;

#define HOLDER_STALLED_MS 10000 /* in a COPY that waits for rows and gets none */

struct holder {         /* zeroed: nothing seen yet */
	char copy[128]; /* which session's COPY, and how far it was; empty: none that waits */
	int64_t since_ms, next_ms;
};

/*
 * While t->pg stands by: call it often, it looks once a second. Ends the session that has taken
 * over this very pipeline, and holds its lock, when its COPY has stood still for
 * HOLDER_STALLED_MS. Not being able to look or to end it (another role) changes nothing.
 */
void holder_watch(struct holder *, struct target *, int64_t now_ms);

#endif
