/*
 * checkpoint_test.c - checkpoints in the target: stored beside batches, flipped only whole, and
 * handed over by a take-over, whatever dies when.
 *
 * What part `p` of checkpoint `n` holds follows from the two numbers, so that what was stored and
 * what comes out of the image can be held against it.
 */
#include <inttypes.h>
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

static uint8_t part_bytes[256 * 1024];

static void
make_part(uint64_t number, uint32_t part, size_t len)
{
	uint64_t x = number * UINT64_C(0x9e3779b97f4a7c15) + part + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		part_bytes[i] = (uint8_t)x;
	}
}

static bool
put_part(struct harness *h, uint64_t number, uint32_t part, size_t len)
{
	make_part(number, part, len);
	return harness_checkpoint(h, &(struct checkpoint){.step = CHECKPOINT_PART,
							  .number = number,
							  .part = part,
							  .data = part_bytes,
							  .len = len});
}

static bool
put_flip(struct harness *h, uint64_t number, uint64_t batch, uint32_t parts)
{
	char position[64];
	int n =
	    snprintf(position, sizeof(position), "{\"kafka\": {\"batch\": %" PRIu64 "}}", batch);

	return harness_checkpoint(h, &(struct checkpoint){.step = CHECKPOINT_FLIP,
							  .number = number,
							  .part = parts,
							  .batch = batch,
							  .data = (const uint8_t *)position,
							  .len = (size_t)n});
}

static bool
put_forget(struct harness *h, uint64_t number, uint32_t part)
{
	return harness_checkpoint(
	    h, &(struct checkpoint){.step = CHECKPOINT_FORGET, .number = number, .part = part});
}

/* A checkpoint of the batch before, its parts over as many batches, flipped beside the last one. */
static bool
feed_checkpoint(struct harness *h, uint64_t number, uint32_t parts, size_t len, unsigned rows)
{
	uint64_t batch = h->next - 1;

	for (uint32_t p = 0; p < parts; p++)
		if (!feed_rows(h, rows) || !put_part(h, number, p, len) ||
		    (p + 1 == parts && !put_flip(h, number, batch, parts)) || !harness_end_batch(h))
			return false;
	return true;
}

static void
expect_row(const struct harness *h, const char *expected)
{
	const char *found = harness_sql(
	    "SELECT batch, checkpoint, checkpoint_batch, checkpoint_position->'kafka'->'batch',"
	    " (SELECT string_agg(number || '.' || part, ' ' ORDER BY number, part) FROM"
	    " tallyd.checkpoint c WHERE c.pipeline = name) FROM tallyd.pipeline WHERE name = '%s'",
	    h->pipeline->name);

	EXPECT(strcmp(found, expected) == 0, "%s and not %s; see %s", found, expected, h->log);
}

void
test_checkpoint(void)
{
	static const unsigned rows[] = {3, 2, 600, 2, 2, 0, 3};
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	open_ready(&h, &p);
	EXPECT(feed(&h, 3), "feed");
	EXPECT(feed_rows(&h, 2) && put_part(&h, 1, 0, 5000) && put_part(&h, 1, 1, 0) &&
		   harness_end_batch(&h),
	       "parts beside few rows");
	expect_durable(&h, 2);
	expect_row(&h, "2||||1.0 1.1");
	EXPECT(feed_rows(&h, 600) && put_part(&h, 1, 2, 8000) && harness_end_batch(&h),
	       "beside many");
	EXPECT(feed_rows(&h, 2) && put_flip(&h, 1, 1, 3) && harness_end_batch(&h), "flip");
	expect_durable(&h, 4);
	expect_row(&h, "4|1|1|1|1.0 1.1 1.2");
	EXPECT(strcmp(harness_sql("SELECT checkpoint, checkpoint_batch FROM tallyd.status WHERE"
				  " name = '%s'",
				  p.name),
		      "1|1") == 0,
	       "status");
	EXPECT(feed_checkpoint(&h, 2, 1, 100, 2), "in one batch");
	EXPECT(put_forget(&h, 1, 0) && put_forget(&h, 1, 2) && harness_end_batch(&h), "forget");
	EXPECT(feed(&h, 3), "feed");
	expect_durable(&h, 7);
	expect_row(&h, "7|2|4|4|1.1 2.0");
	EXPECT(board_counter(&h.board->stage[1], COUNTER_CHECKPOINTS) == 2, "counted");
	EXPECT(strcmp(harness_sql("DELETE FROM totals WHERE key > 5; SELECT count(DISTINCT key),"
				  " count(*) FROM totals"),
		      "5|609") == 0 &&
		   rows[2] == 600,
	       "the rows beside them are there");
	harness_close(&h);
}

