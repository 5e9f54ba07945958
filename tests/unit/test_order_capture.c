#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/ring.h"
#include "tests/unit/capture.h"
#include "tests/unit/order_record.h"
#include "tests/unit/order_sim.h"
#include "tests/unit/truth.h"

/*
 * Recorded topics, their partitions made anew and their messages delivered at random: at each END
 * exactly the first k transactions of the source must have been applied, each event once, and the
 * rows must be those that the source had then.
 */

#define KEYS       (1 << 17)
#define PARTITIONS 4

struct item {
	struct event_place place;
	int64_t key, number, cents;
	bool row, number_null, truncate, again, applied;
	unsigned partition, txn;
};

struct tape {
	struct item *items;
	size_t count;
	struct transaction_event *tx;
	size_t tx_count;
	unsigned txns, *events; /* of each transaction */
	unsigned keys;          /* greatest key + 1 */
};

struct row {
	bool alive, number_null;
	int64_t number, cents;
};

struct watch { /* what has been applied */
	struct tape *tape;
	struct row *rows;
	unsigned *left, open, whole, newest;
	uint64_t ends, ends_with_rows, stop_at;
	bool cut;
	const struct watch *before; /* compared at CUT */
	char **truth; /* by transaction topic offset: "count,count_value,sum,min,max" or NULL */
	uint64_t compared;
	uint8_t position[65536]; /* of the END at stop_at */
	size_t position_len;
};

/* --- reading the captures --- */

static int64_t
cents_of(const struct value *v)
{
	int64_t cents = 0;
	for (uint32_t i = 0; i < v->len; i++)
		if (v->s[i] != '.')
			cents = cents * 10 + (v->s[i] - '0');
	return cents;
}

static void
tape_add(struct tape *t, const struct table *table, const struct message *m, const struct event *e)
{
	t->items = t->count % 1024 == 0
		       ? xreallocarray(t->items, t->count + 1024, sizeof(*t->items))
		       : t->items;
	struct item *item = &t->items[t->count++];
	*item = (struct item){.partition = (unsigned)m->partition};
	item->place = e->place;
	item->truncate = e->op == 't';
	if (item->truncate)
		return;
	item->key = e->key[0].i;
	cr_assert(item->key >= 0 && item->key < KEYS);
	if (item->key >= t->keys)
		t->keys = (unsigned)item->key + 1;
	item->row = e->place.kind == EVENT_CHANGE && e->op != 'd';
	if (!item->row)
		return;
	item->number_null = e->after[1].kind == VALUE_NULL;
	item->number = item->number_null ? 0 : e->after[1].i;
	item->cents = table->column_count > 2 ? cents_of(&e->after[2]) : 0;
}

static void
tape_read(struct tape *t, const struct table *table, const char *path)
{
	struct capture *c = capture_open(path);
	struct decoder *d = decoder_new(table);
	struct message m;
	struct event e;
	char error[512];
	while (capture_next(c, &m)) {
		int result = decoder_read(d, m.key, m.key_len, m.value, m.value_len, &e, error,
					  sizeof(error));
		cr_assert_eq(result, 0, "%s: %s", path, error);
		tape_add(t, table, &m, &e);
	}
	decoder_free(d);
	capture_close(c);
}

static void
tape_read_transactions(struct tape *t, const char *source, const char *path)
{
	struct table table = {.source = xstrdup(source)};
	struct pipeline pipeline = {.tables = &table, .table_count = 1};
	struct capture *c = capture_open(path);
	struct message m;
	char error[512];
	while (capture_next(c, &m)) {
		t->tx = xreallocarray(t->tx, t->tx_count + 1, sizeof(*t->tx));
		cr_assert_eq(transaction_read(&pipeline, 0, m.value, m.value_len,
					      &t->tx[t->tx_count++], error, sizeof(error)),
			     0, "%s", error);
	}
	capture_close(c);
	free(table.source);
}

static struct tape *sorting;

static bool
item_streamed(const struct item *item)
{
	return item->place.kind == EVENT_CHANGE && item->place.snapshot == SNAPSHOT_FALSE;
}

static int
item_compare(const void *a, const void *b)
{
	const unsigned *i = a, *j = b;
	const struct event_place *p = &sorting->items[*i].place, *q = &sorting->items[*j].place;
	if (p->has_sequence != q->has_sequence)
		return p->has_sequence - q->has_sequence;
	if (p->sequence != q->sequence)
		return p->sequence < q->sequence ? -1 : 1;
	if (p->lsn != q->lsn)
		return p->lsn < q->lsn ? -1 : 1;
	return (*i > *j) - (*i < *j);
}

