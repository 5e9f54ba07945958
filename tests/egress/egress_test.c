/*
 * egress_test.c - egress against a real PostgreSQL: exactly once, whatever dies when.
 *
 * Batches are fed by hand. In most tests batch k is n rows with key k and totals 1..n, so that
 * what the table must hold can be said in one line. See run.sh for how to start it.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bsd/string.h>

#include "common/log.h"
#include "common/stage.h"
#include "tests/egress/harness.h"
#include "tests/egress/types_test.h"

static char name_buffer[64];
static unsigned names, recoveries;

/* --- pipelines ------------------------------------------------------------------------------ */

static struct column source_columns[] = {
    {.name = TEXT("i"), .type = TYPE_INTEGER, .precision = -1, .scale = -1},
    {.name = TEXT("b"), .type = TYPE_BIGINT, .precision = -1, .scale = -1, .not_null = true},
};
static struct server source_server = {.name = TEXT("kafka")};
static struct table source_table = {.name = TEXT("source"),
				    .source = TEXT("public.source"),
				    .topic = TEXT("p.public.source"),
				    .columns = source_columns,
				    .column_count = LENGTH(source_columns)};

static struct output totals_outputs[] = {
    {.name = TEXT("key"),
     .kind = OUTPUT_GROUP,
     .column = 1,
     .type = TYPE_BIGINT,
     .scale = -1,
     .place = {3, 1}},
    {.name = TEXT("total"),
     .kind = OUTPUT_SUM,
     .column = 0,
     .type = TYPE_BIGINT,
     .scale = -1,
     .place = {3, 8}},
};
static struct view totals_view[] = {
    {.name = TEXT("totals"),
     .outputs = totals_outputs,
     .output_count = 2,
     .plan = TEXT("SELECT 1"),
     .place = {2, 1}},
    {.name = TEXT("others"),
     .outputs = totals_outputs,
     .output_count = 2,
     .plan = TEXT("SELECT 2"),
     .place = {5, 1}},
};

static struct option target_options[] = {
    {.name = TEXT("host"), .value = TEXT("127.0.0.1"), .place = {9, 3}},
    {.name = TEXT("port"), .place = {9, 20}},
    {.name = TEXT("user"), .value = TEXT("tester"), .place = {9, 30}},
    {.name = TEXT("dbname"), .value = TEXT("postgres"), .place = {9, 40}},
    {.name = TEXT("password"), .value = TEXT("secret-word"), .place = {9, 50}},
};

/* A pipeline with a new name and an empty table `totals` (or as the caller makes it later). */
struct pipeline
pipeline_totals(unsigned views)
{
	struct pipeline p = {.file = TEXT("test.sql"),
			     .name = name_buffer,
			     .autocommit_duration_ms = 100,
			     .checkpoint_interval_ms = 10000,
			     .ring_bytes = 64 * 1024,
			     .servers = &source_server,
			     .server_count = 1,
			     .tables = &source_table,
			     .table_count = 1,
			     .target_name = TEXT("target"),
			     .target = target_options,
			     .target_count = LENGTH(target_options),
			     .target_place = {8, 1},
			     .views = totals_view,
			     .view_count = views};

	snprintf(name_buffer, sizeof(name_buffer), "test%u", ++names);
	target_options[1].value = getenv("PGPORT");
	totals_view[0].existing = EXISTING_REFUSE;
	harness_sql("DROP TABLE IF EXISTS totals, others;"
		    " CREATE TABLE totals (key bigint, total bigint, \"time\" bigint NOT NULL,"
		    " diff smallint NOT NULL);"
		    " CREATE TABLE others (LIKE totals)");
	return p;
}

/* --- starts --------------------------------------------------------------------------------- */

void
start_ready(struct harness *h, bool alone)
{
	harness_start(h, alone, NULL);
	EXPECT(harness_hear(h, 'R', 10000), "ready, before batch %" PRIu64 "; see %s", h->next,
	       h->log);
}

void
open_ready(struct harness *h, struct pipeline *p)
{
	harness_open(h, p);
	start_ready(h, false);
}

/* --- batches -------------------------------------------------------------------------------- */

bool
feed_rows(struct harness *h, unsigned rows)
{
	struct value v[2] = {{.kind = VALUE_INT, .i = (int64_t)h->next}, {.kind = VALUE_INT}};

	for (unsigned i = 1; i <= rows; i++) {
		v[1].i = i;
		if (!harness_row(h, 0, i % 2 == 0 ? -1 : 1, v, 2))
			return false;
	}
	return true;
}