/* An idle session is pinged after a batch that was copied, as any with a part is, like after others. */
void
test_idle(void)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	harness_open(&h, &p);
	harness_start(&h, false, "egress.ping:1:kill");
	EXPECT(harness_hear(&h, 'R', 10000), "ready; see %s", h.log);
	EXPECT(feed_checkpoint(&h, 1, 1, 100, 2), "feed");
	expect_durable(&h, 1);
	EXPECT(harness_exit(&h, 9000) == -9, "a ping before the server ends the session; see %s",
	       h.log);
	harness_close(&h);
}

/* --- the image ------------------------------------------------------------------------------ */

/* Reads it as reduce does. Says in one line what is in it; parts must hold what was put. */
static void
expect_image(struct harness *h, size_t len, const char *expected)
{
	char found[4096] = "";
	size_t n = 0;
	struct image image;
	struct image_record r;
	int got;

	if (image_open(&image, h->image) < 0) {
		EXPECT(false, "no image; see %s", h->log);
		return;
	}
	while ((got = image_next(&image, &r)) > 0) {
		if (r.kind == IMAGE_VIEW)
			n += (size_t)snprintf(found + n, sizeof(found) - n, "view %" PRIu64 " ",
					      r.number);
		else if (r.kind == IMAGE_CHECKPOINT)
			n += (size_t)snprintf(found + n, sizeof(found) - n,
					      "checkpoint %" PRIu64 " of %" PRIu64 " %.*s ",
					      r.number, r.batch, (int)r.len, (const char *)r.data);
		else if (n + 32 < sizeof(found))
			n += (size_t)snprintf(found + n, sizeof(found) - n, "%" PRIu64 ".%u ",
					      r.number, r.part);
		if (r.kind != IMAGE_PART)
			continue;
		make_part(r.number, r.part, r.len);
		EXPECT(r.len == len && memcmp(r.data, part_bytes, len) == 0,
		       "part %" PRIu64 ".%u holds something else", r.number, r.part);
	}
	EXPECT(got == 0, "the image is well formed");
	EXPECT(strcmp(found, expected) == 0, "%s and not %s; see %s", found, expected, h->log);
	image_close(&image);
}

void
test_checkpoint_image(void)
{
	struct pipeline p = pipeline_totals(2);
	struct harness h;

	open_ready(&h, &p);
	expect_image(&h, 0, "");
	EXPECT(feed(&h, 3), "feed");
	expect_durable(&h, 1);
	start_ready(&h, false);
	expect_image(&h, 0, "view 0 view 1 ");
	EXPECT(feed_checkpoint(&h, 1, 3, 7001, 2), "a checkpoint");
	EXPECT(feed_checkpoint(&h, 2, 1, 7001, 2), "and another");
	EXPECT(put_part(&h, 3, 0, 7001) && harness_end_batch(&h), "begun, and never ended");
	expect_durable(&h, 6);
	start_ready(&h, true);
	expect_row(&h, "6|2|4|4|1.0 1.1 1.2 2.0 3.0");
	EXPECT(put_part(&h, 3, 1, 7001) && harness_end_batch(&h), "goes on with it");
	expect_durable(&h, 7);
	harness_close(&h);
	open_ready(&h, &p);
	expect_row(&h, "7|2|4|4|1.0 1.1 1.2 2.0");
	expect_image(
	    &h, 7001,
	    "view 0 view 1 checkpoint 2 of 4 {\"kafka\": {\"batch\": 4}} 1.0 1.1 1.2 2.0 ");
	harness_close(&h);
}

/* --- parts that are missing, rows that were edited -------------------------------------------- */

void
test_checkpoint_missing(void)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	open_ready(&h, &p);
	EXPECT(feed(&h, 3) && feed_checkpoint(&h, 1, 2, 3000, 1), "a checkpoint");
	EXPECT(put_part(&h, 2, 0, 3000) && harness_end_batch(&h), "part of another");
	expect_durable(&h, 4);
	harness_sql("DELETE FROM tallyd.checkpoint WHERE pipeline = '%s' AND number = 2", p.name);
	EXPECT(put_part(&h, 2, 1, 3000) && put_flip(&h, 2, 3, 2) && harness_end_batch(&h), "flip");
	EXPECT(harness_exit(&h, 5000) == EXIT_RECOVER, "gives up; see %s", h.log);
	EXPECT(harness_logged(&h, "has 2 parts, but tallyd.checkpoint holds 1 of them"),
	       "says why; see %s", h.log);
	expect_row(&h, "4|1|1|1|1.0 1.1");
	/* The same batch from another writer is fenced, and says that. */
	harness_close(&h);
	open_ready(&h, &p);
	h.next = 5;
	harness_sql("UPDATE tallyd.pipeline SET epoch = epoch + 1 WHERE name = '%s'", p.name);
	EXPECT(put_part(&h, 2, 0, 3000) && put_flip(&h, 2, 4, 1) && harness_end_batch(&h), "flip");
	EXPECT(harness_exit(&h, 5000) == EXIT_RECOVER, "gives up; see %s", h.log);
	EXPECT(harness_logged(&h, "has been taken over"), "fenced; see %s", h.log);
	expect_row(&h, "4|1|1|1|1.0 1.1");
	harness_close(&h);
}

