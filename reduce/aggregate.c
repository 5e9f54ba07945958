#include "reduce/aggregate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/stage.h"
#include "reduce/mark.h"

static bool
has_decimal(enum type type)
{
	return type == TYPE_NUMERIC || type_is_float(type);
}

static void
node_note(struct multiset_node *node, enum mark mark, struct aggregate_list *list,
	  unsigned argument)
{
	node->mark = (uint8_t)mark;
	node->argument = (uint16_t)argument;
	LIST_INSERT_HEAD(list, node, change_link);
}

/* It has left its multiset. */
static void
node_end(struct multiset_node *node, struct aggregate_changes *changes, unsigned argument)
{
	bool known = changes != NULL && node->mark != MARK_NEW;

	if (node->mark != MARK_CLEAN)
		LIST_REMOVE(node, change_link);
	if (known)
		node_note(node, MARK_DEAD, &changes->dead, argument);
	else
		free(node);
}

/*
 * Values that are equal but not the same (1.0 and 1.00) are different in a multiset: so the result of
 * min and max does not depend on which came first.
 */
static int
aggregate_order(struct aggregate *a, const struct value *v, int64_t diff,
		struct aggregate_changes *changes, unsigned argument)
{
	bool made;
	struct multiset_node *node = multiset_get(&a->order, v, &made);
	int grown = made;

	if (made && changes != NULL)
		node_note(node, MARK_NEW, &changes->dirty, argument);
	node->count += diff;
	if (node->count == 0) {
		multiset_remove(&a->order, node);
		node_end(node, changes, argument);
		grown--;
	} else if (changes != NULL && node->mark == MARK_CLEAN) {
		node_note(node, MARK_CHANGED, &changes->dirty, argument);
	}
	return grown;
}

/*
 * A float adds the shortest decimal that reads back as it, which is what PostgreSQL shows of it: the sum is
 * that of x::text::numeric, and nothing is rounded before the result is.
 */
static void
add_decimal(struct aggregate *a, const struct value *v, int diff, enum type type)
{
	char shortest[FLOAT_TEXT_MAX], text[DECIMAL_TEXT_MAX];
	const char *s = v->s;
	size_t len = v->len;

	if (a->decimal == NULL)
		a->decimal = decimal_sum_new();
	if (v->kind == VALUE_FLOAT) {
		len = float_print(v->d, type == TYPE_REAL, shortest);
		len = decimal_canonical(shortest, len, text, sizeof(text));
		s = text;
	}
	decimal_sum_add(a->decimal, s, len, diff);
}

int
aggregate_add(struct aggregate *a, unsigned needs, enum type type, const struct value *v, int diff,
	      struct aggregate_changes *changes, unsigned argument)
{
	a->count += diff;
	if ((needs & AGGREGATE_SUM) != 0) {
		if (v->kind == VALUE_INT)
			a->integer += (decimal_integer)v->i * diff;
		else
			add_decimal(a, v, diff, type);
	}
	if ((needs & AGGREGATE_ORDER) == 0)
		return 0;
	return aggregate_order(a, v, diff, changes, argument);
}

void
aggregate_add_rank(struct aggregate *a, unsigned needs, enum type type, int64_t rank, int diff)
{
	a->count += diff;
	if ((needs & AGGREGATE_SUM) != 0 &&
	    (type != TYPE_NUMERIC || !decimal_rank_is_special(rank)))
		a->integer += (decimal_integer)rank * diff;
	counts_add(&a->counts, rank, diff);
}

int
aggregate_set(struct aggregate *a, const struct value *v, int64_t count)
{
	const struct multiset_node *node = multiset_find(&a->order, v);
	int64_t diff = (int64_t)((uint64_t)count - (uint64_t)(node != NULL ? node->count : 0));

	return diff != 0 ? aggregate_order(a, v, diff, NULL, 0) : 0;
}

bool
aggregate_is_empty(struct aggregate *a, unsigned needs, enum type type)
{
	int64_t rest;

	if (a->count != 0)
		return false;
	if ((needs & AGGREGATE_RANKS) != 0)
		return counts_are_none(&a->counts);
	if (a->order.root != NULL)
		return false;
	if ((needs & AGGREGATE_SUM) == 0)
		return true;
	if (!has_decimal(type))
		return a->integer == 0;
	return a->decimal == NULL || (decimal_sum_int(a->decimal, &rest) && rest == 0);
}

