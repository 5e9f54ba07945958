/*
 * Sums of floats: exact whatever the order, and the same bits after what was added is taken away,
 * after a checkpoint, and after a replay.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/pack.h"
#include "reduce/aggregate.h"

#define SUM AGGREGATE_SUM

static struct value
number(double d)
{
	return (struct value){.kind = VALUE_FLOAT, .d = d};
}

static void
add(struct aggregate *a, enum type type, double d, int diff)
{
	struct value v = number(d);

	(void)aggregate_add(a, SUM, type, &v, diff, NULL, 0);
}

/* The bits of a sum or an average. */
static uint64_t
bits(const struct aggregate *a, enum output_kind kind, enum type type)
{
	char text[AGGREGATE_TEXT_MAX];
	struct value v;
	uint64_t out;

	cr_assert_null(aggregate_result(a, kind, type, text, &v));
	cr_assert_eq(v.kind, VALUE_FLOAT);
	memcpy(&out, &v.d, sizeof(out));
	return out;
}

static double
result(const struct aggregate *a, enum output_kind kind, enum type type)
{
	uint64_t word = bits(a, kind, type);
	double d;

	memcpy(&d, &word, sizeof(d));
	return d;
}

Test(aggregate, a_tenth_a_million_times)
{
	struct aggregate a = {.count = 0};

	for (int i = 0; i < 1000000; i++)
		add(&a, TYPE_DOUBLE, 0.1, 1);
	cr_assert_eq(result(&a, OUTPUT_SUM, TYPE_DOUBLE), 100000.0);
	cr_assert_eq(result(&a, OUTPUT_AVG, TYPE_DOUBLE), 0.1);
	for (int i = 0; i < 999999; i++)
		add(&a, TYPE_DOUBLE, 0.1, -1);
	cr_assert_eq(result(&a, OUTPUT_SUM, TYPE_DOUBLE), 0.1);
	add(&a, TYPE_DOUBLE, 0.1, -1);
	cr_assert(aggregate_is_empty(&a, SUM, TYPE_DOUBLE));
	aggregate_clear(&a, SUM, TYPE_DOUBLE);
}

Test(aggregate, nothing_is_lost_beside_a_large_number)
{
	struct aggregate a = {.count = 0};

	add(&a, TYPE_DOUBLE, 1e16, 1);
	add(&a, TYPE_DOUBLE, 1, 1);
	add(&a, TYPE_DOUBLE, 1e16, -1);
	cr_assert_eq(result(&a, OUTPUT_SUM, TYPE_DOUBLE), 1.0);
	add(&a, TYPE_DOUBLE, 1.7976931348623157e308, 1);
	add(&a, TYPE_DOUBLE, 5e-324, 1);
	add(&a, TYPE_DOUBLE, 1, -1);
	add(&a, TYPE_DOUBLE, 1.7976931348623157e308, -1);
	cr_assert_eq(result(&a, OUTPUT_SUM, TYPE_DOUBLE), 5e-324);
	aggregate_clear(&a, SUM, TYPE_DOUBLE);
}

Test(aggregate, what_is_shown_is_what_is_summed)
{
	struct aggregate a = {.count = 0}, b = {.count = 0};

	add(&a, TYPE_DOUBLE, 0.1, 1);
	add(&a, TYPE_DOUBLE, 0.2, 1);
	cr_assert_eq(result(&a, OUTPUT_SUM, TYPE_DOUBLE), 0.3);
	add(&b, TYPE_REAL, (double)0.1f, 1);
	add(&b, TYPE_REAL, (double)0.2f, 1);
	cr_assert_eq(result(&b, OUTPUT_SUM, TYPE_REAL), (double)0.3f);
	cr_assert_eq(result(&b, OUTPUT_AVG, TYPE_REAL), 0.15);
	aggregate_clear(&a, SUM, TYPE_DOUBLE);
	aggregate_clear(&b, SUM, TYPE_REAL);
}