/* Number the source's transactions, and find the events that were sent again. */
static void
tape_number(struct tape *t, bool repeats)
{
	unsigned *sorted = xcalloc(t->count, sizeof(*sorted)), n = 0;
	t->events = xcalloc(t->count, sizeof(*t->events));
	for (unsigned i = 0; i < t->count; i++)
		if (item_streamed(&t->items[i]))
			sorted[n++] = i;
	sorting = t;
	qsort(sorted, n, sizeof(*sorted), item_compare);
	for (unsigned i = 0; i < n; i++) {
		struct item *item = &t->items[sorted[i]];
		const struct event_place *p = &item->place;
		const struct event_place *q = i > 0 ? &t->items[sorted[i - 1]].place : NULL;
		if (q == NULL || q->has_sequence != p->has_sequence || q->sequence != p->sequence)
			t->txns++;
		else
			item->again = repeats && q->lsn == p->lsn;
		item->txn = t->txns - 1;
		t->events[item->txn] += !item->again;
	}
	free(sorted);
}

static void
tape_free(struct tape *t)
{
	free(t->items);
	free(t->tx);
	free(t->events);
}

/* --- watching what order does --- */

static void
watch_init(struct watch *w, struct tape *t)
{
	memset(w, 0, sizeof(*w));
	w->tape = t;
	w->rows = xcalloc(KEYS, sizeof(*w->rows));
	w->left = xcalloc(t->txns + 1, sizeof(*w->left));
	memcpy(w->left, t->events, t->txns * sizeof(*w->left));
	for (size_t i = 0; i < t->count; i++)
		t->items[i].applied = false;
}

static void
watch_fini(struct watch *w)
{
	free(w->rows);
	free(w->left);
}

static void
watch_apply(struct watch *w, const struct order_action *a, struct item *item)
{
	cr_assert_not(item->applied, "an event was applied twice");
	cr_assert_not(item->again, "a repeat was applied");
	cr_assert_eq(a->snapshot, item->place.snapshot != SNAPSHOT_FALSE);
	item->applied = true;
	if (item->truncate)
		memset(w->rows, 0, KEYS * sizeof(*w->rows));
	else
		w->rows[item->key] =
		    (struct row){item->row, item->number_null, item->number, item->cents};
	if (!item_streamed(item))
		return;
	w->open += w->left[item->txn] == w->tape->events[item->txn];
	if (--w->left[item->txn] == 0) {
		w->open--;
		w->whole++;
	}
	if (item->txn + 1 > w->newest)
		w->newest = item->txn + 1;
}

static void
watch_compare(struct watch *w, const char *truth)
{
	int64_t count = 0, numbers = 0, sum = 0, cents = 0, least = INT64_MAX, most = INT64_MIN;
	char line[160];
	for (unsigned i = 0; i < w->tape->keys; i++) {
		const struct row *r = &w->rows[i];
		count += r->alive;
		cents += r->alive ? r->cents : 0;
		if (!r->alive || r->number_null)
			continue;
		numbers++;
		sum += r->number;
		least = r->number < least ? r->number : least;
		most = r->number > most ? r->number : most;
	}
	if (cents > 0) {
		snprintf(line, sizeof(line), "%" PRId64 ",%" PRId64 ",%" PRId64 ".%02d,", count,
			 sum, cents / 100, (int)(cents % 100));
		cr_assert_eq(strncmp(truth, line, strlen(line)), 0, "%s is not %s", line, truth);
	} else if (numbers > 0) {
		snprintf(line, sizeof(line),
			 "%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64, count, numbers,
			 sum, least, most);
		cr_assert_str_eq(line, truth);
	} else {
		snprintf(line, sizeof(line), "%" PRId64 ",0,,,", count);
		cr_assert_str_eq(line, truth);
	}
	w->compared++;
}

static void
watch_end(struct watch *w, struct sim *s)
{
	struct pack pack;
	w->ends++;
	cr_assert_eq(w->open, 0, "END number %" PRIu64 " tears a transaction", w->ends);
	cr_assert_eq(w->whole, w->newest, "END number %" PRIu64 ": an earlier one is missing",
		     w->ends);
	pack_init(&pack, w->position, sizeof(w->position));
	order_pack_position(s->order, true, &pack);
	w->position_len = pack_len(&pack);
	s->stop = w->stop_at != 0 && w->ends == w->stop_at;
	int64_t next = order_transaction(s->order)->next;
	if (w->truth == NULL)
		return;
	/* The END about to be consumed is the next one in the topic. */
	while ((size_t)next < w->tape->tx_count && w->tape->tx[next].status != TRANSACTION_END)
		next++;
	if ((size_t)next < w->tape->tx_count && w->truth[next] != NULL && w->newest > 0 &&
	    !order_wants_transaction(s->order))
		watch_compare(w, w->truth[next]);
}

