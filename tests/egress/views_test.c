/*
 * views_test.c - views that come, go and are rebuilt while others go on, tables that somebody has
 * edited, and pipelines that are dropped.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/image.h"
#include "common/log.h"
#include "common/stage.h"
#include "tests/egress/harness.h"
#include "tests/egress/types_test.h"

static void
expect_answer(const struct harness *h, const char *sql, const char *expected)
{
	const char *found = harness_sql("%s", sql);

	EXPECT(strcmp(found, expected) == 0, "%s: %s and not %s; see %s", sql, found, expected,
	       h->log);
}

static void
expect_known(const struct harness *h, const char *expected)
{
	const char *found =
	    harness_sql("SELECT string_agg(view || ' ' || plan || ' ' || target || ' ' ||"
			" coalesce(adopted::text, '?'), ', ' ORDER BY view) FROM tallyd.view WHERE"
			" pipeline = '%s'",
			h->pipeline->name);

	EXPECT(strcmp(found, expected) == 0, "%s and not %s; see %s", found, expected, h->log);
}

static void
end(struct harness *h)
{
	EXPECT(harness_end_batch(h), "end");
	expect_durable(h, h->next - 1);
}

/* Row (key, total) of one of the two views. */
static bool
put_row(struct harness *h, uint16_t view, int diff, int64_t key, int64_t total)
{
	struct value v[2] = {{.kind = VALUE_INT, .i = key}, {.kind = VALUE_INT, .i = total}};

	return harness_row(h, view, diff, v, 2);
}

static void
expect_views(struct harness *h, const char *expected)
{
	char found[64] = "";
	struct image image;
	struct image_record r;

	EXPECT(image_open(&image, h->image) == 0, "image; see %s", h->log);
	while (image_next(&image, &r) > 0)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%u:%u ",
			 (unsigned)r.kind, (unsigned)r.number);
	EXPECT(strcmp(found, expected) == 0, "%s and not %s", found, expected);
	image_close(&image);
}

/* --- come and go ------------------------------------------------------------------------------ */

void
test_view_live(void)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	open_ready(&h, &p);
	harness_view(&h, 0, VIEW_FILL, 0);
	put_row(&h, 0, 1, 1, 1);
	end(&h);
	EXPECT(harness_hear(&h, 'F', 5000), "filled is said; see %s", h.log);
	expect_known(&h, "totals SELECT 1 public.totals false");

	/* One more, while reduce goes on: egress is replaced alone. */
	p.view_count = 2;
	harness_sql("INSERT INTO others VALUES (7, 7, 7, 1)");
	harness_start(&h, true, NULL);
	EXPECT(harness_exit(&h, 5000) == EXIT_CONFIG, "its table has rows; see %s", h.log);
	EXPECT(harness_logged(&h, "`tallyd rebuild test.sql others`"), "says so; see %s", h.log);
	p.views[1].existing = EXISTING_TRUNCATE;
	start_ready(&h, true);
	expect_answer(&h, "SELECT count(*) FROM others", "0");
	expect_known(&h, "totals SELECT 1 public.totals false");
	put_row(&h, 0, 1, 2, 2);
	end(&h);
	harness_view(&h, 1, VIEW_FILL, 0);
	put_row(&h, 0, 1, 3, 3);
	for (unsigned i = 0; i < 700; i++)
		put_row(&h, 1, 1, i, i);
	end(&h);
	EXPECT(harness_hear(&h, 'F', 5000), "filled is said; see %s", h.log);
	expect_known(&h,
		     "others SELECT 2 public.others false, totals SELECT 1 public.totals false");
	start_ready(&h, true);
	expect_answer(&h, "SELECT count(*), count(DISTINCT \"time\") FROM others", "700|1");
	p.views[1].existing = EXISTING_REFUSE;

	/* And gone again: what reduce still says of it is not written. */
	p.views[1].dropped = true;
	start_ready(&h, true);
	expect_known(&h, "totals SELECT 1 public.totals false");
	put_row(&h, 0, 1, 4, 4);
	put_row(&h, 1, -1, 4, 4);
	end(&h);
	harness_view(&h, 1, VIEW_DROP, 0);
	put_row(&h, 0, 1, 5, 5);
	end(&h);
	for (unsigned i = 0; i < 600; i++)
		put_row(&h, i % 2 != 0, 1, 6, 6);
	end(&h);
	expect_answer(&h, "SELECT count(*) FROM others", "700");
	expect_answer(&h, "SELECT count(*), count(DISTINCT \"time\") FROM totals", "305|6");
	p.views[1].dropped = false;
	harness_start(&h, true, NULL);
	EXPECT(harness_exit(&h, 5000) == EXIT_CONFIG, "it needs an empty table; see %s", h.log);
	harness_close(&h);
}

