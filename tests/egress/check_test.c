/*
 * check_test.c - what egress finds before it writes a row: what `check` says, what a start refuses in
 * the same words, and the script of `check --ddl`, for one who may not create.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/stage.h"
#include "tests/egress/harness.h"
#include "tests/egress/types_test.h"

void
test_check(void)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	harness_sql("DROP SCHEMA IF EXISTS tallyd CASCADE");
	harness_open(&h, &p);
	EXPECT(harness_check(&h, "--offline") == EXIT_OK, "offline; see %s", h.log);
	EXPECT(harness_check(&h, NULL) == EXIT_OK, "online; see %s", h.log);
	EXPECT(harness_logged(&h, "target: PostgreSQL"), "names the server");
	EXPECT(harness_logged(&h, "will be created"), "names the schema");
	EXPECT(strcmp(harness_sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'tallyd'"),
		      "0") == 0,
	       "changes nothing");
	p.target[1].value = TEXT("1");
	EXPECT(harness_check(&h, NULL) == EXIT_UNAVAILABLE, "nobody there; see %s", h.log);
	p.target[1].value = getenv("PGPORT");
	harness_close(&h);
}

void
expect_refusal(struct pipeline *p, int code, const char *text)
{
	struct harness h;
	int found;

	harness_open(&h, p);
	found = harness_check(&h, NULL);
	EXPECT(found == code, "check: %s: exit %d", text, found);
	EXPECT(harness_logged(&h, text), "check: %s: see %s", text, h.log);
	if (truncate(h.log, 0) == 0)
		harness_start(&h, false, NULL);
	found = harness_exit(&h, 5000);
	EXPECT(found == code, "%s: exit %d", text, found);
	EXPECT(harness_logged(&h, text), "%s: see %s", text, h.log);
	harness_close(&h);
}

void
test_refusals(void)
{
	static const struct {
		const char *sql;
		int code;
		const char *text;
	} cases[] = {
	    {"ALTER TABLE totals DROP total", EXIT_CONFIG, "has no column"},
	    {"ALTER TABLE totals DROP diff", EXIT_CONFIG, "ADD COLUMN"},
	    {"ALTER TABLE totals ALTER \"time\" TYPE integer", EXIT_CONFIG, "it must be bigint"},
	    {"ALTER TABLE totals ALTER total TYPE text", EXIT_CONFIG,
	     "ALTER COLUMN total TYPE bigint"},
	    {"ALTER TABLE totals ALTER total SET NOT NULL", EXIT_CONFIG, "DROP NOT NULL"},
	    {"ALTER TABLE totals ADD extra int NOT NULL", EXIT_CONFIG, "without a default"},
	    {"INSERT INTO totals VALUES (1, 1, 1, 1)", EXIT_CONFIG, "`tallyd rebuild test.sql`"},
	    {"DROP TABLE totals; CREATE VIEW totals AS SELECT * FROM others", EXIT_CONFIG,
	     "is no table"},
	};

	for (unsigned i = 0; i < LENGTH(cases); i++) {
		struct pipeline p = pipeline_totals(1);

		harness_sql("%s", cases[i].sql);
		expect_refusal(&p, cases[i].code, cases[i].text);
		harness_sql("DROP VIEW IF EXISTS totals");
	}
}

void
test_privileges(void)
{
	struct pipeline p = pipeline_totals(1);

	harness_sql("DROP SCHEMA IF EXISTS tallyd CASCADE; DROP ROLE IF EXISTS poor; CREATE ROLE "
		    "poor LOGIN;"
		    " REVOKE ALL ON DATABASE postgres FROM PUBLIC;"
		    " GRANT CONNECT ON DATABASE postgres TO poor");
	p.target[2].value = TEXT("poor");
	expect_refusal(&p, EXIT_DENIED, "GRANT INSERT ON public.totals TO");
	harness_sql("GRANT INSERT ON totals TO poor");
	expect_refusal(&p, EXIT_DENIED, "AUTHORIZATION");
	harness_sql("CREATE SCHEMA tallyd AUTHORIZATION poor");
	expect_refusal(&p, EXIT_DENIED, "GRANT SELECT ON public.totals");
	harness_sql("GRANT SELECT ON totals TO poor; DROP ROLE IF EXISTS locked;"
		    " CREATE ROLE locked LOGIN PASSWORD 'another'");
	struct harness h;
	harness_open(&h, &p);
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'R', 5000), "with this little it runs; see %s", h.log);
	feed(&h, 2);
	feed(&h, 600);
	EXPECT(harness_durable(&h, 2, 5000), "durable; see %s", h.log);
	harness_close(&h);
	p.target[2].value = TEXT("locked");
	expect_refusal(&p, EXIT_DENIED, "password authentication failed");
	p.target[2].value = TEXT("tester");
	p.target[0].name = TEXT("hots");
	expect_refusal(&p, EXIT_CONFIG, "libpq knows no connection option");
	harness_open(&h, &p);
	EXPECT(harness_check(&h, "--ddl") == EXIT_CONFIG && !harness_logged(&h, "CREATE"),
	       "no script for a target that cannot be; see %s", h.log);
	harness_close(&h);
	p.target[0].name = TEXT("host");
	harness_sql("DROP SCHEMA tallyd CASCADE; DROP OWNED BY poor; DROP ROLE poor, locked");
}

void
run_script(struct harness *h)
{
	EXPECT(harness_check(h, "--ddl") == EXIT_OK, "the script; see %s", h->log);
	const char *said = harness_sql("\\i %s", h->log);
	EXPECT(*said == '\0', "psql takes it: %s", said);
}

/* What `check --ddl` prints, run by the owner, is all that one without CREATE needs. Twice too. */
void
test_ddl(void)
{
	static const unsigned rows[] = {2, 600};
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	harness_sql("DROP SCHEMA IF EXISTS tallyd CASCADE; DROP ROLE IF EXISTS \"po\"\"or\";"
		    " CREATE ROLE \"po\"\"or\" LOGIN; GRANT CONNECT ON DATABASE postgres TO "
		    "\"po\"\"or\"; GRANT INSERT, SELECT ON totals TO \"po\"\"or\";"
		    " REVOKE CREATE ON DATABASE postgres FROM PUBLIC");
	p.target[2].value = TEXT("po\"or");
	harness_open(&h, &p);
	EXPECT(harness_check(&h, NULL) == EXIT_DENIED, "denied before; see %s", h.log);
	for (unsigned i = 0; i < 2; i++)
		run_script(&h);
	EXPECT(harness_check(&h, NULL) == EXIT_OK, "allowed then; see %s", h.log);
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'R', 5000), "runs without CREATE; see %s", h.log);
	feed(&h, rows[0]);
	feed(&h, rows[1]);
	EXPECT(harness_durable(&h, 2, 5000), "durable; see %s", h.log);
	expect_batches("ddl", rows, 2);
	harness_stop(&h);
	EXPECT(harness_exit(&h, 8000) == EXIT_OK, "exit; see %s", h.log);
	harness_sql("REVOKE DELETE ON tallyd.checkpoint FROM \"po\"\"or\"");
	EXPECT(harness_check(&h, NULL) == EXIT_DENIED, "one privilege less; see %s", h.log);
	harness_close(&h);
	p.target[2].value = TEXT("tester");
	harness_sql(
	    "DROP SCHEMA tallyd CASCADE; DROP OWNED BY \"po\"\"or\"; DROP ROLE \"po\"\"or\"");
}