static void
watch_act(struct sim *s, const struct order_action *a, const struct sim_event *head)
{
	struct watch *w = s->context;
	if (a->step == ORDER_APPLY)
		watch_apply(w, a, &w->tape->items[head->id]);
	else if (a->step == ORDER_DROP && a->repeat)
		cr_assert(w->tape->items[head->id].again, "dropped, but new");
	else if (a->step == ORDER_SNAPSHOT_BEGIN)
		memset(w->rows, 0, KEYS * sizeof(*w->rows));
	else if (a->step == ORDER_END)
		watch_end(w, s);
	else if (a->step == ORDER_CUT) {
		w->cut = true;
		cr_assert(w->before == NULL ||
			  memcmp(w->before->rows, w->rows, KEYS * sizeof(*w->rows)) == 0);
	}
}

static unsigned
item_partition(const struct item *item, unsigned partitions)
{
	if (partitions == 0)
		return item->partition;
	return (unsigned)((uint64_t)item->key * 0x9e3779b97f4a7c15u >> 40) % partitions;
}

/* partitions 0: as recorded. */
static void
feed(struct sim *s, const struct tape *t, enum order_mode mode, unsigned partitions)
{
	sim_init(s, mode, partitions ? partitions : PARTITIONS);
	for (size_t i = 0; i < t->count; i++)
		sim_add(s, item_partition(&t->items[i], partitions), &t->items[i].place, i);
	for (size_t i = 0; i < t->tx_count && mode == ORDER_METADATA; i++)
		sim_add_transaction(s, &t->tx[i]);
	s->act = watch_act;
}

static void
check_finished(const struct watch *w, const struct sim *s, const struct order_action *a)
{
	cr_assert_eq(a->step, ORDER_WAIT, "%s", a->reason);
	cr_assert(order_whole(s->order));
	cr_assert_eq(w->newest, w->tape->txns);
	for (size_t i = 0; i < w->tape->count; i++) {
		const struct item *item = &w->tape->items[i];
		cr_assert(item->applied || item->again || item->place.kind != EVENT_CHANGE,
			  "event %zu was lost", i);
	}
	cr_assert_eq(s->counters.late, 0);
	cr_assert_eq(s->counters.gaps, 0);
}

static void
check_rows(const struct watch *w, const char *path)
{
	char line[256];
	size_t alive = 0, lines = 0;
	FILE *f = fopen(path, "r");
	cr_assert_not_null(f);
	cr_assert_not_null(fgets(line, sizeof(line), f));
	for (; fgets(line, sizeof(line), f) != NULL; lines++) {
		char *end;
		int64_t key = strtoll(line, &end, 10);
		const struct row *r = &w->rows[key];
		cr_assert(r->alive, "row %" PRId64 " is missing", key);
		cr_assert_eq(r->number_null, strcmp(end, ",\\N\n") == 0, "row %" PRId64, key);
		cr_assert(r->number_null || r->number == strtoll(end + 1, NULL, 10), "row %" PRId64,
			  key);
	}
	fclose(f);
	for (unsigned i = 0; i < KEYS; i++)
		alive += w->rows[i].alive;
	cr_assert_eq(alive, lines);
}

static void
run_whole(struct tape *t, enum order_mode mode, unsigned partitions, uint64_t seed, bool reload,
	  char **truth, const char *rows)
{
	struct sim s;
	static struct watch w;
	watch_init(&w, t);
	w.truth = truth;
	feed(&s, t, mode, partitions);
	s.context = &w;
	s.random = seed;
	s.reload = reload;
	s.eager = mode == ORDER_SEQUENCE;
	struct order_action a = sim_run(&s, 10000);
	check_finished(&w, &s, &a);
	if (rows != NULL)
		check_rows(&w, rows);
	cr_assert(truth == NULL || w.compared >= 100, "%" PRIu64 " compared", w.compared);
	sim_fini(&s);
	watch_fini(&w);
}

