/*
 * Changes that wait until their group is shown (reduce/pending.h), and rows that wait until their group is found: so
 * many groups and changes that both do, whatever a build takes for many. What is shown is compared with what
 * the rows that are there say.
 */
#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/decimal.h"
#include "common/log.h"
#include "reduce/group.h"
#include "supervisor/parse.h"

#define GROUPS  6000
#define ROWS    24000
#define STEPS   120000 /* more changes than are kept at a time */
#define OUTPUTS 7

TestSuite(pending, .timeout = 120);

struct row {
	bool there;
	unsigned group;
	int64_t price, quantity; /* price in cents; -1: NULL */
};

struct totals {
	int64_t count, prices, price_sum, least, greatest, quantities, quantity_sum, fewest;
};

static struct row rows[ROWS];
static struct totals shown[GROUPS], expected[GROUPS];
static uint64_t state;

static unsigned
draw(unsigned below)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(state >> 33) % below;
}

static struct pipeline *
declare(void)
{
	static const char text[] =
	    "SET pipeline = 'test';"
	    "CREATE SERVER kafka FOREIGN DATA WRAPPER debezium OPTIONS (\"bootstrap.servers\" "
	    "'h:9');"
	    "CREATE FOREIGN TABLE t (id integer PRIMARY KEY, grp integer NOT NULL, price "
	    "numeric(9,2),"
	    " quantity integer) SERVER kafka OPTIONS (topic 's.public.t');"
	    "CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'h');"
	    "CREATE MATERIALIZED VIEW v AS SELECT grp, count(*) AS n, sum(price) AS s, min(price) "
	    "AS l,"
	    " max(price) AS g, sum(quantity) AS q, min(quantity) AS f FROM t GROUP BY grp;";
	struct source source = {xstrdup("FILE"), xstrdup(text), sizeof(text) - 1};
	struct pipeline *p = parse_pipeline(&source, stderr);

	source_free(&source);
	cr_assert_not_null(p);
	return p;
}

static void
apply(struct groups *groups, const struct row *row, int diff)
{
	char error[160], text[32];
	struct value values[4] = {{.kind = VALUE_INT, .i = row - rows},
				  {.kind = VALUE_INT, .i = row->group}};

	if (row->price >= 0) {
		int len = snprintf(text, sizeof(text), "%" PRId64 ".%02" PRId64, row->price / 100,
				   row->price % 100);
		values[2] = (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)len, .s = text};
	}
	if (row->quantity >= 0)
		values[3] = (struct value){.kind = VALUE_INT, .i = row->quantity};
	const struct value *computed = groups_compute(groups, values, error, sizeof(error));
	cr_assert_not_null(computed, "%s", error);
	groups_apply(groups, computed, diff);
}

static void
row_draw(struct row *row)
{
	row->there = true;
	row->group = draw(GROUPS);
	row->price = draw(20) == 0 ? -1 : (int64_t)draw(500) * 7;
	row->quantity = draw(10) == 0 ? -1 : (int64_t)draw(40);
}

static void
step(struct groups *groups, bool only_go)
{
	struct row *row = &rows[draw(ROWS)], old = *row;

	if (!row->there && only_go)
		return;
	if (row->there && (only_go || draw(3) == 0)) {
		apply(groups, row, -1);
		row->there = false;
		return;
	}
	row_draw(row);
	apply(groups, row, 1);
	if (old.there)
		apply(groups, &old, -1);
}

static void
expect(void)
{
	for (unsigned g = 0; g < GROUPS; g++)
		expected[g] = (struct totals){.least = -1, .greatest = -1, .fewest = -1};
	for (const struct row *row = rows; row < rows + ROWS; row++) {
		struct totals *t = &expected[row->group];
		if (!row->there)
			continue;
		t->count++;
		if (row->price >= 0) {
			t->prices++;
			t->price_sum += row->price;
			t->least = t->least < 0 || row->price < t->least ? row->price : t->least;
			t->greatest = row->price > t->greatest ? row->price : t->greatest;
		}
		if (row->quantity >= 0) {
			t->quantities++;
			t->quantity_sum += row->quantity;
			t->fewest =
			    t->fewest < 0 || row->quantity < t->fewest ? row->quantity : t->fewest;
		}
	}
}