bool
feed(struct harness *h, unsigned rows)
{
	return feed_rows(h, rows) && harness_end_batch(h);
}

void
expect_durable(struct harness *h, uint64_t batch)
{
	EXPECT(harness_durable(h, batch, 10000), "batch %" PRIu64 " is durable; see %s", batch,
	       h->log);
}

/*
 * Every batch whole, once, with one time of its own that rises; and the row of the pipeline. In
 * one line: "key:rows:different rows:times" of each batch, how often time does not rise, and what
 * the pipeline's row says.
 */
void
expect_batches(const char *test, const unsigned *rows, unsigned count)
{
	char expected[4096] = "", one[96];
	const char *found;

	for (unsigned k = 1; k <= count; k++) {
		snprintf(one, sizeof(one), "%u:%u:%u:1 ", k, rows[k - 1], rows[k - 1]);
		strlcat(expected, one, sizeof(expected));
	}
	snprintf(one, sizeof(one), "0 %u %u true", count, count);
	strlcat(expected, one, sizeof(expected));
	found = harness_sql(
	    "WITH b AS (SELECT key, count(*) AS n, count(DISTINCT total) AS d,"
	    " count(DISTINCT \"time\") AS t, min(\"time\") AS at FROM totals GROUP BY key),"
	    " c AS (SELECT at <= lag(at) OVER (ORDER BY key) AS back FROM b)"
	    " SELECT (SELECT string_agg(key || ':' || n || ':' || d || ':' || t, ' ' ORDER BY key)"
	    " FROM b) || ' ' || (SELECT count(*) FROM c WHERE back) || ' ' || p.batch || ' ' ||"
	    " (p.position->'kafka'->>'batch') || ' ' || (p.\"time\" = (SELECT max(at) FROM b))"
	    " FROM tallyd.pipeline p WHERE name = '%s'",
	    name_buffer);
	EXPECT(strcmp(found, expected) == 0, "%s:\n%s\nand not\n%s", test, found, expected);
}

/* --- tests ---------------------------------------------------------------------------------- */

static void
test_batches(void)
{
	static const unsigned rows[] = {1, 3, 500, 501, 2, 4000, 1, 2};
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	open_ready(&h, &p);
	for (unsigned i = 0; i < LENGTH(rows); i++)
		EXPECT(feed(&h, rows[i]), "feed");
	EXPECT(harness_durable(&h, LENGTH(rows), 10000), "durable; see %s", h.log);
	expect_batches("batches", rows, LENGTH(rows));
	EXPECT(strcmp(harness_sql("SELECT running FROM tallyd.status WHERE name = '%s'", p.name),
		      "t") == 0,
	       "status does not show it running");
	harness_stop(&h);
	EXPECT(harness_exit(&h, 8000) == EXIT_OK, "exit");
	EXPECT(strcmp(harness_sql("SELECT backend IS NULL FROM tallyd.pipeline WHERE name = '%s'",
				  p.name),
		      "t") == 0,
	       "backend is still there");
	EXPECT(!harness_logged(&h, "secret-word"), "the password is in the log");
	harness_close(&h);
}

/* A batch in the ring at STOP is committed; a half one is not. */
static void
test_stop(void)
{
	static const unsigned rows[] = {2, 600, 5};
	struct value v[2] = {{.kind = VALUE_INT, .i = 4}, {.kind = VALUE_INT, .i = 4}};
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	open_ready(&h, &p);
	kill(h.pid, SIGSTOP);
	for (unsigned i = 0; i < LENGTH(rows); i++)
		EXPECT(feed(&h, rows[i]), "feed");
	for (unsigned i = 0; i < 700; i++)
		EXPECT(harness_row(&h, 0, 1, v, 2), "row");
	ring_commit(&h.ring, NULL, 0);
	harness_stop(&h);
	kill(h.pid, SIGCONT);
	EXPECT(harness_exit(&h, 8000) == EXIT_OK, "exit; see %s", h.log);
	expect_batches("stop", rows, LENGTH(rows));
	harness_close(&h);
}

/*
 * At every fault point, by every action, for a small, a large and a too large batch: replaced
 * alone the successor goes on; where it may not, it asks for a full recovery.
 */