/* Run to an END, store the position as the target would, start anew from it, run to the end. */
static void
run_replay(struct tape *t, struct table *table, unsigned partitions, uint64_t stop_at)
{
	static char text[1 << 16], name[] = "kafka";
	struct server server = {.name = name};
	struct pipeline pipeline = {
	    .servers = &server, .server_count = 1, .tables = table, .table_count = 1};
	struct partition_position *durable;
	struct transaction_position tx;
	unsigned count;
	const char *error;
	static struct watch first, second;
	struct sim s;
	watch_init(&first, t);
	feed(&s, t, ORDER_METADATA, partitions);
	first.stop_at = stop_at;
	s.context = &first;
	s.random = stop_at;
	sim_run(&s, 10000);
	sim_fini(&s);
	struct position *p = position_new(&pipeline);
	cr_assert(position_apply(p, 0, first.position, first.position_len));
	size_t len = position_print(p, text, sizeof(text));
	position_free(p);
	cr_assert_lt(len, sizeof(text));
	cr_assert_eq(position_parse(text, len, &pipeline, 0, &durable, &count, &tx, &error), 0);
	cr_assert_eq(count, partitions);
	watch_init(&second, t);
	feed(&s, t, ORDER_METADATA, partitions);
	s.context = &second;
	second.before = &first;
	s.random = stop_at + 1;
	s.durable = durable;
	s.durable_tx = &tx;
	s.reload = stop_at % 2;
	struct order_action a = sim_run(&s, 10000);
	cr_assert(second.cut);
	check_finished(&second, &s, &a);
	sim_fini(&s);
	watch_fini(&first);
	watch_fini(&second);
	free(durable);
}

/* Some of its ENDs, each a place to begin from: see order_record.h. */
static void
run_ends(const struct tape *t, enum order_mode mode, unsigned partitions, bool eager, unsigned runs)
{
	struct record whole;
	struct sim s;
	feed(&s, t, mode, partitions);
	s.eager = eager;
	s.random = partitions;
	record_run(&whole, &s);
	for (unsigned i = 0; i < runs; i++) {
		unsigned from = (unsigned)sim_random(&s, whole.count);
		unsigned durable = from + (unsigned)sim_random(&s, whole.count - from);
		s.reload = i % 7 == 6;
		record_compare(&whole, &s, from, i % 2 ? durable : from, "a capture", i);
	}
	record_free(&whole);
	sim_fini(&s);
}

#define ID_VALUE "id:integer:key value:integer"

static void
tape_kill(struct tape *t, struct table *table)
{
	memset(t, 0, sizeof(*t));
	tape_read(t, table, "tests/data/restart/kill.jsonl.zst");
	tape_read_transactions(t, "public.kill", "tests/data/restart/kill.transaction.jsonl.zst");
	tape_number(t, true);
}

Test(order_capture, killed_connector)
{
	struct table *table = truth_declare(ID_VALUE);
	struct tape t;
	tape_kill(&t, table);
	for (unsigned partitions = 1; partitions <= 4; partitions++) {
		run_whole(&t, ORDER_METADATA, partitions, partitions, false, NULL,
			  "tests/data/restart/kill.final.csv");
		run_whole(&t, ORDER_METADATA, partitions, partitions + 9, true, NULL,
			  "tests/data/restart/kill.final.csv");
	}
	tape_free(&t);
	truth_free_table(table);
}

Test(order_capture, killed_connector_from_its_ends)
{
	struct table *table = truth_declare(ID_VALUE);
	struct tape t;
	tape_kill(&t, table);
	for (unsigned partitions = 1; partitions <= 4; partitions += 3) {
		run_ends(&t, ORDER_METADATA, partitions, true, 12);
		run_ends(&t, ORDER_METADATA, partitions, false, 12);
	}
	run_ends(&t, ORDER_SEQUENCE, 1, true, 12);
	run_ends(&t, ORDER_NONE, 4, true, 12);
	tape_free(&t);
	truth_free_table(table);
}

Test(order_capture, killed_connector_without_metadata)
{
	struct table *table = truth_declare(ID_VALUE);
	struct tape t;
	tape_kill(&t, table);
	for (size_t i = 0; i < t.count; i++)
		t.items[i].place.order = 0;
	run_whole(&t, ORDER_SEQUENCE, 1, 1, false, NULL, "tests/data/restart/kill.final.csv");
	run_whole(&t, ORDER_SEQUENCE, 1, 1, true, NULL, "tests/data/restart/kill.final.csv");
	tape_free(&t);
	truth_free_table(table);
}

Test(order_capture, killed_connector_replayed)
{
	struct table *table = truth_declare(ID_VALUE);
	struct tape t;
	tape_kill(&t, table);
	for (unsigned partitions = 1; partitions <= 4; partitions += 3)
		for (uint64_t stop_at = 1; stop_at < 4000; stop_at += 701)
			run_replay(&t, table, partitions, stop_at);
	tape_free(&t);
	truth_free_table(table);
}

