#include "egress/target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "egress/ddl.h"
#include "egress/handover.h"
#include "egress/holder.h"
#include "egress/plan.h"
#include "egress/pooler.h"
#include "egress/postgres.h"

#define CONNECT_MS     10000
#define STANDBY_MS     100  /* between two tries for the lock */
#define GRACE_MS       300  /* a session that is just ending is no standby */
#define PREDECESSOR_MS 1000 /* then our own earlier session is ended by us */
#define TABLE_MS       500  /* between two looks for a missing table */
#define RETRY_MAX_MS   1000

/* Settings of our own, unless the file says otherwise; the first are not for it to say. */
static const char *const defaults[][2] = {
    {"client_encoding", "UTF8"},   {"application_name", NULL}, /* tallyd/PIPELINE */
    {"keepalives", "1"},           {"keepalives_idle", "5"},
    {"keepalives_interval", "2"},  {"keepalives_count", "3"},
    {"tcp_user_timeout", "10000"}, {"target_session_attrs", "read-write"},
};
#define DEFAULTS (sizeof(defaults) / sizeof(defaults[0]))

/*
 * Names the supervisor, and so all of its egresses, one after the other: only a session of theirs
 * may be ended by the next.
 */
static void
target_name_instance(char *buf, size_t size)
{
	char host[65] = "?", path[32], stat[512] = "";
	unsigned long long start = 0;
	const char *s;
	ssize_t n = 0;
	int fd;

	gethostname(host, sizeof(host) - 1);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)getppid());
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
		n = read(fd, stat, sizeof(stat) - 1);
		close(fd);
	}
	stat[n > 0 ? n : 0] = '\0';
	/* Field 22, counted behind the name, which may hold blanks and parentheses. */
	s = strrchr(stat, ')');
	for (int field = 2; s != NULL && field < 22; field++)
		s = strchr(s + 1, ' ');
	if (s != NULL)
		start = strtoull(s + 1, NULL, 10);
	snprintf(buf, size, "%s/%d/%llu", host, (int)getppid(), start);
}

