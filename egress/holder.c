#include "egress/holder.h"

#include <string.h>

#include <bsd/string.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "egress/postgres.h"
#include "egress/target.h"

#define LOOK_MS 1000

/* The session, when it began, and how many bytes its COPY has taken. */
#define COPY "pg_catalog.concat_ws('/', a.pid, a.backend_start, c.bytes_processed)"

/* Whoever took over last, if it holds the lock and its COPY waits for rows. */
#define WAITS                                                                                      \
	" FROM tallyd.pipeline p JOIN pg_catalog.pg_stat_activity a"                               \
	" ON a.pid = p.backend AND a.backend_start = p.backend_start"                              \
	" JOIN pg_catalog.pg_stat_progress_copy c ON c.pid = a.pid"                                \
	" JOIN pg_catalog.pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory' AND l.granted"   \
	" AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $2::bigint"         \
	" WHERE p.name = $1 AND a.wait_event = 'ClientRead'"

static void
holder_end(struct holder *h, struct target *t)
{
	const char *values[3] = {t->stage->pipeline->name, t->lock, h->copy};
	struct postgres_params params = {.count = 3, .values = values};

	if (postgres_query(t->pg,
			   "SELECT a.pid, pg_catalog.pg_terminate_backend(a.pid)" WAITS " AND " COPY
			   " = $3",
			   &params) < 0)
		log_warn("target.stalled",
			 "the session that holds the pipeline has stood still inside a COPY for %d "
			 "s, and cannot be ended: %s",
			 HOLDER_STALLED_MS / 1000, postgres_error(t->pg));
	else if (postgres_rows(t->pg) > 0)
		log_warn("target.stalled",
			 "ended backend %s, which held the pipeline and stood still inside a COPY "
			 "for %d s",
			 postgres_get(t->pg, 0, 0), HOLDER_STALLED_MS / 1000);
}

void
holder_watch(struct holder *h, struct target *t, int64_t now_ms)
{
	const char *values[2] = {t->stage->pipeline->name, t->lock};
	struct postgres_params params = {.count = 2, .values = values};

	if (now_ms < h->next_ms || postgres_version(t->pg) < 140000)
		return;
	h->next_ms = now_ms + LOOK_MS;
	if (postgres_query(t->pg, "SELECT " COPY WAITS, &params) < 0 || postgres_rows(t->pg) == 0) {
		h->copy[0] = '\0';
		return;
	}
	if (strcmp(postgres_get(t->pg, 0, 0), h->copy) != 0) {
		strlcpy(h->copy, postgres_get(t->pg, 0, 0), sizeof(h->copy));
		h->since_ms = now_ms;
	} else if (now_ms - h->since_ms >= HOLDER_STALLED_MS) {
		holder_end(h, t);
		h->copy[0] = '\0';
	}
}
