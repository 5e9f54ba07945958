/*
 * test_pipeline.c - the pipeline as a structure: what the parser fills in, sections,
 * and how faults are shown. What is accepted and refused stands in tests/golden/pipeline.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/expr.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "supervisor/difference.h"
#include "supervisor/parse.h"

static const char *const sample =
    "SET pipeline = 'test';\n"
    "SET commit_interval_ms = 7;\n"
    "CREATE SERVER one FOREIGN DATA WRAPPER debezium OPTIONS (\"bootstrap.servers\" 'a:1',\n"
    "  \"sasl.password\" 'kafka-secret', transaction_topic 'p.transaction', start 'latest',\n"
    "  heartbeat_topic 'hb.p', silence_warning_ms '5000');\n"
    "CREATE SERVER two FOREIGN DATA WRAPPER debezium OPTIONS (\"bootstrap.servers\" 'b:2',\n"
    "  \"time.precision.mode\" 'connect', \"unavailable.value.placeholder\" '?');\n"
    "CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'h', password 'pg-secret');\n"
    "CREATE FOREIGN TABLE x (id bigint, part integer, amount numeric(12, 3), note text,\n"
    "  PRIMARY KEY (part, id)) SERVER one OPTIONS (topic 'p.public.x');\n"
    "CREATE FOREIGN TABLE y (v integer NOT NULL) SERVER two OPTIONS (topic 'q.s.y', \"table\" "
    "'z.y');\n"
    "CREATE MATERIALIZED VIEW app.v1 WITH (existing = adopt) AS SELECT note AS n, sum(amount),\n"
    "  count(*), avg(part), sum(part) AS parts FROM x WHERE amount > 1.5 AND note IS NOT NULL\n"
    "  GROUP BY note, part;\n"
    "CREATE MATERIALIZED VIEW v2 AS SELECT max(v) FROM y;\n";

static struct source
source_of(const char *text)
{
	return (struct source){xstrdup("test.sql"), xstrdup(text), strlen(text)};
}

/* Parse a text; what was printed goes to *errors (the caller frees it) when that is not NULL. */
static struct pipeline *
parse_text(const char *text, char **errors)
{
	struct source source = source_of(text);
	char *printed = NULL;
	size_t len;
	FILE *out = open_memstream(&printed, &len);
	struct pipeline *p = parse_pipeline(&source, out);

	fclose(out);
	source_free(&source);
	if (errors != NULL)
		*errors = printed;
	else
		free(printed);
	return p;
}

static struct pipeline *
parse_good(const char *text)
{
	char *errors;
	struct pipeline *p = parse_text(text, &errors);

	cr_assert_not_null(p, "%s", errors);
	cr_assert_str_empty(errors);
	free(errors);
	return p;
}

Test(pipeline, parser_fills_in_settings_and_servers)
{
	struct pipeline *p = parse_good(sample);

	cr_assert_str_eq(p->file, "test.sql");
	cr_assert_str_eq(p->name, "test");
	cr_assert_eq(p->autocommit_duration_ms, 100);
	cr_assert_eq(p->commit_interval_ms, 7);
	cr_assert_eq(p->ring_bytes, 4u << 20);
	cr_assert_eq(p->server_count, 2);
	cr_assert_str_eq(p->servers[0].name, "one");
	cr_assert_eq(p->servers[0].option_count, 2, "start and transaction_topic are ours");
	cr_assert_str_eq(p->servers[0].options[1].name, "sasl.password");
	cr_assert_str_eq(p->servers[0].options[1].value, "kafka-secret");
	cr_assert_eq(p->servers[0].options[1].place.line, 4);
	cr_assert_eq(p->servers[0].options[1].place.column, 3);
	cr_assert_str_eq(p->servers[0].transaction_topic, "p.transaction");
	cr_assert_eq(p->servers[0].start, START_LATEST);
	cr_assert_str_eq(p->servers[0].heartbeat_topic, "hb.p");
	cr_assert_eq(p->servers[0].silence_warning_ms, 5000);
	cr_assert_null(p->servers[1].transaction_topic);
	cr_assert_null(p->servers[1].heartbeat_topic);
	cr_assert_eq(p->servers[1].silence_warning_ms, 0);
	cr_assert_eq(p->servers[1].start, START_CHECKED);
	cr_assert_str_eq(p->target_name, "target");
	cr_assert_eq(p->target_count, 2);
	pipeline_free(p);
}

