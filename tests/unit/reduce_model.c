#include "tests/unit/reduce_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/calendar.h"
#include "common/decimal.h"
#include "common/expr.h"
#include "common/interval.h"
#include "common/log.h"
#include "common/pack.h"

static void
model_table(struct pipeline *pipeline, unsigned index, char *name, bool keyed)
{
	static const enum type types[] = {
	    TYPE_INTEGER,     TYPE_TEXT,    TYPE_NUMERIC, TYPE_INTEGER,  TYPE_BIGINT,
	    TYPE_BOOLEAN,     TYPE_NUMERIC, TYPE_DOUBLE,  TYPE_INTERVAL, TYPE_JSONB,
	    TYPE_SMALLINT,    TYPE_REAL,    TYPE_MONEY,   TYPE_VARCHAR,  TYPE_CHAR,
	    TYPE_BYTEA,       TYPE_UUID,    TYPE_DATE,    TYPE_TIME,     TYPE_TIMESTAMP,
	    TYPE_TIMESTAMPTZ, TYPE_JSON,    TYPE_INET,    TYPE_ENUM,     TYPE_ARRAY};
	static const char *const names[] = {
	    "id",   "status", "amount", "qty",   "big",     "flag",   "price",  "ratio", "span",
	    "note", "small",  "real",   "money", "letters", "padded", "binary", "uuid",  "date",
	    "time", "stamp",  "zoned",  "text",  "inet",    "mood",   "list"};
	struct table *table = &pipeline->tables[index];

	pipeline->servers[index].name = xstrdup(name);
	table->name = xstrdup(name);
	table->source = xasprintf("public.%s", name);
	table->topic = xasprintf("test.public.%s", name);
	table->server = index;
	table->column_count = MODEL_COLUMNS;
	table->columns = xcalloc(MODEL_COLUMNS, sizeof(*table->columns));
	for (unsigned i = 0; i < MODEL_COLUMNS; i++)
		table->columns[i] = (struct column){
		    .name = xstrdup(names[i]),
		    .type = types[i],
		    .precision = i == MODEL_PRICE ? 20 : -1,
		    .scale = i == MODEL_PRICE ? 2 : -1,
		    .collate_c = true,
		    .element = TYPE_INTEGER,
		    .enumeration = types[i] == TYPE_ENUM ? pipeline->enumerations[0] : NULL,
		};
	table->key = xcalloc(1, sizeof(*table->key));
	table->key[0] = MODEL_ID;
	table->key_count = keyed;
}

struct shape {
	unsigned group_count, group[5];
	unsigned output_count;
	struct {
		enum output_kind kind;
		unsigned column;
	} outputs[8];
	bool where; /* qty > 10 */
};