Test(aggregate, special_values_come_and_go)
{
	struct aggregate a = {.count = 0};

	add(&a, TYPE_DOUBLE, 2.5, 1);
	uint64_t before = bits(&a, OUTPUT_SUM, TYPE_DOUBLE);
	add(&a, TYPE_DOUBLE, INFINITY, 1);
	cr_assert_eq(result(&a, OUTPUT_SUM, TYPE_DOUBLE), INFINITY);
	add(&a, TYPE_DOUBLE, -INFINITY, 1);
	cr_assert(isnan(result(&a, OUTPUT_SUM, TYPE_DOUBLE)), "both infinities");
	add(&a, TYPE_DOUBLE, INFINITY, -1);
	cr_assert_eq(result(&a, OUTPUT_AVG, TYPE_DOUBLE), -INFINITY);
	add(&a, TYPE_DOUBLE, NAN, 1);
	add(&a, TYPE_DOUBLE, -INFINITY, -1);
	cr_assert(isnan(result(&a, OUTPUT_SUM, TYPE_DOUBLE)));
	add(&a, TYPE_DOUBLE, NAN, -1);
	cr_assert_eq(bits(&a, OUTPUT_SUM, TYPE_DOUBLE), before);
	/* One partition is ahead of another: the taking away came first. */
	add(&a, TYPE_DOUBLE, 2.5, -1);
	add(&a, TYPE_DOUBLE, NAN, -1);
	add(&a, TYPE_DOUBLE, 0, 1);
	cr_assert_not(aggregate_is_empty(&a, SUM, TYPE_DOUBLE));
	add(&a, TYPE_DOUBLE, NAN, 1);
	add(&a, TYPE_DOUBLE, 0, -1);
	cr_assert(aggregate_is_empty(&a, SUM, TYPE_DOUBLE));
	aggregate_clear(&a, SUM, TYPE_DOUBLE);
}

Test(aggregate, too_large_is_said)
{
	struct aggregate a = {.count = 0};
	char text[AGGREGATE_TEXT_MAX];
	struct value v;

	add(&a, TYPE_DOUBLE, 1.7e308, 2);
	cr_assert_not_null(aggregate_result(&a, OUTPUT_SUM, TYPE_DOUBLE, text, &v));
	add(&a, TYPE_DOUBLE, 1.7e308, -1);
	cr_assert_null(aggregate_result(&a, OUTPUT_SUM, TYPE_DOUBLE, text, &v));
	aggregate_clear(&a, SUM, TYPE_DOUBLE);
	add(&a, TYPE_REAL, (double)3e38f, 2);
	cr_assert_not_null(aggregate_result(&a, OUTPUT_SUM, TYPE_REAL, text, &v));
	aggregate_clear(&a, SUM, TYPE_REAL);
}

static struct aggregate
reloaded(const struct aggregate *a)
{
	static uint8_t bytes[4096];
	struct aggregate b = {.count = 0};
	struct unpack in;
	struct pack out;

	pack_init(&out, bytes, sizeof(bytes));
	aggregate_pack(a, SUM, TYPE_DOUBLE, &out);
	cr_assert_not(out.overflow);
	unpack_init(&in, bytes, pack_len(&out));
	cr_assert(aggregate_unpack(&b, SUM, TYPE_DOUBLE, &in));
	return b;
}

/* Any finite double, or one in sixteen a special value. */
static double
any_double(unsigned *seed)
{
	static const double special[] = {INFINITY, -INFINITY, 0.0, -0.0};
	uint64_t word =
	    (uint64_t)rand_r(seed) << 42 ^ (uint64_t)rand_r(seed) << 21 ^ (uint64_t)rand_r(seed);
	double d;

	if (word % 16 == 0)
		return special[word / 16 % 4];
	memcpy(&d, &word, sizeof(d));
	return isfinite(d) ? d / 4096 : NAN;
}