void
aggregate_clear(struct aggregate *a, unsigned needs, enum type type)
{
	if ((needs & AGGREGATE_RANKS) != 0) {
		counts_clear(&a->counts);
	} else {
		multiset_clear(&a->order);
		if ((needs & AGGREGATE_SUM) != 0 && has_decimal(type))
			decimal_sum_free(a->decimal);
	}
	*a = (struct aggregate){.count = 0};
}

static bool
aggregate_extreme(const struct aggregate *a, bool last, struct value *extreme)
{
	struct multiset_path path;
	const struct multiset_node *node =
	    last ? multiset_last(&a->order, &path) : multiset_first(&a->order, &path);

	while (node != NULL && node->count <= 0)
		node = last ? multiset_previous(&path) : multiset_next(&path);
	if (node != NULL)
		*extreme = multiset_value(node);
	return node != NULL;
}

/* Through a decimal sum, for the digits are PostgreSQL's numeric division. */
static size_t
average_print(const char *sum, size_t sum_len, int64_t count, char *text)
{
	struct decimal_sum *decimal = decimal_sum_new();

	decimal_sum_add(decimal, sum, sum_len, 1);
	size_t len = decimal_sum_average(decimal, count, text, AGGREGATE_TEXT_MAX);
	decimal_sum_free(decimal);
	return len;
}

static const char *
result_decimal(const char *text, size_t len, struct value *result)
{
	size_t marks;

	if (len >= AGGREGATE_TEXT_MAX)
		return "has more digits than tallyd can keep";
	marks = (text[0] == '-') + (memchr(text, '.', len) != NULL ? (size_t)1 : 0);
	if (len - marks > DECIMAL_DIGITS_MAX)
		return "has more digits than tallyd can keep";
	*result = (struct value){.kind = VALUE_DECIMAL, .len = (uint32_t)len, .s = text};
	return NULL;
}

/* Rounded once, from all of its digits. */
static const char *
result_float(const char *text, size_t len, enum type type, struct value *result)
{
	double d =
	    type == TYPE_REAL ? (double)decimal_to_float(text, len) : decimal_to_double(text, len);

	if (isinf(d) && !decimal_is_special(text, len))
		return type == TYPE_REAL
			   ? "is out of the range of real, as it would be in PostgreSQL"
			   : "is out of the range of double precision, as it would be in "
			     "PostgreSQL";
	*result = (struct value){.kind = VALUE_FLOAT, .d = d};
	return NULL;
}

static const char *
aggregate_sum(const struct aggregate *a, enum type type, char *text, struct value *result)
{
	size_t len;

	if (has_decimal(type)) {
		len = decimal_sum_print(a->decimal, text, AGGREGATE_TEXT_MAX);
		return type_is_float(type) && len < AGGREGATE_TEXT_MAX
			   ? result_float(text, len, type, result)
			   : result_decimal(text, len, result);
	}
	if (type == TYPE_BIGINT)
		return result_decimal(text, decimal_of_integer(a->integer, 0, text), result);
	if (a->integer > INT64_MAX || a->integer < INT64_MIN)
		return type == TYPE_MONEY
			   ? "is out of the range of money, as it would be in PostgreSQL"
			   : "is out of the range of bigint, as it would be in PostgreSQL";
	*result = (struct value){.kind = VALUE_INT, .i = (int64_t)a->integer};
	return NULL;
}

static const char *
aggregate_average(const struct aggregate *a, enum type type, char *text, struct value *result)
{
	char sum[DECIMAL_INTEGER_MAX];
	size_t len =
	    has_decimal(type)
		? decimal_sum_average(a->decimal, a->count, text, AGGREGATE_TEXT_MAX)
		: average_print(sum, decimal_of_integer(a->integer, 0, sum), a->count, text);

	return type_is_float(type) && len < AGGREGATE_TEXT_MAX
		   ? result_float(text, len, TYPE_DOUBLE, result)
		   : result_decimal(text, len, result);
}

const char *
aggregate_result(const struct aggregate *a, enum output_kind kind, enum type type, char *text,
		 struct value *result)
{
	*result = (struct value){.kind = VALUE_NULL};
	switch (kind) {
	case OUTPUT_COUNT:
		*result = (struct value){.kind = VALUE_INT, .i = a->count};
		return NULL;
	case OUTPUT_MIN:
	case OUTPUT_MAX:
		(void)aggregate_extreme(a, kind == OUTPUT_MAX, result);
		return NULL;
	case OUTPUT_SUM:
		return a->count > 0 ? aggregate_sum(a, type, text, result) : NULL;
	case OUTPUT_AVG:
		return a->count > 0 ? aggregate_average(a, type, text, result) : NULL;
	case OUTPUT_GROUP:
	case OUTPUT_COUNT_ROWS:
		break;
	}
	return NULL;
}