static const struct shape shapes[MODEL_SHAPES] = {
    {0,
     {0},
     6,
     {{OUTPUT_SUM, MODEL_QTY},
      {OUTPUT_COUNT_ROWS, 0},
      {OUTPUT_COUNT, MODEL_QTY},
      {OUTPUT_MIN, MODEL_QTY},
      {OUTPUT_MAX, MODEL_QTY},
      {OUTPUT_AVG, MODEL_QTY}},
     false},
    {1,
     {MODEL_STATUS},
     6,
     {{OUTPUT_GROUP, MODEL_STATUS},
      {OUTPUT_SUM, MODEL_AMOUNT},
      {OUTPUT_MIN, MODEL_AMOUNT},
      {OUTPUT_MAX, MODEL_AMOUNT},
      {OUTPUT_AVG, MODEL_AMOUNT},
      {OUTPUT_COUNT_ROWS, 0}},
     false},
    {2,
     {MODEL_AMOUNT, MODEL_PRICE},
     5,
     {{OUTPUT_COUNT_ROWS, 0},
      {OUTPUT_GROUP, MODEL_AMOUNT},
      {OUTPUT_GROUP, MODEL_PRICE},
      {OUTPUT_SUM, MODEL_BIG},
      {OUTPUT_AVG, MODEL_BIG}},
     false},
    {2,
     {MODEL_FLAG, MODEL_STATUS},
     4,
     {{OUTPUT_MIN, MODEL_STATUS},
      {OUTPUT_MAX, MODEL_STATUS},
      {OUTPUT_GROUP, MODEL_FLAG},
      {OUTPUT_MAX, MODEL_PRICE}},
     true},
    {2,
     {MODEL_SPAN, MODEL_NOTE},
     6,
     {{OUTPUT_GROUP, MODEL_SPAN},
      {OUTPUT_GROUP, MODEL_NOTE},
      {OUTPUT_SUM, MODEL_RATIO},
      {OUTPUT_AVG, MODEL_RATIO},
      {OUTPUT_MIN, MODEL_RATIO},
      {OUTPUT_MAX, MODEL_SPAN}},
     false},
    {1,
     {MODEL_RATIO},
     4,
     {{OUTPUT_COUNT_ROWS, 0},
      {OUTPUT_GROUP, MODEL_RATIO},
      {OUTPUT_MIN, MODEL_SPAN},
      {OUTPUT_COUNT, MODEL_NOTE}},
     false},
    {5,
     {MODEL_BINARY, MODEL_UUID, MODEL_LIST, MODEL_MOOD, MODEL_PADDED},
     8,
     {{OUTPUT_GROUP, MODEL_BINARY},
      {OUTPUT_GROUP, MODEL_UUID},
      {OUTPUT_GROUP, MODEL_LIST},
      {OUTPUT_GROUP, MODEL_MOOD},
      {OUTPUT_GROUP, MODEL_PADDED},
      {OUTPUT_SUM, MODEL_SMALL},
      {OUTPUT_SUM, MODEL_REAL},
      {OUTPUT_COUNT, MODEL_TEXT}},
     false},
    {1,
     {MODEL_INET},
     8,
     {{OUTPUT_GROUP, MODEL_INET},
      {OUTPUT_MIN, MODEL_DATE},
      {OUTPUT_MAX, MODEL_TIME},
      {OUTPUT_MIN, MODEL_STAMP},
      {OUTPUT_MAX, MODEL_ZONED},
      {OUTPUT_MAX, MODEL_MONEY},
      {OUTPUT_MIN, MODEL_LETTERS},
      {OUTPUT_MAX, MODEL_MOOD}},
     false},
    {2,
     {MODEL_PRICE, MODEL_QTY},
     3,
     {{OUTPUT_GROUP, MODEL_PRICE}, {OUTPUT_GROUP, MODEL_QTY}, {OUTPUT_COUNT_ROWS, 0}},
     false},
};

static struct expr *
model_where(void)
{
	struct expr *where = expr_new(EXPR_GT, 2);

	where->args[0] = (struct expr){.op = EXPR_COLUMN, .column = MODEL_QTY};
	where->args[1] = (struct expr){
	    .op = EXPR_CONSTANT,
	    .type = TYPE_INTEGER,
	    .value = {.kind = VALUE_INT, .i = 10},
	};
	return where;
}

static void
model_shape(struct view *view, const struct shape *shape, unsigned table, unsigned number)
{
	view->name = xasprintf("view_%u", number);
	view->table = table;
	view->plan = xstrdup("");
	view->group_count = shape->group_count;
	view->group = xcalloc(5, sizeof(*view->group));
	memcpy(view->group, shape->group, sizeof(shape->group));
	view->output_count = shape->output_count;
	view->outputs = xcalloc(shape->output_count, sizeof(*view->outputs));
	for (unsigned i = 0; i < shape->output_count; i++)
		view->outputs[i] = (struct output){
		    .name = xasprintf("column_%u", i),
		    .kind = shape->outputs[i].kind,
		    .column = shape->outputs[i].column,
		    .scale = -1,
		};
	if (shape->where)
		view->where = model_where();
}