Test(pipeline, parser_fills_in_tables)
{
	struct pipeline *p = parse_good(sample);
	const struct table *x = &p->tables[0];

	cr_assert_eq(p->table_count, 2);
	cr_assert_str_eq(x->source, "public.x");
	cr_assert_str_eq(p->tables[1].source, "z.y");
	cr_assert_eq(p->tables[1].server, 1);
	cr_assert_eq(x->key_count, 2);
	cr_assert_eq(x->key[0], 1, "the key's own order");
	cr_assert_eq(x->key[1], 0);
	cr_assert(x->columns[0].not_null && x->columns[1].not_null && !x->columns[2].not_null);
	cr_assert_eq(x->columns[2].precision, 12);
	cr_assert_eq(x->columns[2].scale, 3);
	cr_assert_eq(x->columns[0].precision, -1);
	cr_assert_eq(p->tables[1].key_count, 0);
	cr_assert(p->tables[1].columns[0].not_null);
	pipeline_free(p);
}

Test(pipeline, parser_fills_in_views)
{
	static const struct {
		const char *name;
		enum output_kind kind;
		unsigned column;
		enum type type;
		int scale;
	} rows[] = {
	    {"n", OUTPUT_GROUP, 3, TYPE_TEXT, -1},
	    {"sum", OUTPUT_SUM, 2, TYPE_NUMERIC, 3},
	    {"count", OUTPUT_COUNT_ROWS, 0, TYPE_BIGINT, -1},
	    {"avg", OUTPUT_AVG, 1, TYPE_NUMERIC, -1},
	    {"parts", OUTPUT_SUM, 1, TYPE_BIGINT, -1},
	};
	struct pipeline *p = parse_good(sample);
	const struct view *v = &p->views[0];

	cr_assert_eq(v->output_count, 5);
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_str_eq(v->outputs[i].name, rows[i].name);
		cr_assert_eq(v->outputs[i].kind, rows[i].kind, "kind of %u", i);
		cr_assert_eq(v->outputs[i].column, rows[i].column, "column of %u", i);
		cr_assert_eq(v->outputs[i].type, rows[i].type, "type of %u", i);
		cr_assert_eq(v->outputs[i].scale, rows[i].scale, "scale of %u", i);
	}
	cr_assert_str_eq(v->schema, "app");
	cr_assert_eq(v->existing, EXISTING_ADOPT);
	cr_assert_eq(v->group_count, 2);
	cr_assert_eq(v->group[0], 3);
	cr_assert_eq(v->group[1], 1);
	cr_assert_str_eq(
	    v->plan,
	    "SELECT note AS n, sum(amount) AS sum, count(*) AS count, avg(part) AS avg, "
	    "sum(part) AS parts FROM x WHERE ((amount > 1.5) AND (note IS NOT NULL)) "
	    "GROUP BY note, part /* topic 'p.public.x', id bigint NOT NULL, part integer NOT "
	    "NULL, amount numeric(12,3), note text, key part, id */");
	cr_assert_null(p->views[1].schema);
	cr_assert_null(p->views[1].where);
	cr_assert_eq(p->views[1].table, 1);
	cr_assert_eq(p->views[1].outputs[0].type, TYPE_INTEGER);
	pipeline_free(p);
}