/* FNV-1a of the pipeline's name: the same number whatever the server's version. */
static void
target_name_lock(const char *name, char *buf, size_t size)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *s = "tallyd "; *s != '\0'; s++)
		hash = (hash ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
	for (const char *s = name; *s != '\0'; s++)
		hash = (hash ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
	snprintf(buf, size, "%" PRId64, (int64_t)hash);
}

static bool
target_take_option(struct target *t, const struct option *o, size_t *n)
{
	if (strcmp(o->name, "password_file") == 0) {
		t->password_file = o;
		return true;
	}
	if (strcmp(o->name, "client_encoding") == 0 || strcmp(o->name, "replication") == 0) {
		stage_report(t->stage, LOG_ERROR, &o->place,
			     "option \"%s\" is not for the file to say: tallyd sets it itself",
			     o->name);
		return false;
	}
	if (!postgres_knows_option(o->name)) {
		stage_report(
		    t->stage, LOG_ERROR, &o->place,
		    "libpq knows no connection option \"%s\"; see \"Parameter Key Words\" in"
		    " PostgreSQL's manual, or password_file",
		    o->name);
		return false;
	}
	t->keywords[*n] = xstrdup(o->name);
	t->values[(*n)++] = xstrdup(o->value);
	return true;
}

static void
target_add_defaults(struct target *t, size_t n)
{
	for (size_t d = 0; d < DEFAULTS; d++) {
		bool set = false;

		for (size_t i = 0; i < n; i++)
			set = set || strcmp(t->keywords[i], defaults[d][0]) == 0;
		if (set)
			continue;
		t->keywords[n] = xstrdup(defaults[d][0]);
		t->values[n++] = defaults[d][1] != NULL
				     ? xstrdup(defaults[d][1])
				     : xasprintf("tallyd/%s", t->stage->pipeline->name);
	}
}

bool
target_init(struct target *t, struct stage *stage)
{
	const struct pipeline *p = stage->pipeline;
	/* The last two: a password out of a file, and the end. */
	size_t room = p->target_count + DEFAULTS + 2, n = 0;
	bool ok = true;

	memset(t, 0, sizeof(*t));
	t->stage = stage;
	t->pg = postgres_new(stage);
	t->tables = xcalloc(p->view_count + 1, sizeof(*t->tables));
	t->keywords = xcalloc(room, sizeof(*t->keywords));
	t->values = xcalloc(room, sizeof(*t->values));
	target_name_instance(t->instance, sizeof(t->instance));
	target_name_lock(p->name, t->lock, sizeof(t->lock));
	for (unsigned i = 0; i < p->target_count; i++)
		ok = target_take_option(t, &p->target[i], &n) && ok;
	target_add_defaults(t, n);
	return ok;
}

char *
target_user(const struct target *t)
{
	for (size_t i = 0; t->keywords[i] != NULL; i++)
		if (strcmp(t->keywords[i], "user") == 0 && t->values[i][0] != '\0')
			return xstrdup(t->values[i]);
	return postgres_default_user();
}

void
target_fini(struct target *t)
{
	for (unsigned i = 0; i < t->stage->pipeline->view_count; i++)
		inspect_free(&t->tables[i]);
	for (size_t i = 0; t->keywords[i] != NULL; i++) {
		freezero(t->values[i], strlen(t->values[i]));
		free(t->keywords[i]);
	}
	free(t->tables);
	free(t->keywords);
	free(t->values);
	free(t->position);
	postgres_free(t->pg);
	memset(t, 0, sizeof(*t));
}

void
target_sleep(struct target *t, int ms)
{
	int64_t until = clock_monotonic_ms() + ms, now;

	while (!t->stage->stopping && (now = clock_monotonic_ms()) < until)
		stage_poll(t->stage, NULL, 0, (int)(until - now));
}

/* Read anew for each connection: whoever rotates the password writes the file. */
static void
target_read_password(struct target *t)
{
	const struct option *o = t->password_file;
	char text[1024];
	size_t n = 0, last;
	FILE *f = fopen(o->value, "re");

	if (f == NULL) {
		stage_report(t->stage, LOG_ERROR, &o->place, "password_file: %s", strerror(errno));
		stage_fail(t->stage, EXIT_CONFIG, "target.password", "cannot read password_file");
	}
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	for (last = 0; t->keywords[last] != NULL && strcmp(t->keywords[last], "password") != 0;)
		last++;
	if (t->keywords[last] == NULL)
		t->keywords[last] = xstrdup("password");
	free(t->values[last]);
	t->values[last] = xstrdup(text);
	explicit_bzero(text, sizeof(text));
}

static void
target_wait_note(struct target *t, const char *what, const char *error)
{
	char note[400];

	snprintf(note, sizeof(note), "waiting for PostgreSQL at %s: %s%s%s", postgres_where(t->pg),
		 what != NULL ? what : "", what != NULL ? ": " : "", error);
	if (!t->stage->check && !t->stage->stopping)
		stage_waiting(t->stage, note);
}

/* Which exit code a refused statement is worth; EXIT_OK: none, try again. */
static enum exit_code
target_verdict(const struct postgres *pg)
{
	if (postgres_lost(pg) || postgres_state_is(pg, "25006"))
		return EXIT_OK;
	if (postgres_state_is(pg, "42501") || postgres_state_is(pg, "28"))
		return EXIT_DENIED;
	if (postgres_state_is(pg, "22") || postgres_state_is(pg, "23") ||
	    postgres_state_is(pg, "44") || postgres_state_is(pg, "P0"))
		return EXIT_DATA;
	if (postgres_state_is(pg, "42") || postgres_state_is(pg, "0A") ||
	    postgres_state_is(pg, "3F") || postgres_state_is(pg, "26"))
		return EXIT_CONFIG;
	return EXIT_OK;
}

/* Say what is waited for, and close the connection. */
static void
target_lose(struct target *t, const char *what)
{
	target_wait_note(t, postgres_lost(t->pg) ? NULL : what, postgres_error(t->pg));
	postgres_close(t->pg);
}

_Noreturn static void
target_refused(struct target *t, enum exit_code code, const char *what, const char *advice)
{
	stage_fail(t->stage, code, "target.refused",
		   "%s: PostgreSQL says: %s (SQLSTATE %s); %s, then start again", what,
		   postgres_error(t->pg), postgres_state(t->pg), advice);
}

int
target_failed(struct target *t, const char *what)
{
	static const char *const advice[] = {
	    [EXIT_DENIED] = "grant it to the user",
	    [EXIT_DATA] = "the table does not take these rows: nothing of the batch was committed;"
			  " mend the table",
	    [EXIT_CONFIG] = "the table was dropped or changed: mend it",
	};
	enum exit_code code = target_verdict(t->pg);

	if (code != EXIT_OK)
		target_refused(t, code, what, advice[code]);
	target_lose(t, what);
	return -1;
}

/* As target_failed(), on the way to the take-over: no row of a view is in it. */
static enum target_step
target_again(struct target *t, const char *what)
{
	enum exit_code code = target_verdict(t->pg);

	if (code == EXIT_DENIED)
		target_refused(t, code, what, "grant it to the user");
	if (code != EXIT_OK) {
		char *ddl = pipeline_command(t->stage->pipeline, "check --ddl", NULL);
		char *mend = xasprintf("schema tallyd is not as it should be: compare it with what"
				       " %s prints, and mend it",
				       ddl);

		target_refused(t, EXIT_CONFIG, what, mend);
	}
	target_lose(t, what);
	return t->stage->stopping ? TARGET_STOP : TARGET_AGAIN;
}

/* Settings for both ends of the wire: a dead or stopped host's lock must be gone in about 10 s. */
static int
target_set_session(struct target *t)
{
	int version = postgres_version(t->pg), done;
	char *sql =
	    xasprintf("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;"
		      "SET lock_timeout = '5s'; SET statement_timeout = 0;"
		      "SET idle_in_transaction_session_timeout = '10s';"
		      "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2;"
		      "SET tcp_keepalives_count = 3; %s%s"
		      "SET DateStyle = 'ISO'; SET extra_float_digits = 1;"
		      "SET standard_conforming_strings = on; SELECT pg_catalog.pg_backend_pid()",
		      version >= 120000 ? "SET tcp_user_timeout = '10s';" : "",
		      version >= 140000 ? "SET idle_session_timeout = '10s';" : "");
	const char *pid;

	done = postgres_script(t->pg, sql);
	free(sql);
	if (done < 0)
		return -1;
	pid = postgres_get(t->pg, 0, 0);
	t->backend = pid == NULL ? 0 : (int)strtonum(pid, 0, INT32_MAX, NULL);
	return 0;
}

int
target_connect(struct target *t, int timeout_ms)
{
	if (t->password_file != NULL)
		target_read_password(t);
	return (int)postgres_connect(t->pg, (const char *const *)t->keywords,
				     (const char *const *)t->values, timeout_ms);
}

int
target_break(struct target *t)
{
	postgres_close(t->pg);
	return -1;
}

static enum target_step
target_fault(struct target *t, bool fault)
{
	return fault && target_break(t) < 0 ? TARGET_AGAIN : TARGET_DONE;
}

_Noreturn static void
target_refuse_pooler(struct target *t)
{
	stage_fail(t->stage, EXIT_CONFIG, "target.pooler",
		   "PostgreSQL at %s is behind a connection pooler in transaction mode, which"
		   " cannot keep the lock of the pipeline: connect to the server itself, or set"
		   " the pooler to session mode",
		   postgres_where(t->pg));
}

static enum target_step
target_start_session(struct target *t)
{
	struct stage *s = t->stage;

	switch ((enum postgres_connection)target_connect(t, CONNECT_MS)) {
	case POSTGRES_AWAY:
		target_wait_note(t, NULL, postgres_error(t->pg));
		return s->stopping ? TARGET_STOP : TARGET_AGAIN;
	case POSTGRES_REFUSED:
		stage_fail(s, EXIT_DENIED, "target.denied",
			   "PostgreSQL at %s refuses the login: %s", postgres_where(t->pg),
			   postgres_error(t->pg));
	case POSTGRES_INVALID:
		stage_report(s, LOG_ERROR, &s->pipeline->target_place, "libpq says: %s",
			     postgres_error(t->pg));
		stage_fail(s, EXIT_CONFIG, "target.options", "libpq says: %s",
			   postgres_error(t->pg));
	case POSTGRES_CONNECTED:
		break;
	}
	if (target_fault(t, FAULT("egress.connected")) != TARGET_DONE)
		return TARGET_AGAIN;
	if (postgres_version(t->pg) < 120000)
		stage_fail(
		    s, EXIT_CONFIG, "target.version",
		    "PostgreSQL at %s is older than version 12, the oldest that tallyd knows",
		    postgres_where(t->pg));
	if (pooler_shares_sessions(t)) /* before its backends get our settings, and the lock */
		target_refuse_pooler(t);
	if (target_set_session(t) < 0)
		return target_again(t, "session settings");
	return target_fault(t, FAULT("egress.session"));
}

/* --- the lock ------------------------------------------------------------------------------ */

#define HOLDER                                                                                     \
	"FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.granted"                   \
	" AND l.database = (SELECT oid FROM pg_catalog.pg_database"                                \
	" WHERE datname = pg_catalog.current_database())"                                          \
	" AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint"

char *
target_holder(struct target *t)
{
	const char *values[2] = {t->lock, t->stage->pipeline->name};
	struct postgres_params params = {.count = 1, .values = values};
	char *pid, *holder;

	if (postgres_query(t->pg,
			   "SELECT l.pid, (SELECT CASE WHEN a.backend_start IS NOT NULL"
			   " THEN coalesce(host(a.client_addr), 'this host') END FROM"
			   " pg_catalog.pg_stat_activity a WHERE a.pid = l.pid) " HOLDER,
			   &params) < 0 ||
	    postgres_rows(t->pg) == 0)
		return NULL;
	pid = xasprintf("PostgreSQL backend %s, connected from %s", postgres_get(t->pg, 0, 0),
			postgres_get(t->pg, 0, 1) != NULL ? postgres_get(t->pg, 0, 1) : "?");
	params.count = 1;
	params.values = values + 1;
	/* The table may not be there yet, or not for us: then the pid has to do. */
	if (postgres_query(t->pg, "SELECT instance FROM tallyd.pipeline WHERE name = $1", &params) <
		0 ||
	    postgres_rows(t->pg) == 0 || postgres_get(t->pg, 0, 0)[0] == '\0')
		return pid;
	holder = xasprintf("tallyd %s (%s)", postgres_get(t->pg, 0, 0), pid);
	free(pid);
	return holder;
}

/* Has another one written since we did? Not knowing is no. */
static bool
target_superseded(struct target *t)
{
	const char *values[1] = {t->stage->pipeline->name};
	struct postgres_params params = {.count = 1, .values = values};

	return postgres_query(t->pg, "SELECT owner FROM tallyd.pipeline WHERE name = $1",
			      &params) == 0 &&
	       postgres_rows(t->pg) == 1 &&
	       strcmp(postgres_get(t->pg, 0, 0), t->stage->board->owner) != 0;
}

/* End the session of an earlier egress of this very supervisor, never another's. */
static void
target_end_predecessor(struct target *t)
{
	const char *values[2] = {t->stage->pipeline->name, t->instance};
	struct postgres_params params = {.count = 2, .values = values};

	if (postgres_query(
		t->pg,
		"SELECT a.pid, pg_catalog.pg_terminate_backend(a.pid) FROM tallyd.pipeline p"
		" JOIN pg_catalog.pg_stat_activity a ON a.pid = p.backend"
		" AND a.backend_start = p.backend_start"
		" WHERE p.name = $1 AND p.instance = $2 AND a.pid <> pg_catalog.pg_backend_pid()",
		&params) == 0 &&
	    postgres_rows(t->pg) > 0)
		log_info("target.predecessor", "ended our earlier session, backend %s",
			 postgres_get(t->pg, 0, 0));
}

static void
target_say_standby(struct target *t)
{
	char *holder = target_holder(t);
	char note[240];

	snprintf(note, sizeof(note), "pipeline \"%s\" is held by %s", t->stage->pipeline->name,
		 holder != NULL ? holder : "another session");
	free(holder);
	/* One that only replaces a dead egress does not stand by: it waits for that one's end. */
	if (t->taken)
		target_wait_note(t, NULL, note);
	else
		stage_standby(t->stage, note);
}

int
target_try_lock(struct target *t)
{
	const char *values[1] = {t->lock};
	struct postgres_params params = {.count = 1, .values = values};

	if (postgres_query(t->pg, "SELECT pg_catalog.pg_try_advisory_lock($1::bigint)", &params) <
	    0)
		return -1;
	return postgres_get(t->pg, 0, 0)[0] == 't' ? 1 : 0;
}

/* A pooler that hands each transaction to another backend cannot keep a lock of the session. */
static enum target_step
target_check_lock(struct target *t)
{
	const char *values[1] = {t->lock};
	struct postgres_params params = {.count = 1, .values = values};
	const char *mine;

	if (postgres_query(t->pg,
			   "SELECT EXISTS (SELECT " HOLDER
			   " AND l.pid = pg_catalog.pg_backend_pid()),"
			   " pg_catalog.pg_backend_pid()",
			   &params) < 0)
		return target_again(t, "look for the lock");
	mine = postgres_get(t->pg, 0, 0);
	if (mine[0] != 't' || strtonum(postgres_get(t->pg, 0, 1), 0, INT32_MAX, NULL) != t->backend)
		target_refuse_pooler(t);
	return target_fault(t, FAULT("egress.locked"));
}

static enum target_step
target_lock(struct target *t)
{
	int64_t since = clock_monotonic_ms(), last_end = since;
	struct holder holder = {.next_ms = since + PREDECESSOR_MS};
	bool said = false;
	int pause = 2;

	for (;;) {
		int got = target_try_lock(t);
		int64_t now = clock_monotonic_ms();

		if (got < 0)
			return target_again(t, "wait for the lock of the pipeline");
		if (got > 0)
			return target_check_lock(t);
		if (t->taken && target_superseded(t))
			stage_fail(t->stage, EXIT_RECOVER, "target.superseded",
				   "another tallyd has taken over pipeline \"%s\"",
				   t->stage->pipeline->name);
		if (now - last_end >= PREDECESSOR_MS) {
			target_end_predecessor(t);
			last_end = now;
		}
		if (!said && now - since >= GRACE_MS) {
			target_say_standby(t);
			said = true;
		}
		holder_watch(&holder, t, now);
		target_sleep(t, pause);
		pause = pause * 2 < STANDBY_MS ? pause * 2 : STANDBY_MS;
		if (t->stage->stopping)
			return TARGET_STOP;
	}
}

/* --- schema and tables --------------------------------------------------------------------- */

static enum target_step
target_create_schema(struct target *t)
{
	int error;
	enum ddl_state found = ddl_look(t->pg, t->stage->pipeline, &error);
	char *hint;

	if (error < 0)
		return target_again(t, "look for schema tallyd");
	if (found == DDL_PRESENT)
		return TARGET_DONE;
	if (ddl_create(t->pg) == 0) {
		log_info("target.schema", "%s schema tallyd in database %s",
			 found == DDL_ABSENT ? "created" : "upgraded", postgres_database(t->pg));
		return TARGET_DONE;
	}
	if (!postgres_state_is(t->pg, "42501"))
		return target_again(t, "create schema tallyd");
	hint = ddl_hint(t->stage->pipeline, t->pg, found);
	stage_fail(t->stage, EXIT_DENIED, "target.schema",
		   "user \"%s\" may not %s schema tallyd in database \"%s\": %s",
		   postgres_user(t->pg), found == DDL_ABSENT ? "create" : "upgrade",
		   postgres_database(t->pg), hint);
}

static void
target_say_missing(struct target *t, const struct view *v)
{
	char *create = inspect_suggest(v), *name = inspect_view_name(v);
	char *note = xasprintf("waiting for table %s in database \"%s\" at %s: %s", name,
			       postgres_database(t->pg), postgres_where(t->pg), create);

	stage_waiting(t->stage, note);
	free(note);
	free(name);
	free(create);
}

/* Ends the process unless the table is there and fits. */
static enum target_step
target_check_table(struct target *t, unsigned i)
{
	const struct view *v = &t->stage->pipeline->views[i];

	for (;;) {
		inspect_free(&t->tables[i]);
		switch (inspect_view(t->stage, t->pg, v, t->taken, &t->tables[i])) {
		case INSPECT_OK:
			return TARGET_DONE;
		case INSPECT_LOST:
			return target_again(t, "look for the target tables");
		case INSPECT_REFUSED:
			stage_fail(t->stage, EXIT_CONFIG, "target.table",
				   "the table of view %s does not fit it", v->name);
		case INSPECT_DENIED:
			stage_fail(t->stage, EXIT_DENIED, "target.table",
				   "the table of view %s may not be written", v->name);
		case INSPECT_MISSING:
			break;
		}
		target_say_missing(t, v);
		target_sleep(t, TABLE_MS);
		if (t->stage->stopping)
			return TARGET_STOP;
	}
}

static enum target_step
target_check_tables(struct target *t)
{
	enum target_step step = TARGET_DONE;

	/* In one process the answer of the first time stands: a change shows as a refused row. */
	for (unsigned i = 0; i < t->stage->pipeline->view_count && step == TARGET_DONE; i++)
		if (t->tables[i].columns == NULL && !t->stage->pipeline->views[i].dropped)
			step = target_check_table(t, i);
	if (step == TARGET_DONE && !plan_check_distinct(t->stage, t->tables))
		stage_fail(t->stage, EXIT_CONFIG, "target.table", "two views have one table");
	return step;
}

/* --- take over (I3) ------------------------------------------------------------------------ */

#define TAKE_OVER                                                                                  \
	"UPDATE tallyd.pipeline SET epoch = epoch + 1, owner = $2, instance = $3,"                 \
	" backend = pg_catalog.pg_backend_pid(), backend_start = (SELECT a.backend_start FROM"     \
	" pg_catalog.pg_stat_activity a WHERE a.pid = pg_catalog.pg_backend_pid()),"               \
	" started = pg_catalog.clock_timestamp() WHERE name = $1"
#define TAKE_OVER_RETURNING " RETURNING epoch, batch, \"time\", position::text"

static int
target_update_row(struct target *t, bool replaces)
{
	const char *values[3] = {t->stage->pipeline->name, t->stage->board->owner, t->instance};
	struct postgres_params params = {.count = 3, .values = values};
	const char *position;

	if (postgres_query(t->pg,
			   replaces ? TAKE_OVER " AND owner = $2" TAKE_OVER_RETURNING
				    : TAKE_OVER TAKE_OVER_RETURNING,
			   &params) < 0)
		return -1;
	if (postgres_rows(t->pg) != 1)
		stage_fail(
		    t->stage, EXIT_RECOVER, "target.superseded",
		    "the row of pipeline \"%s\" is not this run's: another tallyd has written"
		    " since, or the target went back to before this run",
		    t->stage->pipeline->name);
	t->epoch = postgres_number(t->pg, 0);
	t->batch = postgres_number(t->pg, 1);
	t->time = postgres_number(t->pg, 2);
	position = postgres_get(t->pg, 0, 3);
	free(t->position);
	t->position = position == NULL ? NULL : xstrdup(position);
	return 0;
}

/* What fails in here is another's lock, or the connection. */
static enum target_step
target_take_over_failed(struct target *t)
{
	if (postgres_state_is(t->pg, "55P03") && postgres_script(t->pg, "ROLLBACK") == 0) {
		target_end_predecessor(t);
		target_wait_note(t, "take over",
				 "the row of the pipeline is locked by a"
				 " transaction of another session");
		postgres_close(t->pg);
		return TARGET_AGAIN;
	}
	return target_again(t, "take over");
}

/*
 * In one transaction: the row is ours from here on, and so are the views; and what the target knows
 * goes into the image. One that replaces a dead egress finds the image done.
 */
static enum inspect_result
target_take_all(struct target *t)
{
	const char *values[1] = {t->stage->pipeline->name};
	struct postgres_params params = {.count = 1, .values = values};
	const bool anew = !t->taken;
	enum inspect_result result;

	if (postgres_script(t->pg, "BEGIN") < 0 ||
	    (anew &&
	     postgres_query(t->pg,
			    "INSERT INTO tallyd.pipeline (name) VALUES ($1) ON CONFLICT DO NOTHING",
			    &params) < 0) ||
	    target_update_row(t, !anew) < 0)
		return INSPECT_LOST;
	result = plan_settle(t->stage, t->pg, t->tables, t->batch, anew);
	if (result == INSPECT_OK && anew)
		result = handover_write(t);
	if (result == INSPECT_OK && target_fault(t, FAULT("egress.in_takeover")) != TARGET_DONE)
		result = INSPECT_LOST;
	if (result == INSPECT_OK && postgres_script(t->pg, "COMMIT") < 0)
		result = INSPECT_LOST;
	return result;
}

static enum target_step
target_take_over(struct target *t)
{
	if (target_fault(t, FAULT("egress.before_takeover")) != TARGET_DONE)
		return TARGET_AGAIN;
	switch (target_take_all(t)) {
	case INSPECT_LOST:
		return target_take_over_failed(t);
	case INSPECT_DENIED:
		stage_fail(t->stage, EXIT_DENIED, "target.views",
			   "a privilege is missing for the views of pipeline \"%s\"",
			   t->stage->pipeline->name);
	case INSPECT_REFUSED:
	case INSPECT_MISSING:
		stage_fail(t->stage, EXIT_CONFIG, "target.views",
			   "the target does not fit the views of pipeline \"%s\"",
			   t->stage->pipeline->name);
	case INSPECT_OK:
		break;
	}
	return target_fault(t, FAULT("egress.after_takeover"));
}

static enum target_step
target_try(struct target *t)
{
	static enum target_step (*const steps[])(struct target *) = {
	    target_start_session, target_lock, target_check_tables, target_create_schema,
	    target_take_over};
	enum target_step step = TARGET_DONE;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && step == TARGET_DONE; i++)
		step = steps[i](t);
	return step;
}