/* With a full recovery between: the file has a view less, then more. */
void
test_view_gone(void)
{
	struct pipeline p = pipeline_totals(2);
	struct harness h;

	open_ready(&h, &p);
	expect_views(&h, "");
	harness_view(&h, 0, VIEW_FILL, 0);
	harness_view(&h, 1, VIEW_FILL, 0);
	put_row(&h, 0, 1, 1, 1);
	put_row(&h, 1, 1, 1, 1);
	end(&h);
	start_ready(&h, false);
	expect_views(&h, "0:0 0:1 ");
	p.view_count = 1;
	EXPECT(harness_check(&h, NULL) == EXIT_OK &&
		   harness_logged(&h, "view others is in the file no more"),
	       "check says so; see %s", h.log);
	start_ready(&h, false);
	EXPECT(harness_logged(&h, "view.forgotten"), "says so; see %s", h.log);
	expect_views(&h, "0:0 ");
	expect_known(&h, "totals SELECT 1 public.totals false");
	expect_answer(&h, "SELECT count(*) FROM others", "1");
	harness_kill(&h);
	p.view_count = 2;
	expect_refusal(&p, EXIT_CONFIG, "this view of pipeline");
	harness_sql("TRUNCATE others");
	start_ready(&h, false);
	expect_views(&h, "0:0 ");
	harness_close(&h);

	/* A changed one is to be rebuilt, and then that is allowed. */
	p.views[0].plan = TEXT("SELECT 3");
	expect_refusal(&p, EXIT_CONFIG, "`tallyd rebuild test.sql totals`");
	p.views[0].rebuild = true;
	open_ready(&h, &p);
	h.next = 2;
	harness_view(&h, 0, VIEW_REBUILD, 0);
	harness_view(&h, 1, VIEW_FILL, 0);
	put_row(&h, 0, 1, 1, 5);
	end(&h);
	p.views[0].rebuild = false;
	start_ready(&h, false);
	expect_views(&h, "0:0 0:1 ");
	expect_answer(&h,
		      "SELECT string_agg(key || ' ' || total || ' ' || diff, ', ' ORDER BY ctid)"
		      " FROM totals",
		      "1 1 1, 1 1 -1, 1 5 1");
	harness_close(&h);
	p.views[0].plan = TEXT("SELECT 1");
}

/* --- rebuild ---------------------------------------------------------------------------------- */

/* All kinds of columns, and names that must be quoted; keys are not unique among the outputs. */
static struct output mixed_outputs[] = {
    {.name = TEXT("na \"me"), .kind = OUTPUT_GROUP, .column = 1, .type = TYPE_TEXT, .scale = -1},
    {.name = TEXT("c0"), .kind = OUTPUT_SUM, .column = 0, .type = TYPE_NUMERIC, .scale = -1},
    {.name = TEXT("b"), .kind = OUTPUT_MIN, .column = 0, .type = TYPE_BOOLEAN, .scale = -1},
    {.name = TEXT("t"), .kind = OUTPUT_MAX, .column = 0, .type = TYPE_TIMESTAMPTZ, .scale = -1},
    {.name = TEXT("n"), .kind = OUTPUT_COUNT_ROWS, .type = TYPE_BIGINT, .scale = -1},
};
static struct view mixed_view = {.name = TEXT("mix ed"),
				 .outputs = mixed_outputs,
				 .output_count = LENGTH(mixed_outputs),
				 .plan = TEXT("SELECT 9"),
				 .place = {2, 1}};