static void
run_fault(const char *point, unsigned hit, const char *action, const unsigned *rows, unsigned count)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;
	char fault[96];
	unsigned done = 0;

	snprintf(fault, sizeof(fault), "egress.%s:%u:%s", point, hit, action);
	harness_open(&h, &p);
	harness_start(&h, false, fault);
	if (!harness_hear(&h, 'R', 10000)) { /* died before: a full recovery */
		EXPECT(harness_exit(&h, 5000) != -1000, "%s: neither ready nor dead", fault);
		harness_start(&h, false, NULL);
		EXPECT(harness_hear(&h, 'R', 10000), "%s: ready; see %s", fault, h.log);
	}
	h.restart = true;
	while (done < count && feed(&h, rows[done]) && harness_durable(&h, done + 1, 10000))
		done++;
	if (done == count)
		expect_batches(fault, rows, count);
	else
		EXPECT(h.code == EXIT_RECOVER && atomic_load(&h.board->released) != 0,
		       "%s: exit %d; see %s", fault, h.code, h.log);
	recoveries += done != count;
	harness_close(&h);
}

static void
test_faults(void)
{
	static const unsigned small[] = {2, 3, 4, 5, 6};
	static const unsigned large[] = {501, 700, 900, 800, 600};
	static const unsigned huge[] = {6000, 3, 7000, 2, 900};
	static const char *const points[] = {"connected",     "before_takeover", "after_takeover",
					     "before_insert", "before_check",    "before_commit",
					     "commit_sent",   "after_commit",    "after_publish"};
	static const char *const actions[] = {"error", "kill"};

	for (unsigned i = 0; i < LENGTH(points); i++) {
		unsigned hit = i < 3 ? 1 : 2;

		for (unsigned a = 0; a < LENGTH(actions); a++) {
			if (strcmp(points[i], "before_check") != 0)
				run_fault(points[i], hit, actions[a], small, LENGTH(small));
			run_fault(points[i], hit, actions[a], large, LENGTH(large));
			run_fault(points[i], i < 3 ? 1 : 3, actions[a], huge, LENGTH(huge));
		}
	}
	for (unsigned a = 0; a < LENGTH(actions); a++) {
		run_fault("in_copy", 1, actions[a], huge, LENGTH(huge));
		run_fault("before_release", 1, actions[a], huge, LENGTH(huge));
		run_fault("before_release", 3, actions[a], huge, LENGTH(huge));
	}
	/* Rightly so only where rows had left the ring, which run_fault() checks. */
	printf("%u full recoveries asked for\n", recoveries);
}

static void
test_fenced(void)
{
	static const unsigned sizes[] = {3, 600};
	static const unsigned one[] = {3};

	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		struct pipeline p = pipeline_totals(1);
		struct harness h;

		open_ready(&h, &p);
		feed(&h, 3);
		EXPECT(harness_durable(&h, 1, 5000), "durable");
		harness_sql("UPDATE tallyd.pipeline SET epoch = epoch + 1 WHERE name = '%s'",
			    p.name);
		feed(&h, sizes[i]);
		EXPECT(harness_exit(&h, 5000) == EXIT_RECOVER, "fenced; see %s", h.log);
		EXPECT(harness_logged(&h, "has been taken over"), "says so");
		expect_batches("fenced", one, 1);
		harness_close(&h);
	}
}

/* Another wrote while the connection was away: the owner is another's. */
static void
test_superseded(void)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	open_ready(&h, &p);
	harness_sql("UPDATE tallyd.pipeline SET owner = 'else' WHERE name = '%s';"
		    "SELECT pg_terminate_backend(backend) FROM tallyd.pipeline WHERE name = '%s'",
		    p.name, p.name);
	EXPECT(harness_exit(&h, 5000) == EXIT_RECOVER, "superseded; see %s", h.log);
	harness_close(&h);
}

/* The target was restored from a backup under it. */
static void
test_restored(void)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	open_ready(&h, &p);
	feed(&h, 3);
	feed(&h, 3);
	EXPECT(harness_durable(&h, 2, 5000), "durable");
	harness_sql("UPDATE tallyd.pipeline SET batch = 1 WHERE name = '%s';"
		    "SELECT pg_terminate_backend(backend) FROM tallyd.pipeline WHERE name = '%s'",
		    p.name, p.name);
	EXPECT(harness_exit(&h, 5000) == EXIT_RECOVER, "restored; see %s", h.log);
	EXPECT(harness_logged(&h, "the target went back"), "says so");
	harness_close(&h);
}

