/* What a changed pipeline file costs, change by change; and the merge that a live change works by. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "supervisor/difference.h"
#include "supervisor/parse.h"

static const char *const sample =
    "SET pipeline = 'test';\n"
    "SET commit_interval_ms = 7;\n"
    "CREATE SERVER one FOREIGN DATA WRAPPER debezium OPTIONS (\"bootstrap.servers\" 'a:1',\n"
    "  \"sasl.password\" 'kafka-secret', transaction_topic 'p.transaction', start 'latest');\n"
    "CREATE SERVER two FOREIGN DATA WRAPPER debezium OPTIONS (\"bootstrap.servers\" 'b:2');\n"
    "CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'h', password 'pg-secret');\n"
    "CREATE FOREIGN TABLE x (id bigint, part integer, amount numeric(12, 3), note text,\n"
    "  PRIMARY KEY (part, id)) SERVER one OPTIONS (topic 'p.public.x');\n"
    "CREATE FOREIGN TABLE y (v integer NOT NULL, w integer) SERVER two OPTIONS (topic 'q.s.y',\n"
    "  \"table\" 'z.y');\n"
    "CREATE MATERIALIZED VIEW app.v1 WITH (existing = adopt) AS SELECT note AS n, sum(amount)\n"
    "  FROM x WHERE amount > 1.5 GROUP BY note;\n"
    "CREATE MATERIALIZED VIEW v2 AS SELECT max(v) FROM y;\n";

#define V3 "CREATE MATERIALIZED VIEW v3 AS SELECT count(*) FROM x;"

static struct pipeline *
parse_good(const char *text)
{
	struct source source = {xstrdup("test.sql"), xstrdup(text), strlen(text)};
	struct pipeline *p = parse_pipeline(&source, stderr);

	source_free(&source);
	cr_assert_not_null(p, "%s", text);
	return p;
}

/* The sample with one part replaced. */
static struct pipeline *
sample_with(const char *from, const char *to)
{
	const char *at = strstr(sample, from);

	cr_assert_not_null(at, "the sample has no '%s'", from);
	char *text = xasprintf("%.*s%s%s", (int)(at - sample), sample, to, at + strlen(from));
	struct pipeline *p = parse_good(text);
	free(text);
	return p;
}

/* All lines; heap. */
static char *
print(const struct pipeline *running, const struct pipeline *file, const struct pipeline *new,
      struct differences *d)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	differences_find(d, running, file, new);
	differences_print(d, new, out);
	fclose(out);
	return text;
}

static const struct change {
	const char *from, *to, *says;
	bool egress, reduce, one, two; /* who gets a new section */
} changes[] = {
    {"note AS n", "x.note AS n", "no change\n", 0, 0, 0, 0},
    {"WHERE amount", "  WHERE amount", "no change\n", 0, 0, 0, 0},
    {"= 7", "= 8", "live: commit_interval_ms is 8\n", 0, 1, 0, 0},
    {"SET commit", "SET checkpoint_interval_ms = 5; SET commit",
     "live: checkpoint_interval_ms is 5\n", 0, 1, 0, 0},
    {"SET commit", "SET autocommit_duration_ms = 5; SET commit",
     "restart of ingest/one: autocommit_duration_ms is 5\n"
     "restart of ingest/two: autocommit_duration_ms is 5\n",
     0, 0, 1, 1},
    {"'a:1'", "'a:2'", "restart of ingest/one: server \"one\" has another \"bootstrap.servers\"\n",
     0, 0, 1, 0},
    {"kafka-secret", "other-secret",
     "restart of ingest/one: server \"one\" has another \"sasl.password\"\n", 0, 0, 1, 0},
    {"'b:2'", "'b:2', \"client.id\" 'me'",
     "restart of ingest/two: server \"two\" has another \"client.id\"\n", 0, 0, 0, 1},
    {"'b:2'", "'b:2', \"time.precision.mode\" 'connect', \"unavailable.value.placeholder\" '?'",
     "restart of ingest/two: server \"two\" has another time.precision.mode\n"
     "restart of ingest/two: server \"two\" has another unavailable.value.placeholder\n",
     0, 0, 0, 1},
    {"  \"sasl.password\" 'kafka-secret',", "",
     "restart of ingest/one: server \"one\" has another \"sasl.password\"\n", 0, 0, 1, 0},
    {", start 'latest'", "",
     "restart of ingest/one: server \"one\" has another start, which counts at a first "
     "start "
     "only\n",
     0, 0, 1, 0},
    {"'z.y'", "'z.y', truncate 'refuse'",
     "restart of ingest/two: table \"y\" has another truncate\n", 0, 0, 0, 1},
    {"start 'latest'", "start 'latest', heartbeat_topic 'h'",
     "restart of ingest/one: server \"one\" has another heartbeat_topic\n"
     "restart of ingest/one: server \"one\": silence_warning_ms is 60000\n",
     0, 0, 1, 0},
    {"pg-secret", "new-secret", "restart of egress: server \"target\" has another \"password\"\n",
     1, 0, 0, 0},
    {" WITH (existing = adopt)", "",
     "live: view \"app.v1\" has another \"existing\", which counts at a first start only\n", 0, 0,
     0, 0},
    {"CREATE MATERIALIZED VIEW v2", V3 "CREATE MATERIALIZED VIEW v2",
     "live: view \"v3\" is new: filled from the kept rows of \"x\"\n", 1, 1, 0, 0},
    {"VIEW app.v1", "VIEW v1",
     "live: view \"v1\" is new: filled from the kept rows of \"x\"\n"
     "live: view \"app.v1\" is gone: its table stays as it is\n",
     1, 1, 0, 0},
    {"CREATE MATERIALIZED VIEW v2 AS SELECT max(v) FROM y;", "",
     "live: view \"v2\" is gone: its table stays as it is\n", 1, 1, 0, 0},
    {"VIEW v2", "VIEW v3",
     "replay: view \"v3\" is new over table \"y\", which has no PRIMARY KEY: its history "
     "is "
     "read again\nlive: view \"v2\" is gone: its table stays as it is\n",
     1, 1, 0, 0},
    {"(topic 'p.public.x')", "(topic 'p.public.x', on_error 'skip')",
     "restart of ingest/one: table \"x\" has on_error 'skip'\n", 0, 1, 1, 0},
    {"\"table\" 'z.y'", "\"table\" 'z.y', on_error 'dead_letter'",
     "restart of ingest/two: table \"y\" has on_error 'dead_letter'\n", 1, 1, 0, 1},
    {"\"table\" 'z.y'", "\"table\" 'z.y', on_error 'stop'", "no change\n", 0, 0, 0, 0},
    {"w integer", "w bigint", "replay: table \"y\": column \"w\" is declared differently\n", 0, 0,
     0, 0},
    {"note text,", "note text, more text,", "replay: table \"x\" had 4 columns and has 5 now\n", 0,
     0, 0, 0},
    {"part integer,", "more integer, part integer,",
     "replay: table \"x\": column 2 was \"part\" and is \"more\" now\n", 0, 0, 0, 0},
    {", w integer", "", "replay: table \"y\" had 2 columns and has 1 now\n", 0, 0, 0, 0},
    {"1.5", "1.6",
     "refused: view \"app.v1\" has another SELECT: `tallyd rebuild test.sql app.v1` brings "
     "its "
     "table to it\n",
     0, 0, 0, 0},
};