/*
 * The sum of a numeric, from its ranks. Special values are no numbers: they are only in the multiset, and make the
 * sum what decimal_sum_print() says.
 */
static size_t
ranked_sum(struct aggregate *a, int scale, char *text)
{
	int64_t least, most;

	if (counts_extreme(&a->counts, true, &most) && counts_extreme(&a->counts, false, &least)) {
		bool below = least < 0 && decimal_rank_is_special(least);
		bool above = most > 0 && decimal_rank_is_special(most);
		if (below && above)
			most = INT64_MAX;
		if (below || above)
			return decimal_of_rank(above ? most : least, scale, text);
	}
	return decimal_of_rank_sum(a->integer, scale, text);
}

const char *
aggregate_result_ranked(struct aggregate *a, enum output_kind kind, const struct column *column,
			char *text, struct value *result)
{
	bool extreme = kind == OUTPUT_MIN || kind == OUTPUT_MAX;
	char sum[DECIMAL_INTEGER_MAX];
	int64_t rank;
	size_t len;

	*result = (struct value){.kind = VALUE_NULL};
	if (extreme) {
		if (counts_extreme(&a->counts, kind == OUTPUT_MAX, &rank))
			*result = column_of_rank(column, rank, text);
		return NULL;
	}
	if (column->type != TYPE_NUMERIC || (kind != OUTPUT_SUM && kind != OUTPUT_AVG))
		return aggregate_result(a, kind, column->type, text, result);
	if (a->count <= 0)
		return NULL;
	if (kind == OUTPUT_SUM)
		return result_decimal(text, ranked_sum(a, column->scale, text), result);
	len = ranked_sum(a, column->scale, sum);
	return result_decimal(text, average_print(sum, len, a->count, text), result);
}

void
aggregate_pack(const struct aggregate *a, unsigned needs, enum type type, struct pack *pack)
{
	INVARIANT((needs & AGGREGATE_RANKS) == 0); /* such groups are in no checkpoint */
	pack_int(pack, a->count);
	if ((needs & AGGREGATE_SUM) == 0) {
		pack_nil(pack);
	} else if (has_decimal(type)) {
		if (a->decimal == NULL)
			pack_nil(pack);
		else
			decimal_sum_pack(a->decimal, pack);
	} else if (a->integer >= INT64_MIN && a->integer <= INT64_MAX) {
		pack_int(pack, (int64_t)a->integer);
	} else {
		pack_bin(pack, &a->integer, sizeof(a->integer));
	}
}

bool
aggregate_unpack(struct aggregate *a, unsigned needs, enum type type, struct unpack *u)
{
	bool sums = (needs & AGGREGATE_SUM) != 0;
	uint32_t len;

	a->count = unpack_int(u);
	if (sums && has_decimal(type)) {
		decimal_sum_free(a->decimal);
		a->decimal = NULL;
	}
	if (!sums || (has_decimal(type) && unpack_peek(u) == UNPACK_NIL)) {
		if (!unpack_nil(u))
			u->bad = true;
	} else if (has_decimal(type)) {
		a->decimal = decimal_sum_unpack(u);
	} else if (unpack_peek(u) == UNPACK_BIN) {
		const uint8_t *bytes = unpack_bin(u, &len);
		if (len == sizeof(a->integer))
			memcpy(&a->integer, bytes, len);
		else
			u->bad = true;
	} else {
		a->integer = unpack_int(u);
	}
	return !u->bad;
}

void
aggregate_node_pack(const struct multiset_node *node, unsigned argument, struct pack *pack)
{
	struct value value = multiset_value(node);

	pack_array(pack, 3);
	pack_uint(pack, argument);
	value_pack(pack, &value);
	pack_int(pack, node->count);
}

static struct multiset_node *
change_first(const struct aggregate_changes *changes)
{
	return LIST_EMPTY(&changes->dead) ? LIST_FIRST(&changes->dirty)
					  : LIST_FIRST(&changes->dead);
}

const struct multiset_node *
aggregate_change(const struct aggregate_changes *changes, unsigned *argument)
{
	const struct multiset_node *node = change_first(changes);

	if (node != NULL)
		*argument = node->argument;
	return node;
}

void
aggregate_change_done(struct aggregate_changes *changes)
{
	struct multiset_node *node = change_first(changes);

	LIST_REMOVE(node, change_link);
	if (node->mark == MARK_DEAD)
		free(node);
	else
		node->mark = MARK_CLEAN;
}

void
aggregate_forget(struct aggregate_changes *changes)
{
	while (change_first(changes) != NULL)
		aggregate_change_done(changes);
}