/* Each would leave the position and the state apart: refused, with the statement that helps. */
void
test_checkpoint_edited(void)
{
	static const char *const edits[] = {"checkpoint = NULL", "checkpoint_position = NULL",
					    "checkpoint_batch = NULL", "checkpoint_batch = 1000"};
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	open_ready(&h, &p);
	EXPECT(feed(&h, 3) && feed_checkpoint(&h, 1, 2, 3000, 1), "a checkpoint");
	expect_durable(&h, 3);
	harness_kill(&h);
	for (unsigned i = 0; i < LENGTH(edits); i++) {
		harness_sql("UPDATE tallyd.pipeline SET %s WHERE name = '%s'", edits[i], p.name);
		harness_start(&h, false, NULL);
		EXPECT(harness_exit(&h, 5000) == EXIT_CONFIG, "%s: refused; see %s", edits[i],
		       h.log);
		EXPECT(harness_logged(&h, "checkpoint_position = NULL WHERE name = "),
		       "with what to do; see %s", h.log);
		harness_sql("UPDATE tallyd.pipeline SET checkpoint = 1, checkpoint_batch = 1,"
			    " checkpoint_position = position WHERE name = '%s'",
			    p.name);
	}
	harness_sql("UPDATE tallyd.pipeline SET checkpoint = NULL, checkpoint_batch = NULL,"
		    " checkpoint_position = NULL WHERE name = '%s'",
		    p.name);
	start_ready(&h, false);
	expect_image(&h, 0, "view 0 ");
	expect_row(&h, "3||||");
	harness_close(&h);
}

/* --- faults ----------------------------------------------------------------------------------- */

/*
 * Two checkpoints, the second with parts of the first forgotten, a death at one point; then
 * everything is there once, or a full recovery was asked for, and the image is what it should be.
 * The ring is small: with `len` so large that a batch of parts does not fit it, room is given back
 * before the COMMIT.
 */
static void
run_checkpoint_fault(const char *fault, unsigned parts, size_t len)
{
	struct pipeline p = pipeline_totals(1);
	struct harness h;
	bool fed = true;

	harness_open(&h, &p);
	harness_start(&h, false, fault);
	EXPECT(harness_hear(&h, 'R', 10000), "%s: ready; see %s", fault, h.log);
	h.restart = true;
	fed = feed(&h, 2);
	for (uint64_t n = 1; n <= 2 && fed; n++) {
		fed = feed_rows(&h, 3);
		for (unsigned i = 0; i < parts && fed; i++)
			fed = put_part(&h, n, i, len);
		fed = fed && (n == 1 || put_forget(&h, 1, 0)) && harness_end_batch(&h) &&
		      put_flip(&h, n, n * 2 - 1, parts) && harness_end_batch(&h) &&
		      harness_durable(&h, n * 2 + 1, 10000);
	}
	if (fed) {
		const char *found = harness_sql(
		    "SELECT p.batch, checkpoint, checkpoint_batch, (SELECT count(*) FROM"
		    " tallyd.checkpoint c WHERE c.pipeline = name),"
		    " (SELECT count(*) FROM totals), (SELECT count(DISTINCT \"time\") FROM totals)"
		    " FROM tallyd.pipeline p WHERE name = '%s'",
		    p.name);
		char expected[64];

		snprintf(expected, sizeof(expected), "5|2|3|%u|8|3", 2 * parts - 1);
		EXPECT(strcmp(found, expected) == 0, "%s: %s and not %s; see %s", fault, found,
		       expected, h.log);
	} else {
		EXPECT(h.code == EXIT_RECOVER && atomic_load(&h.board->released) != 0,
		       "%s: exit %d; see %s", fault, h.code, h.log);
	}
	harness_close(&h);
}

