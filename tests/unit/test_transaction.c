#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ingest/debezium.h"
#include "tests/unit/capture.h"
#include "tests/unit/truth.h"

static struct table tables[] = {
    {.source = (char[]){"public.other"}, .server = 0},
    {.source = (char[]){"public.mixed_default"}, .server = 0},
    {.source = (char[]){"public.mixed_default"}, .server = 1},
};
static const struct pipeline pipeline = {.tables = tables, .table_count = 3};

static int
read_text(const char *text, struct transaction_event *t, char *error, size_t size)
{
	return transaction_read(&pipeline, 0, text, strlen(text), t, error, size);
}

static struct transaction_event
read_good(const char *text)
{
	struct transaction_event t;
	char error[256];

	cr_assert_eq(read_text(text, &t, error, sizeof(error)), 0, "%s: %s", text, error);
	return t;
}

static void
check_refused(const char *text, const char *part)
{
	struct transaction_event t;
	char error[256] = "";

	cr_assert_eq(read_text(text, &t, error, sizeof(error)), -1, "%s was accepted", text);
	cr_assert_not_null(strstr(error, part), "%s gives: %s", text, error);
}

Test(transaction, begin_and_end)
{
	struct transaction_event t =
	    read_good("{\"status\":\"BEGIN\",\"id\":\"797:26999824\",\"event_count\":null,"
		      "\"data_collections\":null,\"ts_ms\":5}");

	cr_assert(t.status == TRANSACTION_BEGIN && t.xid == 797 && t.has_lsn);
	cr_assert(t.lsn == 26999824 && t.source_ms == 5 && !t.has_counts);
	t = read_good(
	    "{\"status\":\"END\",\"id\":\"797:18446744073709551615\",\"event_count\":9,"
	    "\"data_collections\":[{\"data_collection\":\"public.mixed_default\","
	    "\"event_count\":4},{\"data_collection\":\"public.unknown\",\"event_count\":5}]}");
	cr_assert(t.status == TRANSACTION_END && t.lsn == UINT64_MAX && t.has_counts);
	cr_assert(t.count[0] == 0 && t.count[1] == 4 && t.count[2] == 0);
}

Test(transaction, the_id_of_version_1_4_has_no_position)
{
	struct transaction_event t =
	    read_good("{\"schema\":{\"a\":[1]},\"payload\":{\"status\":\"END\",\"id\":\"835\","
		      "\"event_count\":0,\"data_collections\":[]}}");

	cr_assert(t.status == TRANSACTION_END && t.xid == 835 && !t.has_lsn && t.has_counts);
}

Test(transaction, nothing_to_do)
{
	struct transaction_event t;
	char error[64];

	cr_assert_eq(transaction_read(&pipeline, 0, NULL, 0, &t, error, sizeof(error)), 0);
	cr_assert_eq(t.status, TRANSACTION_NOTHING);
	cr_assert_eq(read_good("{\"schema\":null,\"payload\":null}").status, TRANSACTION_NOTHING);
	cr_assert_eq(read_good("{\"status\":\"NEW\",\"id\":\"1:2\"}").status, TRANSACTION_NOTHING);
}

Test(transaction, counts_that_are_not_given)
{
	cr_assert_not(read_good("{\"status\":\"END\",\"id\":\"1:2\",\"event_count\":3,"
				"\"data_collections\":null}")
			  .has_counts);
	cr_assert(read_good("{\"status\":\"END\",\"id\":\"1:2\",\"event_count\":0,"
			    "\"data_collections\":null}")
		      .has_counts);
}

Test(transaction, wrong_messages_are_refused)
{
	check_refused("{\"status\":\"END\",\"id\":\"x:2\"}", "id of a transaction");
	check_refused("{\"status\":\"END\",\"id\":\"1:\"}", "id of a transaction");
	check_refused("{\"status\":\"END\",\"id\":\"\"}", "id of a transaction");
	check_refused("{\"status\":\"END\"}", "has no id");
	check_refused("{\"id\":\"1:2\"}", "has no status");
	check_refused("{\"status\":\"NEW\"}", "has no id");
	check_refused("{\"schema\":{},\"payload\":null}", "null payload");
	check_refused("{\"stat\\u0075s\":\"END\",\"id\":\"1:2\"}", "name of a member");
	check_refused("{\"status\":\"END\",\"id\":\"1:2\"", "malformed JSON");
	check_refused("{\"status\":\"END\",\"id\":\"1:2\",\"data_collections\":[7]}", "object");
	check_refused("{\"status\":\"END\",\"id\":\"1:2\",\"event_count\":\"3\"}", "number");
	check_refused("BEGIN", "no JSON object");
}

/* How many events of each xid a capture of changes has. */
static unsigned *
count_events(const char *path, unsigned most)
{
	struct table *t = truth_declare("id:integer:key value:integer");
	unsigned *counts = xcalloc(most, sizeof(*counts));
	struct decoder *d = decoder_new(t);
	struct capture *c = capture_open(path);
	struct message m;
	struct event ev;
	char error[256];

	while (capture_next(c, &m)) {
		int result = decoder_read(d, m.key, m.key_len, m.value, m.value_len, &ev, error,
					  sizeof(error));
		cr_assert_eq(result, 0, "%s", error);
		if (ev.place.kind != EVENT_CHANGE || ev.op == 'r')
			continue;
		cr_assert_lt(ev.place.xid, most);
		counts[ev.place.xid]++;
	}
	capture_close(c);
	decoder_free(d);
	truth_free_table(t);
	return counts;
}

Test(transaction, counts_agree_with_the_events)
{
	enum { MOST = 10000 };
	unsigned *events = count_events("tests/data/values-mixed/mixed_default.jsonl.zst", MOST);
	struct capture *c = capture_open("tests/data/values-mixed/transaction.jsonl.zst");
	struct transaction_event t;
	struct message m;
	uint64_t total = 0, last = 0;
	char error[256];

	while (capture_next(c, &m)) {
		cr_assert_eq(
		    transaction_read(&pipeline, 0, m.value, m.value_len, &t, error, sizeof(error)),
		    0, "%s", error);
		if (t.status != TRANSACTION_END)
			continue;
		cr_assert(t.has_counts && t.has_lsn && t.xid < MOST);
		cr_assert_gt(t.lsn, last);
		last = t.lsn;
		cr_assert_eq(t.count[1], events[t.xid], "xid %lu", (unsigned long)t.xid);
		total += t.count[1];
	}
	cr_assert_gt(total, 10000);
	capture_close(c);
	free(events);
}