struct pipeline *
model_pipeline(void)
{
	struct pipeline *pipeline = xcalloc(1, sizeof(*pipeline));

	pipeline->file = xstrdup("model.sql");
	pipeline->name = xstrdup("model");
	pipeline->target_name = xstrdup("target");
	pipeline->autocommit_duration_ms = 100;
	pipeline->checkpoint_interval_ms = 10000;
	pipeline->ring_bytes = RING_BYTES_MIN;
	pipeline->server_count = pipeline->table_count = 2;
	pipeline->servers = xcalloc(2, sizeof(*pipeline->servers));
	pipeline->tables = xcalloc(2, sizeof(*pipeline->tables));
	struct enumeration *moods = xcalloc(1, sizeof(*moods));
	moods->name = xstrdup("mood");
	moods->label_count = 2;
	moods->labels = xcalloc(2, sizeof(*moods->labels));
	moods->labels[0] = xstrdup("sad");
	moods->labels[1] = xstrdup("ok");
	pipeline->enumeration_count = 1;
	pipeline->enumerations = xcalloc(1, sizeof(struct enumeration *));
	pipeline->enumerations[0] = moods;
	model_table(pipeline, 0, (char[]){"keyed"}, true);
	model_table(pipeline, 1, (char[]){"keyless"}, false);
	pipeline->view_count = 2 * MODEL_SHAPES;
	pipeline->views = xcalloc(pipeline->view_count, sizeof(*pipeline->views));
	for (unsigned i = 0; i < pipeline->view_count; i++)
		model_shape(&pipeline->views[i], &shapes[i % MODEL_SHAPES], i / MODEL_SHAPES, i);
	return pipeline;
}

void
model_pipeline_free(struct pipeline *pipeline)
{
	pipeline_free(pipeline);
}

uint64_t
model_random(struct model_random *random, uint64_t below)
{
	random->state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t x = random->state;
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % below;
}

static struct value
string_value(enum value_kind kind, const char *s)
{
	return (struct value){.kind = kind, .len = (uint32_t)strlen(s), .s = s};
}

/* Values of which some are equal and not the same. */
static void
model_row_types(struct model_random *r, struct value *v)
{
	static const double ratios[] = {0.1, 0.2,    -0.0, 0.0,      1e16,
					1,   5e-324, NAN,  INFINITY, -INFINITY};
	static const struct interval spans[] = {
	    {.months = 1}, {.days = 30}, {.days = 29, .us = INTERVAL_DAY_US}, {.us = 1}};
	static const char *const notes[] = {"{}", "[1, 2]", "\"x\""};
	static uint8_t bytes[4][INTERVAL_BYTES];

	if (model_random(r, 6) > 0)
		v[MODEL_RATIO] =
		    (struct value){.kind = VALUE_FLOAT, .d = ratios[model_random(r, 10)]};
	if (model_random(r, 6) > 0) {
		unsigned i = (unsigned)model_random(r, 4);

		interval_store(&spans[i], bytes[i]);
		v[MODEL_SPAN] = (struct value){
		    .kind = VALUE_INTERVAL, .len = INTERVAL_BYTES, .s = (const char *)bytes[i]};
	}
	if (model_random(r, 6) > 0)
		v[MODEL_NOTE] = string_value(VALUE_TEXT, notes[model_random(r, 3)]);
}

static struct value
int_value(int64_t i)
{
	return (struct value){.kind = VALUE_INT, .i = i};
}

static struct value
bytes_value(enum value_kind kind, const void *bytes, size_t len)
{
	return (struct value){.kind = kind, .len = (uint32_t)len, .s = bytes};
}