/* "seq,xid,kind,table,..." and "tx,xid,...": what the source said after each transaction. */
static char **
truth_by_offset(const struct tape *t, const char *path, int skip, const char *table)
{
	char **truth = xcalloc(t->tx_count, sizeof(*truth));
	char line[256];
	FILE *f = fopen(path, "r");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *at = strchr(line, ',');
		uint64_t xid = strtoull(at + 1, &at, 10);
		line[strcspn(line, "\n")] = '\0';
		if (table != NULL && strstr(line, table) == NULL)
			continue;
		for (int i = 0; i < skip; i++)
			at = strchr(at + 1, ',');
		for (size_t i = 0; i < t->tx_count; i++)
			if (t->tx[i].xid == xid && t->tx[i].status == TRANSACTION_END)
				truth[i] = xstrdup(at + 1);
	}
	fclose(f);
	return truth;
}

static void
truth_free(char **truth, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(truth[i]);
	free(truth);
}

static void
tape_mixed(struct tape *t, struct table *table)
{
	memset(t, 0, sizeof(*t));
	tape_read(t, table, "tests/data/values-mixed/mixed_default.jsonl.zst");
	tape_read_transactions(t, "public.mixed_default",
			       "tests/data/values-mixed/transaction.jsonl.zst");
}

Test(order_capture, mixed_with_snapshot_and_truncate)
{
	struct table *table = truth_declare(ID_VALUE);
	struct tape t;
	tape_mixed(&t, table);
	tape_number(&t, false);
	char **truth =
	    truth_by_offset(&t, "tests/data/values-mixed/truth.csv", 2, ",mixed_default,");
	const char *rows = "tests/data/values-mixed/mixed_default.final.csv";
	run_whole(&t, ORDER_METADATA, 1, 1, false, truth, rows);
	run_whole(&t, ORDER_METADATA, 1, 2, true, truth, rows);
	run_whole(&t, ORDER_SEQUENCE, 1, 3, false, NULL, rows);
	truth_free(truth, t.tx_count);
	tape_free(&t);
	truth_free_table(table);
}

/* A TRUNCATE has no order across partitions: only what comes before the first one. */
static void
tape_end_at_truncate(struct tape *t)
{
	size_t count = 0, tx = 0;
	while (!t->items[count].truncate)
		count++;
	while (t->tx[tx].xid != t->items[count].place.xid)
		tx++;
	t->count = count;
	t->tx_count = tx;
}

Test(order_capture, mixed_over_several_partitions)
{
	struct table *table = truth_declare(ID_VALUE);
	struct tape t;
	tape_mixed(&t, table);
	tape_end_at_truncate(&t);
	tape_number(&t, false);
	char **truth =
	    truth_by_offset(&t, "tests/data/values-mixed/truth.csv", 2, ",mixed_default,");
	for (unsigned partitions = 2; partitions <= 4; partitions++) {
		run_whole(&t, ORDER_METADATA, partitions, partitions, false, truth, NULL);
		run_whole(&t, ORDER_METADATA, partitions, partitions + 7, true, truth, NULL);
		run_replay(&t, table, partitions, 100 * partitions);
	}
	truth_free(truth, t.tx_count);
	tape_free(&t);
	truth_free_table(table);
}

Test(order_capture, mixed_from_its_ends)
{
	struct table *table = truth_declare(ID_VALUE);
	struct tape t;
	tape_mixed(&t, table);
	tape_number(&t, false);
	run_ends(&t, ORDER_METADATA, 1, true, 20);
	run_ends(&t, ORDER_SEQUENCE, 1, true, 20);
	tape_free(&t);
	tape_mixed(&t, table);
	tape_end_at_truncate(&t);
	tape_number(&t, false);
	run_ends(&t, ORDER_METADATA, 3, true, 20);
	run_ends(&t, ORDER_METADATA, 3, false, 20);
	tape_free(&t);
	truth_free_table(table);
}

Test(order_capture, orders_in_four_partitions)
{
	struct table *table = truth_declare("order_id:integer:key qty:integer price:numeric(10,2)");
	struct tape t = {0};
	tape_read(&t, table, "tests/data/orders-default/orders_default.jsonl.zst");
	tape_read_transactions(&t, "public.orders_default",
			       "tests/data/orders-default/transaction.jsonl.zst");
	tape_number(&t, false);
	char **truth = truth_by_offset(&t, "tests/data/orders-default/truth.csv", 0, NULL);
	for (uint64_t seed = 1; seed < 5; seed++)
		run_whole(&t, ORDER_METADATA, 0, seed, seed % 2, truth, NULL);
	truth_free(truth, t.tx_count);
	tape_free(&t);
	truth_free_table(table);
}