/* In cents; -1: NULL. */
static int64_t
cents(const struct value *v)
{
	int64_t n = -1;

	if (v->kind == VALUE_DECIMAL)
		cr_assert(decimal_to_int(v->s, v->len, 2, &n));
	return n;
}

static void
show(struct groups *groups)
{
	static const enum type types[OUTPUTS] = {TYPE_INTEGER, TYPE_BIGINT,  TYPE_NUMERIC,
						 TYPE_NUMERIC, TYPE_NUMERIC, TYPE_BIGINT,
						 TYPE_INTEGER};
	struct value v[OUTPUTS];
	struct group *group;
	const uint8_t *row;
	size_t len;

	while ((group = groups_touched(groups)) != NULL) {
		const uint8_t *before = group_shown(group, &len);
		if (len > 0) {
			cr_assert(row_unpack(before, len, types, OUTPUTS, v));
			shown[v[0].i] = (struct totals){.count = 0};
		}
		cr_assert_null(groups_render(groups, group, &row, &len));
		if (len > 0) {
			cr_assert(row_unpack(row, len, types, OUTPUTS, v));
			shown[v[0].i] = (struct totals){
			    .count = v[1].i,
			    .price_sum = cents(&v[2]),
			    .least = cents(&v[3]),
			    .greatest = cents(&v[4]),
			    .quantity_sum = v[5].kind == VALUE_INT ? v[5].i : -1,
			    .fewest = v[6].kind == VALUE_INT ? v[6].i : -1,
			};
		}
		groups_settle(groups, row, len);
	}
}

static void
compare(void)
{
	expect();
	for (unsigned g = 0; g < GROUPS; g++) {
		const struct totals *is = &shown[g], *want = &expected[g];
		cr_assert_eq(is->count, want->count, "group %u", g);
		if (want->count == 0)
			continue;
		cr_assert_eq(is->price_sum, want->prices > 0 ? want->price_sum : -1, "group %u", g);
		cr_assert_eq(is->least, want->least, "group %u", g);
		cr_assert_eq(is->greatest, want->greatest, "group %u", g);
		cr_assert_eq(is->quantity_sum, want->quantities > 0 ? want->quantity_sum : -1,
			     "group %u", g);
		cr_assert_eq(is->fewest, want->fewest, "group %u", g);
	}
}

Test(pending, what_waits_is_shown_whole)
{
	struct pipeline *p = declare();
	struct groups *groups = groups_new(&p->views[0], &p->tables[0]);

	state = 7;
	for (unsigned i = 1; i <= STEPS; i++) {
		step(groups, false);
		if (i % 1000 == 999)
			groups_apply_pending(groups);
		if (i % (STEPS / 4) != 0)
			continue;
		show(groups);
		compare();
	}
	for (unsigned i = 0; i < 2 * STEPS; i++)
		step(groups, true);
	for (struct row *row = rows; row < rows + ROWS; row++)
		if (row->there) {
			apply(groups, row, -1);
			row->there = false;
		}
	show(groups);
	compare();
	cr_assert_eq(groups_count(groups), 0);
	groups_free(groups);
	pipeline_free(p);
}

/* One row alone is news, however many others it could wait for. */
Test(pending, a_row_that_waits_touches_its_group)
{
	struct pipeline *p = declare();
	struct groups *groups = groups_new(&p->views[0], &p->tables[0]);

	for (unsigned i = 0; i < GROUPS; i++) {
		rows[i] = (struct row){.there = true, .group = i, .price = i, .quantity = -1};
		apply(groups, &rows[i], 1);
	}
	show(groups);
	compare();
	apply(groups, &rows[4711], -1);
	rows[4711].there = false;
	cr_assert_not_null(groups_touched(groups));
	show(groups);
	compare();
	/* What waits when all ends is freed with the rest. */
	apply(groups, &rows[17], -1);
	groups_free(groups);
	pipeline_free(p);
}