/* Two or three values of each other type, infinities among them. */
static void
model_row_others(struct model_random *r, struct value *v)
{
	static const uint8_t uuids[2][16] = {{1}, {2, 3}};
	static const uint8_t inets[3][6] = {{4, 32, 10, 0, 0, 1}, {4, 8, 10, 0, 0, 1}, {4, 8, 10}};
	static const uint8_t lists[3][3] = {{0x90}, {0x91, 0xc0}, {0x92, 1, 2}};
	static const int64_t dates[] = {0, -719162, INT64_MAX, INT64_MIN};
	unsigned i = (unsigned)model_random(r, 3);

	v[MODEL_SMALL] = int_value((int64_t)model_random(r, 3) - 1);
	v[MODEL_REAL] =
	    (struct value){.kind = VALUE_FLOAT, .d = (double)(i == 0 ? 0.1f : 16777216.0f)};
	v[MODEL_MONEY] = int_value((int64_t)model_random(r, 3) * 1000001 - 7);
	v[MODEL_LETTERS] = string_value(VALUE_TEXT, model_random(r, 2) ? "ab" : "ab ");
	v[MODEL_PADDED] = string_value(VALUE_TEXT, model_random(r, 2) ? "x" : "");
	v[MODEL_BINARY] = bytes_value(VALUE_BYTES, "\0\xff", model_random(r, 3));
	v[MODEL_UUID] = bytes_value(VALUE_BYTES, uuids[model_random(r, 2)], 16);
	v[MODEL_DATE] = int_value(dates[model_random(r, 4)]);
	v[MODEL_TIME] = int_value(i == 0 ? TIME_MAX_US : i);
	v[MODEL_STAMP] = int_value(dates[model_random(r, 4)]);
	v[MODEL_ZONED] = int_value(dates[model_random(r, 4)]);
	v[MODEL_TEXT] = string_value(VALUE_TEXT, "{}");
	v[MODEL_INET] = bytes_value(VALUE_INET, inets[i], 6);
	v[MODEL_MOOD] = int_value((int64_t)model_random(r, 2));
	v[MODEL_LIST] = bytes_value(VALUE_ARRAY, lists[i], i == 0 ? 1 : i + 1);
	if (model_random(r, 3) == 0)
		v[MODEL_SMALL + model_random(r, MODEL_COLUMNS - MODEL_SMALL)] =
		    (struct value){.kind = VALUE_NULL};
}

void
model_row_random(struct model_random *r, int64_t id, struct model_row *row)
{
	static const char *const statuses[] = {"new", "paid", "sent", "", "\xc3\xa4rger"};
	static const char *const amounts[] = {
	    "1",  "1.0", "1.00", "2.5",    "2.50",
	    "-3", "0",   "0.00", "-0.001", "99999999999999999999999999999999999999999.5"};
	static const char *const prices[] = {"10.00", "10.50", "-0.01", "0.00"};
	static const int64_t bigs[] = {INT64_MAX, INT64_MIN, 0, 1, -7, INT64_MAX - 1};
	struct value *v = row->values;

	memset(row, 0, sizeof(*row));
	v[MODEL_ID] = (struct value){.kind = VALUE_INT, .i = id};
	if (model_random(r, 8) > 0)
		v[MODEL_STATUS] = string_value(VALUE_TEXT, statuses[model_random(r, 5)]);
	if (model_random(r, 6) > 0)
		v[MODEL_AMOUNT] = string_value(VALUE_DECIMAL, amounts[model_random(r, 10)]);
	if (model_random(r, 6) > 0)
		v[MODEL_QTY] =
		    (struct value){.kind = VALUE_INT, .i = (int64_t)model_random(r, 30) - 5};
	if (model_random(r, 6) > 0)
		v[MODEL_BIG] = (struct value){.kind = VALUE_INT, .i = bigs[model_random(r, 6)]};
	if (model_random(r, 3) > 0)
		v[MODEL_FLAG] =
		    (struct value){.kind = VALUE_BOOL, .i = (int64_t)model_random(r, 2)};
	if (model_random(r, 4) > 0)
		v[MODEL_PRICE] = string_value(VALUE_DECIMAL, prices[model_random(r, 4)]);
	model_row_types(r, v);
	model_row_others(r, v);
}

static bool
value_same(const struct value *a, const struct value *b)
{
	if (a->kind == VALUE_NULL || b->kind == VALUE_NULL)
		return a->kind == b->kind;
	return value_compare(a, b) == 0;
}

bool
model_row_equal(const struct model_row *a, const struct model_row *b)
{
	for (unsigned i = 0; i < MODEL_COLUMNS; i++) {
		const struct value *x = &a->values[i], *y = &b->values[i];
		if (!value_same(x, y) || (x->kind != VALUE_NULL && value_compare_exact(x, y) != 0))
			return false;
	}
	return true;
}