Test(aggregate, any_order_and_a_checkpoint_give_the_same_bits)
{
	enum { COUNT = 60 };
	double values[COUNT];
	unsigned seed = 7;

	for (int round = 0; round < 200; round++) {
		struct aggregate forward = {.count = 0}, shuffled = {.count = 0};

		for (int i = 0; i < COUNT; i++) {
			values[i] = any_double(&seed);
			add(&forward, TYPE_DOUBLE, values[i], 1);
		}
		for (int i = COUNT - 1; i > 0; i--) {
			int k = rand_r(&seed) % (i + 1);
			double held = values[i];

			values[i] = values[k];
			values[k] = held;
		}
		for (int i = 0; i < COUNT; i++) {
			double passing = any_double(&seed);

			add(&shuffled, TYPE_DOUBLE, passing, 1);
			add(&shuffled, TYPE_DOUBLE, values[i], 1);
			add(&shuffled, TYPE_DOUBLE, passing, -1);
		}
		struct aggregate again = reloaded(&shuffled);
		uint64_t want = bits(&forward, OUTPUT_SUM, TYPE_DOUBLE);
		cr_assert_eq(bits(&shuffled, OUTPUT_SUM, TYPE_DOUBLE), want, "round %d", round);
		cr_assert_eq(bits(&again, OUTPUT_SUM, TYPE_DOUBLE), want, "round %d", round);
		for (int i = 0; i < COUNT; i++)
			add(&again, TYPE_DOUBLE, values[i], -1);
		cr_assert(aggregate_is_empty(&again, SUM, TYPE_DOUBLE));
		aggregate_clear(&forward, SUM, TYPE_DOUBLE);
		aggregate_clear(&shuffled, SUM, TYPE_DOUBLE);
		aggregate_clear(&again, SUM, TYPE_DOUBLE);
	}
}

/* --- without nodes --- */

#define DRAWN 300

struct drawn {
	char text[32];
	struct value value;
};

/* Values of a column: small ones, the largest there are, and what is no number. */
static void
draw_values(struct drawn *drawn, const struct column *column)
{
	static const char *const odd[] = {"99999999999999", "-99999999999999", "0", "NaN",
					  "Infinity",       "-Infinity"};

	for (unsigned i = 0; i < DRAWN; i++) {
		struct drawn *d = &drawn[i];
		int64_t n = (int64_t)i - DRAWN / 2, size = 1;
		for (int s = 0; s < column->scale; s++)
			size *= 10;
		if (column->type != TYPE_NUMERIC) {
			d->value = (struct value){.kind = VALUE_INT,
						  .i = i == 0   ? INT64_MIN
						       : i == 1 ? INT64_MAX
								: n};
			continue;
		}
		if (i < 6)
			snprintf(d->text, sizeof(d->text), "%s%s%.*s", odd[i],
				 i < 3 && column->scale > 0 ? "." : "", i < 3 ? column->scale : 0,
				 i == 2 ? "0000" : "9999");
		else if (column->scale == 0)
			snprintf(d->text, sizeof(d->text), "%" PRId64, n);
		else
			snprintf(d->text, sizeof(d->text), "%s%" PRId64 ".%0*" PRId64,
				 n < 0 ? "-" : "", (n < 0 ? -n : n) / size, column->scale,
				 (n < 0 ? -n : n) % size);
		d->value = (struct value){
		    .kind = VALUE_DECIMAL, .s = d->text, .len = (uint32_t)strlen(d->text)};
	}
}

#define DRAWN_NEEDS (AGGREGATE_SUM | AGGREGATE_ORDER)

/* To an aggregate with nodes and to one with ranks. */
static void
add_to_both(struct aggregate *nodes, struct aggregate *ranks, const struct column *column,
	    const struct value *v, int diff)
{
	int64_t rank = value_rank(v);

	(void)aggregate_add(nodes, DRAWN_NEEDS, column->type, v, diff, NULL, 0);
	counts_fetch(&ranks->counts);
	aggregate_add_rank(ranks, DRAWN_NEEDS | AGGREGATE_RANKS, column->type, rank, diff);
}

static void
same_value(const struct value *a, const struct value *b)
{
	cr_assert_eq(a->kind, b->kind);
	cr_assert(a->kind == VALUE_NULL || value_compare_exact(a, b) == 0, "%.*s, %.*s",
		  (int)a->len, a->kind == VALUE_DECIMAL ? a->s : "", (int)b->len,
		  b->kind == VALUE_DECIMAL ? b->s : "");
	cr_assert(a->kind != VALUE_DECIMAL ||
		  (a->len == b->len && memcmp(a->s, b->s, a->len) == 0));
}