static void
test_standby(void)
{
	static const unsigned rows[] = {3, 4, 5, 600};
	struct pipeline p = pipeline_totals(1);
	struct harness a, b;
	int64_t since;

	harness_open(&a, &p);
	harness_open(&b, &p);
	harness_start(&a, false, NULL);
	EXPECT(harness_hear(&a, 'R', 10000), "ready");
	feed(&a, 3);
	feed(&a, 4);
	EXPECT(harness_durable(&a, 2, 5000), "durable");
	harness_start(&b, false, NULL);
	EXPECT(harness_hear(&b, 'S', 5000), "stands by");
	EXPECT(strchr(b.said, 'R') == NULL, "and is not ready");
	EXPECT(harness_logged(&b, "is held by tallyd"), "says whom it waits for");
	feed(&a, 5);
	EXPECT(harness_durable(&a, 3, 5000), "the first one goes on");
	harness_kill(&a);
	since = clock_monotonic_ms();
	EXPECT(harness_hear(&b, 'R', 5000), "takes over");
	printf("standby takes over in %" PRId64 " ms\n", clock_monotonic_ms() - since);
	EXPECT(board_durable_batch(b.board) == 3, "from batch 3");
	b.next = 4;
	feed(&b, 600);
	EXPECT(harness_durable(&b, 4, 5000), "goes on");
	expect_batches("standby", rows, LENGTH(rows));
	harness_close(&a);
	harness_close(&b);
}

static void
pg_ctl(const char *what)
{
	char command[1024];

	snprintf(command, sizeof(command), "%s %s >/dev/null 2>&1", getenv("PG_CTL"), what);
	EXPECT(system(command) == 0, "%s", command);
}

static void
test_restart(void)
{
	static const char *const modes[] = {"-m fast restart", "-m immediate restart"};
	unsigned rows[60];
	struct pipeline p = pipeline_totals(1);
	struct harness h;
	unsigned done = 0;

	open_ready(&h, &p);
	for (unsigned m = 0; m < LENGTH(modes); m++) {
		for (unsigned i = 0; i < 10; i++, done++)
			feed(&h, rows[done] = i % 3 == 0 ? 550 : 2);
		pg_ctl(modes[m]);
		for (unsigned i = 0; i < 10; i++, done++)
			feed(&h, rows[done] = 2);
		EXPECT(harness_durable(&h, done, 15000), "%s; see %s", modes[m], h.log);
	}
	expect_batches("restart", rows, done);
	EXPECT(h.pid > 0 && harness_exit(&h, 0) == -1000, "it is still the same process");
	pg_ctl("-m fast stop");
	EXPECT(harness_hear(&h, 'W', 5000), "says that it waits");
	feed(&h, rows[done] = 7);
	pg_ctl("start");
	EXPECT(harness_durable(&h, ++done, 10000), "goes on; see %s", h.log);
	expect_batches("restart", rows, done);
	harness_close(&h);
}

/* An egress killed while its session hangs in a lock: the next one ends that session. */
static void
test_predecessor(void)
{
	static const unsigned rows[] = {3, 4};
	struct pipeline p = pipeline_totals(1);
	struct harness h;
	FILE *locker;
	char line[64];
	int64_t since;

	open_ready(&h, &p);
	feed(&h, 3);
	EXPECT(harness_durable(&h, 1, 5000), "durable");
	locker = popen("psql -qAtX -c \"BEGIN; LOCK TABLE totals; SELECT 'locked';\" -c"
		       " 'SELECT pg_sleep(4)' 2>&1",
		       "re");
	if (locker == NULL || fgets(line, sizeof(line), locker) == NULL)
		EXPECT(false, "no locker");
	feed(&h, 4);
	usleep(300 * 1000);
	harness_kill(&h);
	since = clock_monotonic_ms();
	harness_start(&h, true, NULL);
	EXPECT(harness_hear(&h, 'R', 10000), "ready; see %s", h.log);
	printf("replaced a hanging session in %" PRId64 " ms\n", clock_monotonic_ms() - since);
	EXPECT(clock_monotonic_ms() - since < 2500, "soon");
	if (locker != NULL)
		pclose(locker);
	EXPECT(harness_durable(&h, 2, 10000), "durable");
	expect_batches("predecessor", rows, 2);
	harness_close(&h);
}