/* A section has options of one server at most, and a print hides secrets. */
static void
same_but_for_options(const struct pipeline *p, const struct pipeline *q)
{
	struct differences d;

	differences_find(&d, p, p, q);
	for (unsigned i = 0; i < d.count; i++)
		cr_assert(d.list[i].effect == EFFECT_EGRESS || d.list[i].effect == EFFECT_INGEST,
			  "%s", d.list[i].text);
	differences_free(&d);
}

Test(pipeline, print_parses_to_the_same_print)
{
	struct pipeline *p = parse_good(sample), *again;
	char *text = pipeline_print(p), *second;

	cr_assert_null(strstr(text, "secret"), "%s", text);
	again = parse_good(text);
	second = pipeline_print(again);
	cr_assert_str_eq(second, text);
	same_but_for_options(p, again);
	free(text);
	free(second);
	pipeline_free(p);
	pipeline_free(again);
}

/* --- sections --- */

static uint8_t section_buf[1 << 20];

static size_t
pack_section(const struct pipeline *p, enum section section, unsigned server)
{
	struct pack out;

	pack_init(&out, section_buf, sizeof(section_buf));
	pipeline_pack(p, section, server, &out);
	cr_assert(!out.overflow);
	return pack_len(&out);
}

static struct pipeline *
through_section(const struct pipeline *p, enum section section, unsigned server)
{
	size_t len = pack_section(p, section, server);
	struct pipeline *back;
	struct unpack in;

	unpack_init(&in, section_buf, len);
	back = pipeline_unpack(&in);
	cr_assert_not_null(back);
	cr_assert_eq(in.at, in.end, "a byte is left over");
	return back;
}

static bool
holds_text(size_t len, const char *text)
{
	return memmem(section_buf, len, text, strlen(text)) != NULL;
}

Test(pipeline, a_section_holds_only_its_own_secrets)
{
	struct pipeline *p = parse_good(sample);
	size_t len = pack_section(p, SECTION_INGEST, 0);

	cr_assert(holds_text(len, "kafka-secret"));
	cr_assert(!holds_text(len, "pg-secret"));
	len = pack_section(p, SECTION_INGEST, 1);
	cr_assert(!holds_text(len, "kafka-secret"));
	cr_assert(holds_text(len, "b:2"));
	len = pack_section(p, SECTION_REDUCE, 0);
	cr_assert(!holds_text(len, "secret"));
	cr_assert(!holds_text(len, "a:1"));
	len = pack_section(p, SECTION_EGRESS, 0);
	cr_assert(!holds_text(len, "kafka-secret"));
	cr_assert(holds_text(len, "pg-secret"));
	pipeline_free(p);
}

Test(pipeline, sections_keep_tables_views_and_places)
{
	struct pipeline *p = parse_good(sample);

	for (enum section s = SECTION_REDUCE; s <= SECTION_EGRESS; s++) {
		struct pipeline *back = through_section(p, s, 0);

		same_but_for_options(p, back);
		cr_assert_eq(back->commit_interval_ms, 7);
		cr_assert_eq(back->ring_bytes, p->ring_bytes);
		cr_assert_eq(back->views[0].outputs[1].scale, 3);
		cr_assert_eq(back->views[0].existing, EXISTING_ADOPT);
		cr_assert_eq(back->views[1].place.line, p->views[1].place.line);
		cr_assert_eq(back->servers[0].start, START_LATEST);
		cr_assert_str_eq(back->file, "test.sql");
		cr_assert_not_null(back->views[0].where);
		cr_assert_null(back->views[1].where);
		pipeline_free(back);
	}
	pipeline_free(p);
}