Test(difference, each_change_and_its_cost)
{
	struct pipeline *p = parse_good(sample);

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct pipeline *q = sample_with(changes[i].from, changes[i].to);
		struct differences d;
		char *found = print(p, p, q, &d);

		cr_assert_str_eq(found, changes[i].says);
		cr_assert_null(strstr(found, "secret"));
		cr_assert_eq(d.egress, changes[i].egress, "%s", found);
		cr_assert_eq(d.reduce, changes[i].reduce, "%s", found);
		cr_assert_eq(d.ingests[0], changes[i].one, "%s", found);
		cr_assert_eq(d.ingests[1], changes[i].two, "%s", found);
		free(found);
		differences_free(&d);
		pipeline_free(q);
	}
	pipeline_free(p);
}

Test(difference, what_is_refused_says_what_to_do)
{
	static const struct {
		const char *from, *to, *says;
	} rows[] = {
	    {"'test'", "'other'", "refused: the pipeline's name was \"test\": another name is"},
	    {"SET commit", "SET ring_bytes = 65536; SET commit",
	     "; stop tallyd and start it again"},
	    {"'p.transaction'", "'p.tx'",
	     "refused: server \"one\" has another transaction_topic; give"},
	    {"p.public.x'", "p.public.xx'",
	     "refused: table \"x\" was read from topic p.public.x and is from p.public.xx now; "
	     "give"},
	    {"z.y", "z.yy", "refused: table \"y\" was z.y at its source and is z.yy now; give"},
	    {"KEY (part, id)", "KEY (id, part)",
	     "refused: table \"x\" has another PRIMARY KEY; give"},
	    {"CREATE FOREIGN TABLE y",
	     "CREATE FOREIGN TABLE z (a integer) SERVER two OPTIONS (topic 'q.s.z');"
	     "CREATE FOREIGN TABLE y",
	     "refused: table \"z\" is new: what its topic has held so far is not counted; give"},
	};
	struct pipeline *p = parse_good(sample);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pipeline *q = sample_with(rows[i].from, rows[i].to);
		struct differences d;
		char *found = print(p, p, q, &d);

		cr_assert_not_null(strstr(found, rows[i].says), "%s: %s", rows[i].to, found);
		cr_assert(differences_have(&d, EFFECT_REFUSED));
		free(found);
		differences_free(&d);
		pipeline_free(q);
	}
	pipeline_free(p);
}