#define MIXED_FOLD                                                                                 \
	"SELECT \"na \"\"me\", c0, b, t, n, sum(diff) AS d FROM \"mix ed\""                        \
	" GROUP BY 1, 2, 3, 4, 5 HAVING sum(diff) <> 0"

/* The i-th row of the state: every third has no name, every fifth is there twice. */
static bool
put_mixed(struct harness *h, unsigned i, int diff)
{
	char name[32], sum[32];
	struct value v[5] = {
	    {.kind = i % 3 == 0 ? VALUE_NULL : VALUE_TEXT, .s = name},
	    {.kind = VALUE_DECIMAL, .s = sum},
	    {.kind = i % 4 == 0 ? VALUE_NULL : VALUE_BOOL, .i = i % 2},
	    {.kind = VALUE_INT, .i = INT64_C(1700000000000000) + i},
	    {.kind = VALUE_INT, .i = i},
	};

	v[0].len = (uint32_t)snprintf(name, sizeof(name), "n%u", i);
	v[1].len = (uint32_t)snprintf(sum, sizeof(sum), "%u.5", i);
	for (unsigned copy = 0; copy <= (i % 5 == 0); copy++)
		if (!harness_row(h, 0, diff, v, 5))
			return false;
	return true;
}

static bool
put_state(struct harness *h, enum view_step step, unsigned rows)
{
	bool done = harness_view(h, 0, step, 0);

	for (unsigned i = 1; i <= rows && done; i++)
		done = put_mixed(h, i, 1);
	return done;
}

static struct pipeline
pipeline_mixed(void)
{
	struct pipeline p = pipeline_totals(1);

	p.views = &mixed_view;
	mixed_view.rebuild = false;
	mixed_view.existing = EXISTING_REFUSE;
	harness_sql("DROP TABLE IF EXISTS \"mix ed\", kept, base; CREATE TABLE \"mix ed\""
		    " (extra int DEFAULT 3, t timestamptz, \"na \"\"me\" varchar(10), c0 numeric,"
		    " b boolean, n integer, \"time\" bigint, diff integer)");
	return p;
}

static void
expect_mixed(struct harness *h, const char *what)
{
	const char *found = harness_sql("SELECT count(*) FROM ((TABLE kept EXCEPT " MIXED_FOLD
					") UNION ALL (" MIXED_FOLD " EXCEPT TABLE kept)) x");

	EXPECT(strcmp(found, "0") == 0, "%s: %s rows differ; see %s", what, found, h->log);
}