/* Start order is free: no database, then no table. */
static void
test_waits(void)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	harness_sql("DROP DATABASE IF EXISTS later");
	target_options[3].value = TEXT("later");
	harness_open(&h, &p);
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'W', 5000), "waits");
	EXPECT(harness_logged(&h, "database \\\"later\\\" does not exist"), "for the database");
	harness_sql("CREATE DATABASE later");
	for (int i = 0; i < 50 && !harness_logged(&h, "waiting for table"); i++)
		usleep(100 * 1000);
	EXPECT(harness_logged(&h, "waiting for table totals"), "for the table; see %s", h.log);
	setenv("PGDATABASE", "later", 1);
	harness_sql("CREATE TABLE totals (key int, total real, \"time\" bigint, diff bigint)");
	EXPECT(harness_hear(&h, 'R', 5000), "then goes on; see %s", h.log);
	EXPECT(harness_logged(&h, "exact only up to 2^24"), "warns of real");
	feed(&h, 2);
	feed(&h, 700);
	EXPECT(harness_durable(&h, 2, 5000), "durable; see %s", h.log);
	EXPECT(strcmp(harness_sql("SELECT count(*) FROM totals"), "702") == 0, "rows");
	setenv("PGDATABASE", "postgres", 1);
	target_options[3].value = TEXT("postgres");
	harness_close(&h);
}

/* What a first start does with rows that are there, and later starts with other views. */
static void
test_views(void)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	harness_sql("INSERT INTO totals VALUES (0, 0, 0, 1)");
	totals_view[0].existing = EXISTING_ADOPT;
	harness_open(&h, &p);
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'R', 5000), "adopts; see %s", h.log);
	EXPECT(strcmp(harness_sql("SELECT count(*) FROM totals"), "1") == 0, "the row is there");
	harness_kill(&h);
	totals_view[0].existing = EXISTING_TRUNCATE;
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'R', 5000), "truncates; see %s", h.log);
	feed(&h, 3);
	EXPECT(harness_durable(&h, 1, 5000), "durable");
	harness_close(&h);
	EXPECT(strcmp(harness_sql("SELECT count(*) FROM totals"), "3") == 0, "emptied once");
	totals_view[0].plan = TEXT("SELECT 3");
	expect_refusal(&p, EXIT_CONFIG, "view totals has changed");
	totals_view[0].plan = TEXT("SELECT 1");
	EXPECT(strcmp(harness_sql("SELECT count(*) FROM totals"), "3") == 0, "nothing was lost");
}

/* A table that does not take the rows: one clear line, exit 65, the batch is not there. */
static void
test_bad_rows(void)
{
	static const unsigned one[] = {2};

	for (unsigned rows = 2; rows <= 600; rows += 598) {
		struct pipeline p = pipeline_totals(1);
		struct harness h;

		harness_open(&h, &p);
		harness_start(&h, false, NULL);
		EXPECT(harness_hear(&h, 'R', 5000), "ready");
		feed(&h, 2);
		EXPECT(harness_durable(&h, 1, 5000), "durable");
		harness_sql("ALTER TABLE totals ADD CONSTRAINT few CHECK (key < 2)");
		feed(&h, rows);
		EXPECT(harness_exit(&h, 5000) == EXIT_DATA, "exit; see %s", h.log);
		EXPECT(harness_logged(&h, "violates check constraint"), "says why");
		expect_batches("bad rows", one, 1);
		harness_close(&h);
		p = pipeline_totals(1);
		harness_sql("ALTER TABLE totals ALTER total TYPE smallint");
		harness_open(&h, &p);
		harness_start(&h, false, NULL);
		feed(&h, rows);
		struct value v[2] = {{.kind = VALUE_INT, .i = 2}, {.kind = VALUE_INT, .i = 32768}};
		for (unsigned i = 0; i < rows; i++)
			harness_row(&h, 0, 1, v, 2);
		harness_end_batch(&h);
		EXPECT(harness_exit(&h, 5000) == EXIT_DATA, "exit; see %s", h.log);
		EXPECT(harness_logged(&h, "32768 is out of range of column"), "says why");
		harness_close(&h);
	}
}