static bool
same_group(const struct view *view, const struct model_row *a, const struct model_row *b)
{
	for (unsigned i = 0; i < view->group_count; i++)
		if (!value_same(&a->values[view->group[i]], &b->values[view->group[i]]))
			return false;
	return true;
}

struct members { /* the rows of one group, and one output over them */
	const struct view *view;
	const struct model_row *rows, *first;
	const bool *passes;
	unsigned count;
};

static bool
members_has(const struct members *m, unsigned i)
{
	return m->passes[i] && same_group(m->view, m->first, &m->rows[i]);
}

static struct value
model_extreme(const struct members *m, unsigned column, bool last)
{
	const struct value *best = NULL;

	for (unsigned i = 0; i < m->count; i++) {
		const struct value *v = &m->rows[i].values[column];
		if (!members_has(m, i) || v->kind == VALUE_NULL)
			continue;
		int order = best == NULL ? 0 : value_compare_exact(v, best);
		if (best == NULL || (last ? order > 0 : order < 0))
			best = v;
	}
	return best != NULL ? *best : (struct value){.kind = VALUE_NULL};
}

static struct value
model_sum(const struct members *m, enum output_kind kind, unsigned column, enum type type,
	  char *text)
{
	struct decimal_sum *sum = decimal_sum_new();
	struct value result = {.kind = VALUE_NULL};
	int64_t count = 0;

	for (unsigned i = 0; i < m->count; i++) {
		const struct value *v = &m->rows[i].values[column];
		if (!members_has(m, i) || v->kind == VALUE_NULL)
			continue;
		count++;
		if (v->kind == VALUE_FLOAT) {
			char shortest[FLOAT_TEXT_MAX], decimal[DECIMAL_TEXT_MAX];
			size_t len = float_print(v->d, type == TYPE_REAL, shortest);

			len = decimal_canonical(shortest, len, decimal, sizeof(decimal));
			decimal_sum_add(sum, decimal, len, 1);
		} else if (v->kind == VALUE_INT)
			decimal_sum_add_digits(sum, v->i, 0, 1);
		else
			decimal_sum_add(sum, v->s, v->len, 1);
	}
	if (kind == OUTPUT_AVG && count > 0)
		decimal_sum_average(sum, count, text, DECIMAL_TEXT_MAX);
	else
		decimal_sum_print(sum, text, DECIMAL_TEXT_MAX);
	if (count > 0 && kind == OUTPUT_SUM && (type == TYPE_INTEGER || type == TYPE_SMALLINT))
		result = (struct value){.kind = VALUE_INT, .i = strtoll(text, NULL, 10)};
	else if (count > 0 && type == TYPE_REAL)
		result = (struct value){.kind = VALUE_FLOAT, .d = (double)strtof(text, NULL)};
	else if (count > 0 && type == TYPE_DOUBLE)
		result = (struct value){.kind = VALUE_FLOAT, .d = strtod(text, NULL)};
	else if (count > 0)
		result = string_value(VALUE_DECIMAL, text);
	decimal_sum_free(sum);
	return result;
}

static struct value
model_count(const struct members *m, const struct output *output)
{
	struct value result = {.kind = VALUE_INT};

	for (unsigned i = 0; i < m->count; i++)
		result.i +=
		    members_has(m, i) && (output->kind == OUTPUT_COUNT_ROWS ||
					  m->rows[i].values[output->column].kind != VALUE_NULL);
	return result;
}

/* Of equal numerics the one with the most digits is the name of the group, of intervals the least. */
static struct value
model_group(const struct members *m, unsigned column)
{
	struct value best = m->first->values[column];

	if (best.kind == VALUE_INTERVAL)
		return model_extreme(m, column, false);
	if (best.kind == VALUE_FLOAT)
		return value_normal(&best, NULL);

	for (unsigned i = 0; best.kind == VALUE_DECIMAL && i < m->count; i++)
		if (members_has(m, i) && m->rows[i].values[column].len > best.len)
			best = m->rows[i].values[column];
	return best;
}