Test(pipeline, ingest_gets_all_tables_and_its_options)
{
	struct pipeline *p = parse_good(sample), *back = through_section(p, SECTION_INGEST, 0);

	cr_assert_eq(back->server_count, 2);
	cr_assert_eq(back->table_count, 2);
	cr_assert_eq(back->servers[0].option_count, 2);
	cr_assert_eq(back->servers[0].options[1].place.line, 4);
	cr_assert_eq(back->servers[1].option_count, 0);
	cr_assert_eq(back->target_count, 0);
	cr_assert_str_eq(back->servers[0].transaction_topic, "p.transaction");
	cr_assert_str_eq(back->servers[0].heartbeat_topic, "hb.p");
	cr_assert_eq(back->servers[0].silence_warning_ms, 5000);
	cr_assert_eq(back->servers[0].heartbeat_place.line, 5);
	cr_assert_eq(back->servers[1].connector.mode[CONNECTOR_TIME], TIME_CONNECT);
	cr_assert_eq(back->servers[1].connector.mode[CONNECTOR_BINARY], 0);
	cr_assert_str_eq(back->servers[1].connector.unavailable, "?");
	cr_assert_null(back->servers[0].connector.unavailable);
	pipeline_free(back);
	pipeline_free(p);
}

Test(pipeline, unpack_survives_every_changed_byte)
{
	struct pipeline *p = parse_good(sample), *back;
	size_t len = pack_section(p, SECTION_EGRESS, 0);
	struct unpack in;

	for (size_t i = 0; i < len; i++) {
		uint8_t saved = section_buf[i];

		for (unsigned b = 0; b < 256; b += 1 + (unsigned)(i & 3)) {
			section_buf[i] = (uint8_t)b;
			unpack_init(&in, section_buf, len);
			back = pipeline_unpack(&in);
			if (back != NULL)
				free(pipeline_print(back));
			pipeline_free(back);
		}
		section_buf[i] = saved;
	}
	for (size_t cut = 0; cut < len; cut++) {
		unpack_init(&in, section_buf, cut);
		cr_assert_null(pipeline_unpack(&in), "cut to %zu bytes", cut);
	}
	pipeline_free(p);
}

/* What the parser accepts, a stage must be able to read. */
Test(pipeline, the_deepest_and_the_widest_condition_fit_a_section)
{
	char *in = xcalloc(1, 65534 * 2 + 2), *text, *deep = xcalloc(1, 61 * 4 + 1);
	struct pipeline *p;

	for (unsigned i = 0; i < 61; i++)
		memcpy(deep + i * 4, "NOT ", 4);
	for (unsigned i = 0; i < 65534; i++)
		memcpy(in + i * 2, i < 65533 ? "1," : "1", i < 65533 ? 2 : 1);
	text = xasprintf("%sCREATE MATERIALIZED VIEW v3 AS SELECT count(*) FROM y WHERE "
			 "%s(v NOT IN (1, 2));\n"
			 "CREATE MATERIALIZED VIEW v4 AS SELECT count(*) FROM y WHERE v IN (%s);",
			 sample, deep, in);
	p = parse_good(text);
	pipeline_free(through_section(p, SECTION_REDUCE, 0));
	pipeline_free(p);
	free(text);
	text = xasprintf("%sCREATE MATERIALIZED VIEW v3 AS SELECT count(*) FROM y WHERE "
			 "NOT %s(v NOT IN (1, 2));\n",
			 sample, deep);
	cr_assert_null(parse_text(text, NULL));
	free(text);
	text = xasprintf("%sCREATE MATERIALIZED VIEW v3 AS SELECT count(*) FROM y WHERE "
			 "v IN (%s, 1);\n",
			 sample, in);
	cr_assert_null(parse_text(text, NULL));
	free(text);
	free(in);
	free(deep);
}

/* --- secrets and reports --- */