void
test_checkpoint_faults(void)
{
	static const char *const points[] = {
	    "part:1",          "part:5",         "before_flip:1", "before_flip:2",
	    "after_flip:1",    "after_flip:2",   "forget:1",      "before_commit:2",
	    "before_commit:4", "commit_sent:2",  "commit_sent:3", "after_commit:3",
	    "after_publish:2", "after_publish:4"};
	static const char *const at_start[] = {"image:1", "copy_out:1", "copy_out:3",
					       "after_takeover:1", "in_takeover:1"};
	static const char *const actions[] = {"error", "kill"};
	char fault[64];

	for (unsigned i = 0; i < LENGTH(points); i++) {
		for (unsigned a = 0; a < LENGTH(actions); a++) {
			snprintf(fault, sizeof(fault), "egress.%s:%s", points[i], actions[a]);
			if (i % 2 == 0)
				run_checkpoint_fault(fault, 4, 5000);
			else
				run_checkpoint_fault(fault, 12, 8000);
		}
	}
	run_checkpoint_fault("egress.before_release:1:kill", 12, 8000);
	struct pipeline p = pipeline_totals(1);
	struct harness h;
	open_ready(&h, &p);
	EXPECT(feed(&h, 3) && feed_checkpoint(&h, 1, 3, 8000, 1), "a checkpoint");
	expect_durable(&h, 4);
	harness_close(&h);
	for (unsigned i = 0; i < LENGTH(at_start); i++) {
		for (unsigned a = 0; a < LENGTH(actions); a++) {
			snprintf(fault, sizeof(fault), "egress.%s:%s", at_start[i], actions[a]);
			harness_open(&h, &p);
			harness_start(&h, false, fault);
			if (!harness_hear(&h, 'R', 10000)) {
				EXPECT(harness_exit(&h, 5000) != -1000, "%s: dead", fault);
				harness_start(&h, false, NULL);
			}
			EXPECT(harness_hear(&h, 'R', 10000), "%s: ready; see %s", fault, h.log);
			expect_image(&h, 8000,
				     "view 0 checkpoint 1 of 1 {\"kafka\": {\"batch\": 1}} "
				     "1.0 1.1 1.2 ");
			harness_close(&h);
		}
	}
}

/* --- size ------------------------------------------------------------------------------------- */

/* The most memory that a process has had, KiB. */
static long
peak_memory(pid_t pid)
{
	char path[64], line[256];
	long peak = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			peak = strtol(line + 6, NULL, 10);
	if (f != NULL)
		fclose(f);
	return peak;
}

/* A checkpoint of 50 MB goes in and comes out through a process that never holds much of it. */
void
test_checkpoint_memory(void)
{
	enum { PARTS = 200, LEN = 256 * 1024 };
	struct pipeline p = pipeline_totals(1);
	struct harness h;
	int64_t since;
	long peak, small;

	p.ring_bytes = 4 * 1024 * 1024;
	open_ready(&h, &p);
	small = peak_memory(h.pid);
	since = clock_monotonic_ms();
	for (uint32_t i = 0; i < PARTS; i++)
		EXPECT(feed_rows(&h, 1) && put_part(&h, 1, i, LEN) &&
			   (i % 4 != 3 || harness_end_batch(&h)),
		       "part %u", i);
	EXPECT(put_flip(&h, 1, 0, PARTS) && harness_end_batch(&h), "flip");
	EXPECT(harness_durable(&h, PARTS / 4 + 1, 60000), "durable; see %s", h.log);
	peak = peak_memory(h.pid);
	printf("checkpoint of 50 MiB: stored in %" PRId64 " ms, peak %ld KiB after %ld KiB",
	       clock_monotonic_ms() - since, peak, small);
	EXPECT(peak < small + 12 * 1024, "flat: %ld KiB after %ld KiB", peak, small);
	harness_close(&h);
	harness_open(&h, &p);
	since = clock_monotonic_ms();
	harness_start(&h, false, NULL);
	EXPECT(harness_hear(&h, 'R', 30000), "ready; see %s", h.log);
	peak = peak_memory(h.pid);
	printf("; handed over in %" PRId64 " ms, peak %ld KiB\n", clock_monotonic_ms() - since,
	       peak);
	EXPECT(peak < small + 12 * 1024, "flat: %ld KiB after %ld KiB", peak, small);
	struct image image;
	struct image_record r;
	unsigned parts = 0;
	EXPECT(image_open(&image, h.image) == 0, "image");
	while (image_next(&image, &r) > 0) {
		if (r.kind != IMAGE_PART)
			continue;
		make_part(1, parts, LEN);
		EXPECT(r.part == parts && r.len == LEN && memcmp(r.data, part_bytes, LEN) == 0,
		       "part %u", parts);
		parts++;
	}
	EXPECT(parts == PARTS, "%u parts", parts);
	image_close(&image);
	harness_close(&h);
}