void
test_rebuild(void)
{
	static const struct {
		const char *damage, *written;
	} cases[] = {
	    {"SELECT 1", "0 rows written"},
	    {"TRUNCATE \"mix ed\"", "1440 rows written"},
	    {"DELETE FROM \"mix ed\" WHERE n <= 10", "12 rows written"},
	    {"INSERT INTO \"mix ed\" SELECT * FROM \"mix ed\" WHERE n <= 10", "12 rows written"},
	    {"UPDATE \"mix ed\" SET diff = 4 WHERE n = 7", "3 rows written"},
	    {"UPDATE \"mix ed\" SET diff = -2 WHERE n = 7", "3 rows written"},
	    {"UPDATE \"mix ed\" SET diff = NULL WHERE n = 7", "1 rows written"},
	    {"UPDATE \"mix ed\" SET c0 = c0 + 1 WHERE n = 8", "2 rows written"},
	    {"UPDATE \"mix ed\" SET \"na \"\"me\" = NULL WHERE n = 8", "2 rows written"},
	    {"UPDATE \"mix ed\" SET \"na \"\"me\" = upper(\"na \"\"me\") WHERE n = 8",
	     "2 rows written"},
	    {"INSERT INTO \"mix ed\" (diff) VALUES (1), (0), (2)", "3 rows written"},
	};
	struct pipeline p = pipeline_mixed();
	struct harness h;

	harness_sql("INSERT INTO \"mix ed\" (n) VALUES (1)");
	p.file = (char[]){"te st.sql"};
	expect_refusal(&p, EXIT_CONFIG, "`tallyd rebuild 'te st.sql'`");
	harness_sql("TRUNCATE \"mix ed\"");
	open_ready(&h, &p);
	EXPECT(put_state(&h, VIEW_FILL, 1200), "fill");
	end(&h);
	harness_sql("CREATE TABLE kept AS " MIXED_FOLD "; CREATE TABLE base AS TABLE \"mix ed\"");
	expect_answer(&h, "SELECT count(*), sum(d) FROM kept", "1200|1440");
	mixed_view.rebuild = true;
	for (unsigned i = 0; i < LENGTH(cases); i++) {
		harness_sql("TRUNCATE \"mix ed\"; INSERT INTO \"mix ed\" TABLE base; %s",
			    cases[i].damage);
		start_ready(&h, true);
		h.said[0] = '\0';
		EXPECT(put_state(&h, VIEW_REBUILD, 1200), "rebuild");
		end(&h);
		EXPECT(harness_hear(&h, 'F', 5000), "it is said; see %s", h.log);
		expect_mixed(&h, cases[i].damage);
		EXPECT(harness_logged(&h, cases[i].written), "%s: %s; see %s", cases[i].damage,
		       cases[i].written, h.log);
		EXPECT(truncate(h.log, 0) == 0, "log");
	}
	EXPECT(put_mixed(&h, 3, -1) && harness_view(&h, 0, VIEW_REBUILD, 0) == true, "in turn");
	ring_commit(&h.ring, NULL, 0);
	EXPECT(harness_exit(&h, 5000) != -1000, "a VIEW behind rows is no batch; see %s", h.log);
	harness_close(&h);
}

/* Large enough that the ring's room is given back before the COMMIT, and at each fault point. */
static void
run_view_fault(const char *fault, unsigned rows, bool rebuild)
{
	struct pipeline p = pipeline_mixed();
	struct harness h;
	bool fed;

	mixed_view.rebuild = rebuild;
	harness_sql("INSERT INTO \"mix ed\" (n, \"time\", diff) SELECT 1, 0, 1 FROM"
		    " generate_series(1, %d)",
		    rebuild ? 3 : 0);
	harness_open(&h, &p);
	harness_start(&h, false, fault);
	EXPECT(harness_hear(&h, 'R', 10000), "%s: ready; see %s", fault, h.log);
	h.restart = true;
	fed = put_state(&h, rebuild ? VIEW_REBUILD : VIEW_FILL, rows) && harness_end_batch(&h) &&
	      harness_durable(&h, 1, 10000);
	if (fed) {
		const char *found =
		    harness_sql("SELECT count(*), count(*) FILTER (WHERE d > 2) FROM (" MIXED_FOLD
				") f; SELECT adopted FROM tallyd.view WHERE pipeline = '%s'",
				p.name);
		char expected[32];

		snprintf(expected, sizeof(expected), "%u|0\nf", rows);
		EXPECT(strcmp(found, expected) == 0, "%s: %s; see %s", fault, found, h.log);
		if (!harness_hear(&h, 'F', 5000) && harness_exit(&h, 0) != -1000)
			harness_start(&h, true, NULL);
		EXPECT(harness_hear(&h, 'F', 5000), "%s: it is said; see %s", fault, h.log);
	} else {
		EXPECT(h.code == EXIT_RECOVER && atomic_load(&h.board->released) != 0,
		       "%s: exit %d; see %s", fault, h.code, h.log);
	}
	harness_close(&h);
}

void
test_view_faults(void)
{
	static const char *const points[] = {"rebuild:1",     "fill:1",         "before_check:1",
					     "commit_sent:1", "after_commit:1", "after_publish:1"};
	static const char *const actions[] = {"error", "kill"};
	char fault[64];

	for (unsigned i = 0; i < LENGTH(points); i++) {
		for (unsigned a = 0; a < LENGTH(actions); a++) {
			snprintf(fault, sizeof(fault), "egress.%s:%s", points[i], actions[a]);
			run_view_fault(fault, i % 3 == 0 ? 4000 : 20, true);
			if (strcmp(points[i], "fill:1") == 0)
				run_view_fault(fault, 20, false);
		}
	}
}