Test(pipeline, knows_secret_options)
{
	static const char *const secret[] = {"password",         "PASSWORD",
					     "sasl.password",    "ssl.key.pem",
					     "sslpassword",      "sasl.oauthbearer.client.secret",
					     "sasl.jaas.config", "token"};
	static const char *const open[] = {"host",
					   "sasl.username",
					   "password_file",
					   "sasl.password_file",
					   "ssl.key.location",
					   "passfile",
					   "bootstrap.servers"};

	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
		cr_assert(option_is_secret(secret[i], "x", 1), "%s", secret[i]);
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		cr_assert(!option_is_secret(open[i], "x", 1), "%s", open[i]);
	cr_assert(option_is_secret("dbname", "host=x password=y", 17));
	cr_assert(option_is_secret("dbname", "postgres://u:p@h/d", 18));
	cr_assert(!option_is_secret("dbname", "values_db", 9));
}

static char *
report_text(const char *text, struct place place)
{
	struct source source = source_of(text);
	char *printed = NULL;
	size_t len;
	FILE *out = open_memstream(&printed, &len);

	source_report(&source, out, "warning", &place, "message");
	fclose(out);
	source_free(&source);
	return printed;
}

static void
assert_report(const char *text, uint32_t line, uint32_t column, const char *expected)
{
	char *printed = report_text(text, (struct place){line, column});

	cr_assert_str_eq(printed, expected);
	free(printed);
}

Test(pipeline, report_points_at_the_column)
{
	assert_report("a\n\tb\xc3\xa4 c\nd", 2, 5,
		      "test.sql:2:5: warning: message\n\tb\xc3\xa4 c\n\t   ^\n");
	assert_report("abc", 1, 1, "test.sql:1:1: warning: message\nabc\n^\n");
	assert_report("abc", 1, 4, "test.sql:1:4: warning: message\nabc\n   ^\n");
	assert_report("a\x1b[2J\r\n", 1, 2, "test.sql:1:2: warning: message\na?[2J\n ^\n");
	assert_report("abc", 0, 0, "test.sql: warning: message\n");
	assert_report("abc", 9, 1, "test.sql:9:1: warning: message\n");
}

Test(pipeline, report_hides_secrets_and_keeps_the_caret)
{
	static const char *const create =
	    "CREATE SERVER s FOREIGN DATA WRAPPER postgres OPTIONS (\n";
	char *text = xasprintf("%spassword 'longer than it looks', host 'h'\n", create);

	assert_report(text, 2, 34,
		      "test.sql:2:34: warning: message\n"
		      "password '***', host 'h'\n                ^\n");
	assert_report(text, 2, 15,
		      "test.sql:2:15: warning: message\n"
		      "password '***', host 'h'\n         ^\n");
	free(text);
}

Test(pipeline, report_hides_secrets_that_do_not_parse)
{
	static const char *const bad[] = {
	    "CREATE SERVER s FOREIGN DATA WRAPPER postgres OPTIONS (\"user 'u', password "
	    "'hunter2');",
	    "CREATE SERVER s FOREIGN DATA WRAPPER postgres OPTIONS (user 'u, password 'hunter2');",
	    "CREATE SERVER s FOREIGN DATA WRAPPER postgres OPTIONS (password 'hunter2);",
	    "CREATE SERVER s FOREIGN DATA WRAPPER postgres OPTIONS (password hunter2);",
	    "CREATE SERVER s FOREIGN DATA WRAPPER postgres OPTIONS (password = 'hunter2');",
	    "CREATE SERVER s FOREIGN DATA WRAPPER postgres OPTIONS (password 'hunter2' 'hunter2');",
	    "CREATE SERVER s FOREIGN DATA WRAPPER postgres OPTIONS (password\n'x'\n'hunter2', "
	    "host);",
	    "ALTER SERVER s OPTIONS (SET password 'hunter2');",
	    "SET password = 'hunter2';",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *errors;
		struct pipeline *p = parse_text(bad[i], &errors);

		cr_assert_null(p);
		cr_assert_null(strstr(errors, "hunter2"), "%s", errors);
		free(errors);
	}
}