/* Two views in one commit, small and large, and sets of them that change. */
static void
test_two_views(void)
{
	struct value v[2] = {{.kind = VALUE_INT, .i = 1}, {.kind = VALUE_NULL}};
	struct pipeline p = pipeline_totals(2);
	struct harness h;

	harness_open(&h, &p);
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'R', 5000), "ready");
	for (unsigned k = 1; k <= 40; k++) {
		unsigned n = k % 5 == 0 ? 400 : 2;

		for (unsigned i = 0; i < n && k % 3 != 1; i++)
			harness_row(&h, 0, 1, v, 2);
		for (unsigned i = 0; i < n && k % 3 != 2; i++)
			harness_row(&h, 1, 1, v, 2);
		harness_end_batch(&h);
	}
	EXPECT(harness_durable(&h, 40, 10000), "durable; see %s", h.log);
	const char *found = harness_sql("SELECT (SELECT count(*) FROM totals) || ' ' || (SELECT"
					" count(*) FROM others) || ' ' || (SELECT count(DISTINCT"
					" \"time\") FROM (TABLE totals UNION ALL TABLE others) t)");
	/* k = 1, 4, 7, ... lack the first view, 2, 5, 8, ... the second. */
	EXPECT(strcmp(found, "2042 2044 40") == 0, "rows: %s", found);
	harness_close(&h);
}

static void
test_speed(void)
{
	enum { COPIED = 1000000, SMALL = 1000 };
	struct pipeline p = pipeline_totals(1);
	struct harness h;
	int64_t since;

	p.ring_bytes = 4 * 1024 * 1024;
	harness_open(&h, &p);
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'R', 5000), "ready");
	since = clock_monotonic_ms();
	feed(&h, COPIED);
	EXPECT(harness_durable(&h, 1, 60000), "durable");
	since = clock_monotonic_ms() - since;
	printf("COPY: %d rows in %" PRId64 " ms, %" PRId64 " rows/s\n", COPIED, since,
	       COPIED * INT64_C(1000) / (since > 0 ? since : 1));
	since = clock_monotonic_ms();
	for (unsigned k = 0; k < SMALL; k++) {
		feed(&h, 2);
		EXPECT(harness_durable(&h, h.next - 1, 5000), "durable");
	}
	since = clock_monotonic_ms() - since;
	printf("one statement: %d commits of 2 rows in %" PRId64 " ms, %" PRId64 " us each\n",
	       SMALL, since, since * 1000 / SMALL);
	harness_close(&h);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
    {"batches", test_batches},
    {"types", test_types},
    {"two_views", test_two_views},
    {"stop", test_stop},
    {"fenced", test_fenced},
    {"superseded", test_superseded},
    {"restored", test_restored},
    {"standby", test_standby},
    {"predecessor", test_predecessor},
    {"waits", test_waits},
    {"refusals", test_refusals},
    {"views", test_views},
    {"bad_rows", test_bad_rows},
    {"check", test_check},
    {"privileges", test_privileges},
    {"faults", test_faults},
    {"restart", test_restart},
    {"speed", test_speed},
    {"ddl", test_ddl},
    {"same_table", test_same_table},
    {"servers", test_servers},
    {"names", test_names},
    {"own_tables", test_own_tables},
    {"connect_timeout", test_connect_timeout},
    {"checkpoint", test_checkpoint},
    {"idle", test_idle},
    {"checkpoint_image", test_checkpoint_image},
    {"checkpoint_missing", test_checkpoint_missing},
    {"checkpoint_faults", test_checkpoint_faults},
    {"checkpoint_edited", test_checkpoint_edited},
    {"checkpoint_memory", test_checkpoint_memory},
    {"upgrade", test_upgrade},
    {"letters", test_letters},
    {"letter_bytes", test_letter_bytes},
    {"letter_faults", test_letter_faults},
    {"letter_table", test_letter_table},
    {"view_live", test_view_live},
    {"view_gone", test_view_gone},
    {"rebuild", test_rebuild},
    {"view_faults", test_view_faults},
    {"edited", test_edited},
    {"adopted", test_adopted},
    {"drop", test_drop},
};

static bool
wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc == 1;
}

int
main(int argc, char **argv)
{
	log_init("test");
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < LENGTH(tests); i++) {
		unsigned failed = harness_failed;
		int64_t since = clock_monotonic_ms();

		if (!wanted(tests[i].name, argc, argv))
			continue;
		tests[i].run();
		printf("%-12s %s %5" PRId64 " ms\n", tests[i].name,
		       harness_failed == failed ? "ok    " : "FAILED",
		       clock_monotonic_ms() - since);
	}
	printf("%u passed, %u failed\n", harness_passed, harness_failed);
	return harness_failed == 0 ? 0 : 1;
}
