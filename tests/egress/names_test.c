/*
 * names_test.c - servers by which a position is kept, names that SQL must quote, and tables of
 * tallyd's own that do not take what they should.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/stage.h"
#include "tests/egress/harness.h"
#include "tests/egress/types_test.h"

/* A pipeline that has committed: one row, and a position of server `kafka`. */
static void
commit_once(struct pipeline *p)
{
	struct value v[2] = {{.kind = VALUE_INT, .i = 1}, {.kind = VALUE_INT, .i = 1}};
	struct harness h;

	harness_open(&h, p);
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'R', 5000), "ready; see %s", h.log);
	harness_row(&h, 0, 1, v, 2);
	harness_end_batch(&h);
	EXPECT(harness_durable(&h, 1, 5000), "durable; see %s", h.log);
	harness_close(&h);
}

/* Once something is committed, the servers are those of the position. */
void
test_servers(void)
{
	static const char *const nothing[] = {"NULL", "'{}'", "'[]'", "'null'", "'\"kafka\"'"};
	struct pipeline p = pipeline_totals(1);
	struct server servers[2] = {p.servers[0], {.name = TEXT("more"), .place = {7, 1}}};
	struct harness h;

	harness_open(&h, &p);
	EXPECT(harness_check(&h, NULL) == EXIT_OK && !harness_logged(&h, "position\t"),
	       "a first start has no position; see %s", h.log);
	commit_once(&p);
	EXPECT(harness_check(&h, NULL) == EXIT_OK &&
		   harness_logged(&h, "position\t0\t0\t{\"kafka\": {\"batch\": 1}}\n"),
	       "then it is said; see %s", h.log);
	harness_close(&h);
	p.servers = servers;
	p.server_count = 2;
	expect_refusal(&p, EXIT_CONFIG, "is new, but pipeline");
	p.server_count = 1;
	servers[0].name = TEXT("renamed");
	expect_refusal(&p, EXIT_CONFIG,
		       "that the file has no more: give the server its old name back");
	expect_refusal(&p, EXIT_CONFIG, "is new, but pipeline");
	servers[0].name = TEXT("kafka");
	for (unsigned i = 0; i < LENGTH(nothing); i++) {
		harness_sql("UPDATE tallyd.pipeline SET position = %s WHERE name = '%s'",
			    nothing[i], p.name);
		expect_refusal(&p, EXIT_CONFIG, "is gone from tallyd.pipeline");
	}
	EXPECT(strcmp(harness_sql("SELECT count(*) FROM totals"), "1") == 0, "nothing was written");
}

/* What is suggested for this view can be pasted, and then fits. */
static void
expect_suggestion(struct pipeline *p)
{
	struct harness h;
	char line[4096], *sql = NULL;
	FILE *f;

	harness_open(&h, p);
	EXPECT(harness_check(&h, NULL) == EXIT_CONFIG, "a table is missing; see %s", h.log);
	f = fopen(h.log, "re");
	while (f != NULL && sql == NULL && fgets(line, sizeof(line), f) != NULL)
		sql = strstr(line, "CREATE TABLE");
	if (f != NULL)
		fclose(f);
	EXPECT(sql != NULL, "it is suggested; see %s", h.log);
	if (sql != NULL) {
		const char *said = harness_sql("%s", sql);

		EXPECT(said[0] == '\0', "%s: %s", sql, said);
	}
	EXPECT(harness_check(&h, NULL) == EXIT_OK, "it fits; see %s", h.log);
	harness_close(&h);
}

void
test_names(void)
{
	struct pipeline p = pipeline_totals(2);
	struct view views[2];
	struct output outputs[2];

	memcpy(views, p.views, sizeof(views));
	memcpy(outputs, views[0].outputs, sizeof(outputs));
	views[0].outputs = views[1].outputs = outputs;
	p.views = views;
	outputs[0].name = TEXT("s\"um");
	outputs[1].name = TEXT("order");
	harness_sql(
	    "DROP SCHEMA IF EXISTS tallyd CASCADE; DROP SCHEMA IF EXISTS \"No Such\" CASCADE;"
	    " DROP SCHEMA IF EXISTS a CASCADE; CREATE SCHEMA \"No Such\"; CREATE SCHEMA a;");
	p.view_count = 1;
	views[0].schema = TEXT("No Such");
	views[0].name = TEXT("T \"x");
	expect_suggestion(&p);
	/* Two views that are one text without their quotes are two rows of tallyd.view. */
	p.view_count = 2;
	views[0].schema = NULL;
	views[0].name = TEXT("a.b");
	views[1].schema = TEXT("a");
	views[1].name = TEXT("b");
	harness_sql(
	    "DROP TABLE IF EXISTS \"a.b\"; CREATE TABLE \"a.b\" (\"s\"\"um\" bigint, \"order\""
	    " bigint, time bigint, diff int); CREATE TABLE a.b (LIKE \"a.b\")");
	commit_once(&p);
	const char *found = harness_sql("SELECT string_agg(view || '=' || target, ' ' ORDER BY view"
					" COLLATE \"C\") FROM tallyd.view WHERE pipeline = '%s'",
					p.name);
	EXPECT(strcmp(found, "\"a.b\"=public.\"a.b\" a.b=a.b") == 0, "views: %s", found);
	commit_once(&p);
	harness_sql("DROP TABLE \"a.b\"; DROP SCHEMA a CASCADE; DROP SCHEMA \"No Such\" CASCADE");
}

/* What fails at the take-over is not said to be a row of the view. */
void
test_own_tables(void)
{
	static const char *const changes[] = {
	    "ALTER TABLE tallyd.view ADD CHECK (view <> 'totals')",
	    "ALTER TABLE tallyd.pipeline DROP COLUMN started CASCADE",
	};

	for (unsigned i = 0; i < LENGTH(changes); i++) {
		struct pipeline p = pipeline_totals(1);
		struct harness h;

		commit_once(&p);
		p = pipeline_totals(1);
		harness_sql(
		    "DELETE FROM tallyd.pipeline; %s; CREATE OR REPLACE VIEW tallyd.status AS"
		    " SELECT 1",
		    changes[i]);
		harness_open(&h, &p);
		harness_start(&h, false, NULL);
		int code = harness_exit(&h, 5000);
		EXPECT(code == EXIT_CONFIG, "%s: exit %d; see %s", changes[i], code, h.log);
		EXPECT(harness_logged(&h, "schema tallyd is not as it should be"), "see %s", h.log);
		harness_close(&h);
		harness_sql("DROP SCHEMA tallyd CASCADE");
	}
}