/* --- live: edited tables ------------------------------------------------------------------------ */

/* A life that finds `rows` shown; exit code, or 0 when it goes on. */
static int
look(struct harness *h, uint64_t rows, const char *fault)
{
	int code = 0;

	harness_start(h, false, fault);
	EXPECT(harness_hear(h, 'R', 10000), "ready; see %s", h->log);
	EXPECT(truncate(h->log, 0) == 0, "log");
	harness_view(h, 0, VIEW_LIVE, rows);
	put_row(h, 0, 1, 100 + (int64_t)h->next, 1);
	harness_end_batch(h);
	EXPECT(harness_durable(h, h->next - 1, 10000), "is committed; see %s", h->log);
	if (fault != NULL) {
		EXPECT(harness_exit(h, 5000) == -9, "died; see %s", h->log);
		harness_start(h, true, NULL);
	}
	/* The next one only after the table was looked at. */
	put_row(h, 0, 1, 100 + (int64_t)h->next, 1);
	harness_end_batch(h);
	if (!harness_durable(h, h->next - 1, 10000)) {
		code = h->pid > 0 ? harness_exit(h, 5000) : h->code;
		h->next--;
		ring_detach(&h->ring);
		ring_close_fds(&h->ring_fds);
		if (ring_create(&h->ring_fds, h->pipeline->ring_bytes) < 0 ||
		    ring_attach(&h->ring, &h->ring_fds, RING_PRODUCER) < 0)
			EXPECT(false, "ring");
	}
	harness_kill(h);
	board_clear(h->board);
	return code;
}

void
test_edited(void)
{
	static const char *const damages[] = {
	    "TRUNCATE totals", "DELETE FROM totals WHERE key = 2",
	    "INSERT INTO totals SELECT * FROM totals WHERE key = 1",
	    "UPDATE totals SET diff = 2 WHERE key = 1",
	    "UPDATE totals SET diff = diff - 2 WHERE key = 1",
	    /* The number is right, but it cannot be. */
	    "UPDATE totals SET key = 1 WHERE key = 2"};
	struct pipeline p = pipeline_totals(1);
	unsigned group[] = {1};
	struct harness h;
	int code;

	p.views[0].group = group;
	p.views[0].group_count = 1;
	open_ready(&h, &p);
	harness_view(&h, 0, VIEW_FILL, 0);
	put_row(&h, 0, 1, 1, 1);
	put_row(&h, 0, 1, 2, 1);
	put_row(&h, 0, 1, 3, 1);
	end(&h);
	code = look(&h, 3, NULL);
	EXPECT(code == 0, "as it should be: %d; see %s", code, h.log);
	code = look(&h, 5, "egress.after_publish:1:kill");
	EXPECT(code == 0, "also for a successor: %d; see %s", code, h.log);
	for (unsigned i = 0; i < LENGTH(damages); i++) {
		harness_sql("DROP TABLE IF EXISTS saved; CREATE TABLE saved AS TABLE totals; %s",
			    damages[i]);
		code = look(&h, h.next - 1 + 2, i % 2 == 0 ? NULL : "egress.after_publish:1:kill");
		EXPECT(code == EXIT_CONFIG, "%s: %d; see %s", damages[i], code, h.log);
		EXPECT(harness_logged(&h, "`tallyd rebuild test.sql totals`"),
		       "says what to do; see %s", h.log);
		harness_sql("INSERT INTO saved SELECT * FROM totals WHERE \"time\" >"
			    " (SELECT max(s.\"time\") FROM saved s);"
			    " TRUNCATE totals; INSERT INTO totals TABLE saved");
	}
	code = look(&h, h.next - 1 + 2, NULL);
	EXPECT(code == 0, "as it should be again: %d; see %s", code, h.log);

	harness_sql("UPDATE tallyd.view SET adopted = true WHERE pipeline = '%s'", p.name);
	code = look(&h, 1000, NULL);
	EXPECT(code == 0, "had rows of others: %d; see %s", code, h.log);
	harness_sql("UPDATE tallyd.view SET adopted = NULL WHERE pipeline = '%s'", p.name);
	code = look(&h, 1000, NULL);
	EXPECT(code == 0, "nobody knows: %d; see %s", code, h.log);
	harness_close(&h);
	p.views[0].group = NULL;
	p.views[0].group_count = 0;
}