int
target_open(struct target *t)
{
	for (int pause = 50;; pause = pause * 2 < RETRY_MAX_MS ? pause * 2 : RETRY_MAX_MS) {
		enum target_step step = t->stage->stopping ? TARGET_STOP : target_try(t);

		if (step == TARGET_DONE) {
			board_count(t->stage->self, COUNTER_TAKEOVERS, 1);
			return 0;
		}
		postgres_close(t->pg);
		if (step == TARGET_STOP)
			return -1;
		target_sleep(t, pause / 2 + (int)arc4random_uniform((uint32_t)pause));
	}
}

int
target_ping(struct target *t)
{
	if (FAULT("egress.ping"))
		return target_break(t);
	if (postgres_query(t->pg, "SELECT pg_catalog.pg_backend_pid()", NULL) < 0)
		return target_failed(t, "ping");
	if (strtonum(postgres_get(t->pg, 0, 0), 0, INT32_MAX, NULL) != t->backend)
		(void)target_check_lock(t);
	return 0;
}

void
target_release(struct target *t)
{
	char epoch[24];
	const char *values[2] = {t->stage->pipeline->name, epoch};
	struct postgres_params params = {.count = 2, .values = values};

	snprintf(epoch, sizeof(epoch), "%" PRIu64, t->epoch);
	(void)FAULT("egress.release");
	if (postgres_is_open(t->pg) &&
	    postgres_query(t->pg,
			   "UPDATE tallyd.pipeline SET backend = NULL, backend_start = NULL"
			   " WHERE name = $1 AND epoch = $2::bigint",
			   &params) < 0)
		log_warn("target.release", "could not say good-bye to PostgreSQL at %s: %s",
			 postgres_where(t->pg), postgres_error(t->pg));
	/* The lock goes with the session. */
	postgres_close(t->pg);
}