/* --- a database of the first version ---------------------------------------------------------- */

#define FIRST_VERSION                                                                              \
	"DROP SCHEMA IF EXISTS tallyd CASCADE; CREATE SCHEMA tallyd;"                              \
	" CREATE TABLE tallyd.pipeline (name text PRIMARY KEY, epoch bigint NOT NULL DEFAULT 0,"   \
	" owner text NOT NULL DEFAULT '', instance text NOT NULL DEFAULT '', backend integer,"     \
	" backend_start timestamptz, batch bigint NOT NULL DEFAULT 0,"                             \
	" \"time\" bigint NOT NULL DEFAULT 0, position jsonb, checkpoint bigint,"                  \
	" created timestamptz NOT NULL DEFAULT now(), started timestamptz, updated timestamptz)"   \
	" WITH (fillfactor = 10);"                                                                 \
	" CREATE TABLE tallyd.view (pipeline text NOT NULL REFERENCES tallyd.pipeline ON DELETE"   \
	" CASCADE, view text NOT NULL, plan text NOT NULL, target text NOT NULL,"                  \
	" created timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, view));"              \
	" CREATE TABLE tallyd.checkpoint (pipeline text NOT NULL REFERENCES tallyd.pipeline ON"    \
	" DELETE CASCADE, number bigint NOT NULL, part integer NOT NULL, data bytea NOT NULL,"     \
	" PRIMARY KEY (pipeline, number, part));"                                                  \
	" CREATE OR REPLACE VIEW tallyd.status AS SELECT p.name, p.batch, p.\"time\", p.updated,"  \
	" a.pid IS NOT NULL AS running, p.instance, p.epoch, p.owner, p.started,"                  \
	" (SELECT count(*) FROM tallyd.view v WHERE v.pipeline = p.name) AS views,"                \
	" p.checkpoint, p.position FROM tallyd.pipeline p LEFT JOIN pg_catalog.pg_stat_activity a" \
	" ON a.pid = p.backend AND a.backend_start IS NOT DISTINCT FROM p.backend_start;"

static void
make_first_version(const struct pipeline *p)
{
	harness_sql(FIRST_VERSION
		    " INSERT INTO tallyd.pipeline (name, batch, \"time\", position) VALUES"
		    " ('%s', 1, 5, '{\"kafka\": {\"batch\": 1}}');"
		    " INSERT INTO tallyd.view VALUES ('%s', 'totals', 'SELECT 1', 'public.totals');"
		    " INSERT INTO totals VALUES (1, 1, 5, 1), (1, 2, 5, 1)",
		    p->name, p->name);
}

void
test_upgrade(void)
{
	static const unsigned rows[] = {2, 3, 2, 2};
	struct pipeline p = pipeline_totals(1);
	struct harness h;

	make_first_version(&p);
	harness_open(&h, &p);
	EXPECT(harness_check(&h, NULL) == EXIT_OK &&
		   harness_logged(&h, "schema tallyd will be upgraded at the next start"),
	       "check says so; see %s", h.log);
	start_ready(&h, false);
	EXPECT(harness_logged(&h, "upgraded schema tallyd"), "says so; see %s", h.log);
	h.next = 2;
	EXPECT(feed(&h, 3) && feed_checkpoint(&h, 1, 2, 3000, 2), "a checkpoint");
	expect_durable(&h, 4);
	expect_row(&h, "4|1|2|2|1.0 1.1");
	expect_batches("upgrade", rows, LENGTH(rows));
	harness_close(&h);

	/* Whose tables are another's: 77, and the script that its owner runs. */
	harness_sql("TRUNCATE totals; DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN;"
		    " GRANT CONNECT ON DATABASE postgres TO poor; GRANT INSERT, SELECT ON totals"
		    " TO poor");
	make_first_version(&p);
	harness_sql("GRANT USAGE ON SCHEMA tallyd TO poor; GRANT SELECT, INSERT, UPDATE, DELETE ON"
		    " ALL TABLES IN SCHEMA tallyd TO poor");
	p.target[2].value = TEXT("poor");
	expect_refusal(&p, EXIT_DENIED, "may not upgrade schema tallyd");
	harness_open(&h, &p);
	run_script(&h);
	EXPECT(harness_check(&h, NULL) == EXIT_OK, "allowed then; see %s", h.log);
	start_ready(&h, false);
	harness_close(&h);
	p.target[2].value = TEXT("tester");
	harness_sql("DROP SCHEMA tallyd CASCADE; DROP OWNED BY poor; DROP ROLE poor");
}