/* A file of these bytes: its path, and the descriptor that keeps it. */
static int
make_file(char *path, size_t size, const char *bytes, size_t len)
{
	int fd = memfd_create("pipeline", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	snprintf(path, size, "/proc/self/fd/%d", fd);
	return fd;
}

Test(pipeline, a_file_that_cannot_be_read_gets_one_line)
{
	char path[64], *printed = NULL;
	int fd = make_file(path, sizeof(path), "SET a = '\xff';", 12);
	struct source source;
	size_t len;
	FILE *out = open_memstream(&printed, &len);

	cr_assert_eq(source_read(&source, path, out), EXIT_CONFIG);
	close(fd);
	fflush(out);
	cr_assert_not_null(strstr(printed, ":1:10: error: this byte is not UTF-8 text"), "%s",
			   printed);
	cr_assert_eq(source_read(&source, "no/such/file", out), EXIT_CONFIG);
	cr_assert_eq(source_read(&source, "/", out), EXIT_CONFIG);
	fclose(out);
	cr_assert_not_null(strstr(printed, "cannot be opened: No such file"), "%s", printed);
	cr_assert_not_null(strstr(printed, "is a directory"), "%s", printed);
	free(printed);
}

Test(pipeline, a_byte_order_mark_is_passed_over)
{
	char path[64];
	int fd = make_file(path, sizeof(path), "\xef\xbb\xbfSET", 6);
	struct source source;

	cr_assert_eq(source_read(&source, path, stderr), 0);
	cr_assert_str_eq(source.text, "SET");
	source_free(&source);
	close(fd);
}

Test(pipeline, a_file_that_is_too_large_is_refused)
{
	char path[64], *large = xcalloc(1, SOURCE_BYTES_MAX + 1), *printed = NULL;
	struct source source;
	size_t len;
	FILE *out = open_memstream(&printed, &len);
	int fd;

	memset(large, ' ', SOURCE_BYTES_MAX + 1);
	fd = make_file(path, sizeof(path), large, SOURCE_BYTES_MAX + 1);
	cr_assert_eq(source_read(&source, path, out), EXIT_CONFIG);
	close(fd);
	fd = make_file(path, sizeof(path), large, SOURCE_BYTES_MAX);
	cr_assert_eq(source_read(&source, path, out), 0);
	source_free(&source);
	close(fd);
	fclose(out);
	free(printed);
	free(large);
}

/* A statement with `count` levels of each kind that PostgreSQL's grammar does not bound itself. */
Test(pipeline, a_deep_tree_is_refused_at_its_place)
{
	static const char *const deep[][3] = {
	    {"SELECT 1", "+1", ""},
	    {"SELECT ", "NOT ", "true"},
	    {"SELECT 1", "::a", ""},
	    {"SELECT a", " ISNULL", ""},
	    {"SELECT a", "[1]", ""},
	    {"SELECT 1 FROM t", " NATURAL JOIN t", ""},
	    {"SELECT 1", " UNION SELECT 1, 2", ""},
	    {"SELECT 1 FROM t", " JOIN t ON a AND b", ""},
	    {"SELECT ", "CASE WHEN a AND ", ""},
	    {"SELECT ", "(SELECT ", ""},
	    {"SELECT ", "f(1, ", ""},
	    {"SELECT ", "(a AND ", ""},
	};

	for (size_t i = 0; i < sizeof(deep) / sizeof(deep[0]); i++) {
		char *text = NULL, *errors;
		size_t len;
		FILE *out = open_memstream(&text, &len);
		fputs(deep[i][0], out);
		for (unsigned level = 0; level < 5000; level++)
			fputs(deep[i][1], out);
		fprintf(out, "%s;\n", deep[i][2]);
		fclose(out);
		cr_assert_null(parse_text(text, &errors));
		cr_assert_not_null(strstr(errors, "nested too deeply"), "%s", deep[i][1]);
		cr_assert_eq(strncmp(errors, "test.sql:1:", 11), 0);
		free(errors);
		free(text);
	}
}