static void
same_results(const struct aggregate *nodes, struct aggregate *ranks, const struct column *column)
{
	char text[AGGREGATE_TEXT_MAX], ranked[AGGREGATE_TEXT_MAX];
	struct value a, b;

	cr_assert_eq(nodes->count, ranks->count);
	static const enum output_kind kinds[] = {OUTPUT_MIN, OUTPUT_MAX, OUTPUT_SUM, OUTPUT_AVG,
						 OUTPUT_COUNT};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		cr_assert_null(aggregate_result(nodes, kinds[i], column->type, text, &a));
		cr_assert_null(aggregate_result_ranked(ranks, kinds[i], column, ranked, &b));
		same_value(&a, &b);
	}
}

Test(aggregate, ranks_give_the_results_that_values_give)
{
	static struct drawn drawn[DRAWN];
	uint64_t random = 5;

	for (int scale = -1; scale <= 4; scale++) {
		const struct column column = {
		    .type = scale < 0 ? TYPE_BIGINT : TYPE_NUMERIC,
		    .precision = 14 + scale,
		    .scale = scale,
		};
		struct aggregate nodes = {.count = 0}, ranks = {.count = 0};
		int64_t count[DRAWN] = {0};
		cr_assert(column_has_whole_ranks(&column));
		draw_values(drawn, &column);
		for (int step = 0; step < 6000; step++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			unsigned i = (unsigned)(random >> 33) % DRAWN;
			/* One partition may be ahead of another: counts may be negative meanwhile. */
			int diff = (random >> 20) % 8 == 0 || count[i] <= 0 ? 1 : -1;
			if (step % 500 == 0) {
				i = (unsigned)step / 500 % 6;
				diff = -1;
			}
			count[i] += diff;
			add_to_both(&nodes, &ranks, &column, &drawn[i].value, diff);
			same_results(&nodes, &ranks, &column);
		}
		for (unsigned i = 0; i < DRAWN; i++)
			for (; count[i] != 0; count[i] += count[i] < 0 ? 1 : -1)
				add_to_both(&nodes, &ranks, &column, &drawn[i].value,
					    count[i] < 0 ? 1 : -1);
		/* A sum beyond 64 bits. */
		for (int diff = 1; diff >= -1; diff -= 2)
			for (unsigned i = 0; i < 2000; i++) {
				add_to_both(&nodes, &ranks, &column, &drawn[i / 1000].value, diff);
				same_results(&nodes, &ranks, &column);
			}
		/* Each of them alone. */
		for (unsigned i = 0; i < DRAWN; i++)
			for (int diff = 1; diff >= -1; diff -= 2) {
				add_to_both(&nodes, &ranks, &column, &drawn[i].value, diff);
				same_results(&nodes, &ranks, &column);
			}
		cr_assert(aggregate_is_empty(&ranks, DRAWN_NEEDS | AGGREGATE_RANKS, column.type));
		cr_assert(aggregate_is_empty(&nodes, DRAWN_NEEDS, column.type));
		aggregate_clear(&ranks, DRAWN_NEEDS | AGGREGATE_RANKS, column.type);
		aggregate_clear(&nodes, DRAWN_NEEDS, column.type);
	}
}

Test(aggregate, ranks_do_not_tell_all_of_every_type)
{
	const struct column cases[] = {
	    {.type = TYPE_NUMERIC, .precision = -1, .scale = -1},
	    {.type = TYPE_NUMERIC, .precision = 10, .scale = 5},
	    {.type = TYPE_NUMERIC, .precision = 17, .scale = 2},
	    {.type = TYPE_NUMERIC, .precision = 5, .scale = -2},
	    {.type = TYPE_TEXT},
	    {.type = TYPE_DOUBLE},
	    {.type = TYPE_INTERVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_not(column_has_whole_ranks(&cases[i]), "%zu", i);
}