/* Whether a table had rows when its view began is remembered; a rebuild makes it ours. */
void
test_adopted(void)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	p.views[0].existing = EXISTING_ADOPT;
	open_ready(&h, &p);
	harness_view(&h, 0, VIEW_FILL, 0);
	put_row(&h, 0, 1, 1, 1);
	end(&h);
	expect_known(&h, "totals SELECT 1 public.totals false");
	harness_close(&h);
	p = pipeline_totals(1);
	p.views[0].existing = EXISTING_ADOPT;
	harness_sql("INSERT INTO totals VALUES (1, 2, 3, 1)");
	open_ready(&h, &p);
	harness_view(&h, 0, VIEW_FILL, 0);
	put_row(&h, 0, 1, 1, 1);
	end(&h);
	expect_known(&h, "totals SELECT 1 public.totals true");
	harness_view(&h, 0, VIEW_REBUILD, 0);
	put_row(&h, 0, 1, 1, 1);
	end(&h);
	expect_known(&h, "totals SELECT 1 public.totals false");
	expect_answer(&h, "SELECT key, total, sum(diff) FROM totals GROUP BY 1, 2 ORDER BY 1, 2",
		      "1|1|1\n1|2|0");
	harness_close(&h);
	p.views[0].existing = EXISTING_REFUSE;
}

/* --- drop --------------------------------------------------------------------------------------- */

void
test_drop(void)
{
	struct pipeline p = pipeline_totals(2);
	struct harness h, other;

	harness_open(&h, &p);
	harness_open(&other, &p);
	start_ready(&h, false);
	EXPECT(feed(&h, 3), "feed");
	EXPECT(harness_checkpoint(&h, &(struct checkpoint){.step = CHECKPOINT_PART,
							   .number = 1,
							   .data = (const uint8_t *)"x",
							   .len = 1}),
	       "a part");
	end(&h);
	EXPECT(harness_check(&other, "--drop") == EXIT_TEMPORARY, "held; see %s", other.log);
	EXPECT(harness_logged(&other, "is held by tallyd"), "by whom; see %s", other.log);
	expect_answer(&h, "SELECT count(*) > 0 FROM tallyd.pipeline", "t");
	harness_close(&h);
	EXPECT(harness_check(&other, "--drop") == EXIT_OK, "dropped; see %s", other.log);
	EXPECT(harness_logged(&other, "at batch 2, with 1 parts of checkpoints") &&
		   harness_logged(&other, "its tables (public.others, public.totals)"),
	       "says what; see %s", other.log);
	EXPECT(strcmp(harness_sql("SELECT (SELECT count(*) FROM tallyd.pipeline WHERE name = '%s'),"
				  " (SELECT count(*) FROM tallyd.view WHERE pipeline = '%s'),"
				  " (SELECT count(*) FROM tallyd.checkpoint WHERE pipeline = '%s'),"
				  " (SELECT count(*) FROM totals)",
				  p.name, p.name, p.name),
		      "0|0|0|3") == 0,
	       "and nothing else");
	EXPECT(harness_check(&other, "--drop") == EXIT_CONFIG, "once; see %s", other.log);
	EXPECT(harness_logged(&other, "there is nothing to drop"), "says so; see %s", other.log);
	harness_close(&other);
	expect_refusal(&p, EXIT_CONFIG, "only the pipeline's row in schema tallyd was lost");
	harness_sql("DROP SCHEMA tallyd CASCADE");
	harness_open(&h, &p);
	EXPECT(harness_check(&h, "--drop") == EXIT_CONFIG, "no schema; see %s", h.log);
	harness_close(&h);
}