static void
model_output(const struct members *m, const struct table *table, const struct output *output,
	     struct pack *pack)
{
	char text[DECIMAL_TEXT_MAX];
	enum type type = table->columns[output->column].type;
	struct value value;

	switch (output->kind) {
	case OUTPUT_GROUP:
		value = model_group(m, output->column);
		break;
	case OUTPUT_MIN:
	case OUTPUT_MAX:
		value = model_extreme(m, output->column, output->kind == OUTPUT_MAX);
		break;
	case OUTPUT_SUM:
	case OUTPUT_AVG:
		value = model_sum(m, output->kind, output->column, type, text);
		break;
	case OUTPUT_COUNT:
	case OUTPUT_COUNT_ROWS:
	default:
		value = model_count(m, output);
		break;
	}
	value_pack(pack, &value);
}

static struct model_bytes
model_group_row(const struct members *m, const struct table *table)
{
	uint8_t buf[4 * DECIMAL_TEXT_MAX];
	struct model_bytes row;
	struct pack pack;

	pack_init(&pack, buf, sizeof(buf));
	pack_array(&pack, m->view->output_count);
	for (unsigned i = 0; i < m->view->output_count; i++)
		model_output(m, table, &m->view->outputs[i], &pack);
	row.len = pack_len(&pack);
	row.bytes = xcalloc(1, row.len);
	memcpy(row.bytes, buf, row.len);
	return row;
}

struct model_bytes *
model_view(const struct view *view, const struct table *table, const struct model_row *rows,
	   unsigned count, unsigned *shown)
{
	struct model_bytes *result = xcalloc(count + 1, sizeof(*result));
	bool *passes = xcalloc(count + 1, sizeof(*passes));
	struct members m = {.view = view, .rows = rows, .passes = passes, .count = count};

	*shown = 0;
	for (unsigned i = 0; i < count; i++) {
		const struct value *qty = &rows[i].values[MODEL_QTY];
		passes[i] = view->where == NULL || (qty->kind == VALUE_INT && qty->i > 10);
	}
	for (unsigned i = 0; i < count; i++) {
		bool earlier = false;
		m.first = &rows[i];
		for (unsigned k = 0; k < i; k++)
			earlier = earlier || members_has(&m, k);
		if (passes[i] && !earlier)
			result[(*shown)++] = model_group_row(&m, table);
	}
	free(passes);
	return result;
}

void
model_rows_free(struct model_bytes *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(rows[i].bytes);
	free(rows);
}

static unsigned
rows_index(const struct model_bytes *rows, unsigned count, const uint8_t *row, size_t len)
{
	unsigned i = 0;

	while (i < count && (rows[i].len != len || memcmp(rows[i].bytes, row, len) != 0))
		i++;
	return i;
}

bool
model_fold_apply(struct model_fold *fold, int diff, const uint8_t *row, size_t len)
{
	unsigned i = rows_index(fold->rows, fold->count, row, len);

	if ((diff < 0) == (i == fold->count))
		return false;
	if (diff < 0) {
		free(fold->rows[i].bytes);
		fold->rows[i] = fold->rows[--fold->count];
		return true;
	}
	if (fold->count == fold->room) {
		fold->room = fold->room * 2 + 8;
		fold->rows = xreallocarray(fold->rows, fold->room, sizeof(*fold->rows));
	}
	fold->rows[fold->count] = (struct model_bytes){xcalloc(1, len), len};
	memcpy(fold->rows[fold->count++].bytes, row, len);
	return true;
}

bool
model_fold_equals(const struct model_fold *fold, const struct model_bytes *rows, unsigned count)
{
	if (fold->count != count)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (rows_index(fold->rows, fold->count, rows[i].bytes, rows[i].len) == fold->count)
			return false;
	return true;
}

void
model_fold_free(struct model_fold *fold)
{
	model_rows_free(fold->rows, fold->count);
	*fold = (struct model_fold){0};
}
