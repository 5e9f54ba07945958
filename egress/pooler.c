#include "egress/pooler.h"

#include <stdint.h>
#include <stdlib.h>

#include <bsd/stdlib.h>

#include "common/log.h"
#include "common/stage.h"
#include "egress/postgres.h"
#include "egress/target.h"

#define POOLER_MS 3000
#define ROUNDS    5
#define ASK       "SELECT pg_catalog.pg_backend_pid()"

/* The backend that answers, or 0. `sql` ends with the question. */
static int
pooler_ask(struct postgres *pg, const char *sql)
{
	const char *pid;

	if (postgres_script(pg, sql) < 0)
		return 0;
	pid = postgres_get(pg, 0, 0);
	return pid == NULL ? 0 : (int)strtonum(pid, 0, INT32_MAX, NULL);
}

/*
 * A second connection takes a backend for itself by an open transaction. In session mode that is
 * never ours. In any other mode it may be ours, which lies unused; or we get another one for our
 * next statement: the one that the second connection has just given back, or the one that has
 * rested for longest. Other clients of the pooler may be in between, so it is done more than once.
 */
static bool
pooler_lends(struct target *t, struct postgres *other, int backend)
{
	for (int i = 0; i < ROUNDS; i++) {
		int lent = pooler_ask(other, "BEGIN; " ASK), own;

		/* Statement mode knows no transactions, and says so by a protocol error. */
		if (lent == 0)
			return postgres_state_is(other, "08P01");
		own = lent == backend ? 0 : pooler_ask(t->pg, ASK);
		if (own == backend && postgres_script(other, "ROLLBACK") == 0)
			own = pooler_ask(t->pg, ASK);
		if (lent == backend || (own != 0 && own != backend))
			return true;
		if (own == 0)
			return false;
	}
	return false;
}

bool
pooler_shares_sessions(struct target *t)
{
	int backend = pooler_ask(t->pg, ASK);
	struct postgres *other;
	bool shares = false;

	if (backend == 0 || postgres_handshake_pid(t->pg) == backend)
		return false;
	other = postgres_new(t->stage);
	if (postgres_connect(other, (const char *const *)t->keywords,
			     (const char *const *)t->values, POOLER_MS) == POSTGRES_CONNECTED) {
		postgres_set_deadline(other, clock_monotonic_ms() + POOLER_MS);
		shares = pooler_lends(t, other, backend);
	}
	postgres_free(other);
	return shares;
}