Test(difference, a_rebuild_may_change_a_select)
{
	struct pipeline *p = parse_good(sample), *q = sample_with("1.5", "1.6");
	struct differences d;
	char *found;

	q->views[0].rebuild = true;
	found = print(p, p, q, &d);
	cr_assert_str_eq(found, "rebuild: view \"app.v1\" has another SELECT\n");
	free(found);
	differences_free(&d);
	q->views[1].rebuild = true;
	found = print(p, p, q, &d);
	cr_assert_not_null(strstr(found, "rebuild: view \"v2\" is compared with its table\n"));
	free(found);
	differences_free(&d);
	pipeline_free(p);
	pipeline_free(q);
}

static struct pipeline *
merge(const struct pipeline *running, struct pipeline *new)
{
	struct pipeline *merged = differences_merge(running, new);

	cr_assert_not_null(merged);
	return merged;
}

static void
is_view(const struct pipeline *p, unsigned i, const char *name, const char *table, bool dropped)
{
	cr_assert_str_eq(p->views[i].name, name);
	cr_assert_str_eq(p->tables[p->views[i].table].name, table);
	cr_assert_eq(p->views[i].dropped, dropped, "%s", name);
}

Test(difference, a_merge_keeps_indices)
{
	struct pipeline *p = parse_good(sample);
	/* Another order of tables and views, other options, one view gone, one new. */
	struct pipeline *q = parse_good(
	    "SET pipeline = 'test'; SET commit_interval_ms = 9;"
	    "CREATE SERVER one FOREIGN DATA WRAPPER debezium OPTIONS (\"bootstrap.servers\" 'a:3',"
	    "  transaction_topic 'p.transaction');"
	    "CREATE SERVER two FOREIGN DATA WRAPPER debezium OPTIONS (\"bootstrap.servers\" 'b:4');"
	    "CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'i');"
	    "CREATE FOREIGN TABLE y (v integer NOT NULL, w integer) SERVER two OPTIONS (topic "
	    "'q.s.y',"
	    "  \"table\" 'z.y', on_error 'skip', truncate 'refuse');"
	    "CREATE FOREIGN TABLE x (id bigint, part integer, amount numeric(12, 3), note text,"
	    "  PRIMARY KEY (part, id)) SERVER one OPTIONS (topic 'p.public.x');" V3
	    "CREATE MATERIALIZED VIEW v2 AS SELECT max(v) FROM y;");
	struct pipeline *merged = merge(p, q);

	cr_assert_eq(merged->view_count, 3);
	is_view(merged, 0, "v1", "x", true);
	is_view(merged, 1, "v2", "y", false);
	is_view(merged, 2, "v3", "x", false);
	cr_assert_eq(merged->commit_interval_ms, 9);
	cr_assert_str_eq(merged->target[0].value, "i");
	cr_assert_eq(merged->target_count, 1);
	cr_assert_str_eq(merged->servers[0].options[0].value, "a:3");
	cr_assert_str_eq(merged->servers[1].options[0].value, "b:4");
	cr_assert_str_eq(merged->tables[0].name, "x");
	cr_assert_eq(merged->tables[0].on_error, ON_ERROR_STOP);
	cr_assert_eq(merged->tables[1].on_error, ON_ERROR_SKIP);
	cr_assert_eq(merged->tables[1].truncate, TRUNCATE_REFUSE);
	cr_assert_not_null(merged->views[0].where, "the old one is whole");

	/* Added again: another view, behind the others, and the first stays dropped. */
	struct pipeline *again = merge(merged, parse_good(sample));
	cr_assert_eq(again->view_count, 4);
	is_view(again, 0, "v1", "x", true);
	is_view(again, 1, "v2", "y", false);
	is_view(again, 2, "v3", "x", true);
	is_view(again, 3, "v1", "x", false);
	cr_assert_eq(again->views[3].existing, EXISTING_ADOPT);
	pipeline_free(p);
	pipeline_free(merged);
	pipeline_free(again);
}

Test(difference, a_table_that_is_gone_stays_until_the_next_start)
{
	struct pipeline *p = parse_good(sample);
	const char *extra =
	    "CREATE FOREIGN TABLE z (id integer PRIMARY KEY) SERVER two OPTIONS (topic "
	    "'q.s.z'); CREATE MATERIALIZED VIEW v4 AS SELECT count(*) FROM z;";
	char *text = xasprintf("%s%s", sample, extra);
	struct pipeline *with = parse_good(text);
	struct differences d;

	char *found = print(with, with, p, &d);
	cr_assert_str_eq(found,
			 "live: table \"z\" is gone: it is read until the next start, and cannot "
			 "come back after that\n"
			 "live: view \"v4\" is gone: its table stays as it is\n");
	free(found);
	differences_free(&d);
	struct pipeline *merged = merge(with, parse_good(sample));
	cr_assert_eq(merged->table_count, 3);
	found = print(merged, p, p, &d); /* told once only */
	cr_assert_str_eq(found, "no change\n");
	free(found);
	differences_free(&d);
	found = print(merged, p, with, &d); /* it is read still */
	cr_assert_str_eq(found, "live: view \"v4\" is new: filled from the kept rows of \"z\"\n");
	free(found);
	differences_free(&d);
	free(text);
	pipeline_free(p);
	pipeline_free(with);
	pipeline_free(merged);
}
