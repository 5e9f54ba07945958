#include <stdio.h>
#include <string.h>

#include "common/expr.h"
#include "common/log.h"
#include "tests/sim/sim.h"

#define WHERE_ABOVE 2 /* the views without groups show values above it */

/* --- the pipeline --- */

static void
table_make(struct pipeline *p, unsigned index, unsigned server)
{
	static const char *const names[] = {"id", "g", "v"};
	struct table *t = &p->tables[index];
	t->name = xasprintf("t%u", index);
	t->source = xasprintf("public.t%u", index);
	t->topic = xasprintf("s.public.t%u", index);
	t->server = server;
	t->on_error = ON_ERROR_DEAD_LETTER;
	t->column_count = 3;
	t->columns = xcalloc(3, sizeof(*t->columns));
	for (unsigned i = 0; i < 3; i++)
		t->columns[i] = (struct column){
		    .name = xstrdup(names[i]), .type = TYPE_INTEGER, .precision = -1, .scale = -1};
	t->key = xcalloc(1, sizeof(*t->key));
	t->key_count = index == 0;
}

static void
output_add(struct view *v, enum output_kind kind, unsigned column, enum type type)
{
	v->outputs[v->output_count] = (struct output){.name = xasprintf("c%u", v->output_count),
						      .kind = kind,
						      .column = column,
						      .type = type,
						      .scale = -1};
	v->output_count++;
}

static void
view_make(struct pipeline *p, unsigned index)
{
	struct view *v = &p->views[index];
	v->name = xasprintf("v%u", index);
	v->plan = xasprintf("plan of v%u", index);
	v->table = index / 2;
	v->outputs = xcalloc(5, sizeof(*v->outputs));
	v->group = xcalloc(1, sizeof(*v->group));
	if (index % 2 == 0) {
		v->group[v->group_count++] = 1;
		output_add(v, OUTPUT_GROUP, 1, TYPE_INTEGER);
	} else {
		v->where = expr_new(EXPR_GT, 2);
		v->where->args[0] = (struct expr){.op = EXPR_COLUMN, .column = 2};
		v->where->args[1] = (struct expr){.op = EXPR_CONSTANT,
						  .type = TYPE_INTEGER,
						  .value = {.kind = VALUE_INT, .i = WHERE_ABOVE}};
	}
	output_add(v, OUTPUT_COUNT_ROWS, 0, TYPE_BIGINT);
	output_add(v, OUTPUT_SUM, 2, TYPE_BIGINT);
	output_add(v, OUTPUT_MIN, 2, TYPE_INTEGER);
	output_add(v, OUTPUT_MAX, 2, TYPE_INTEGER);
}

struct pipeline *
state_pipeline(const struct plan *plan)
{
	struct pipeline *p = xcalloc(1, sizeof(*p));
	p->file = xstrdup("sim.sql");
	p->name = xstrdup("sim");
	p->target_name = xstrdup("target");
	p->autocommit_duration_ms = plan->autocommit_ms;
	p->commit_interval_ms = plan->commit_interval_ms;
	p->checkpoint_interval_ms = plan->checkpoint_interval_ms;
	p->ring_bytes = plan->out_bytes;
	p->server_count = plan->servers;
	p->servers = xcalloc(plan->servers, sizeof(*p->servers));
	for (unsigned i = 0; i < plan->servers; i++) {
		p->servers[i].name = xasprintf("kafka%u", i);
		if (plan->server[i].mode == ORDER_METADATA)
			p->servers[i].transaction_topic = xasprintf("s%u.transaction", i);
	}
	p->table_count = SIM_TABLES;
	p->tables = xcalloc(SIM_TABLES, sizeof(*p->tables));
	for (unsigned i = 0; i < SIM_TABLES; i++)
		table_make(p, i, i < plan->servers ? i : 0);
	p->view_count = SIM_VIEWS;
	p->views = xcalloc(SIM_VIEWS, sizeof(*p->views));
	for (unsigned i = 0; i < SIM_VIEWS; i++)
		view_make(p, i);
	return p;
}

/* --- what views show --- */

static void
row_add(int32_t *at, int value, int count)
{
	if (count == 0)
		return;
	if (at[0] == 0 || value < at[3])
		at[3] = value;
	if (at[0] == 0 || value > at[4])
		at[4] = value;
	at[0] = 1;
	at[1] += count;
	at[2] += count * value;
}

static void
show_add(struct shown *s, unsigned table, unsigned group, int value, int count)
{
	row_add(s->at[2 * table][group], value, count);
	if (value > WHERE_ABOVE)
		row_add(s->at[2 * table + 1][0], value, count);
}

void
state_show(const struct contents *c, unsigned table, struct shown *s)
{
	memset(s->at[2 * table], 0, 2 * sizeof(s->at[0]));
	for (unsigned i = 0; table == 0 && i < SIM_IDS; i++)
		if (c->row[i].is)
			show_add(s, 0, c->row[i].group, c->row[i].value, 1);
	for (unsigned g = 0; table == 1 && g < SIM_GROUPS; g++)
		for (int v = 0; v < SIM_VALUES; v++)
			show_add(s, 1, g, v, c->bag[g][v]);
}

bool
state_owes(const struct contents *c)
{
	for (unsigned i = 0; i < SIM_GROUPS * SIM_VALUES; i++)
		if (c->bag[i / SIM_VALUES][i % SIM_VALUES] < 0)
			return true;
	return false;
}

bool
state_same(const struct shown *a, const struct shown *b, unsigned table)
{
	return memcmp(a->at[2 * table], b->at[2 * table], 2 * sizeof(a->at[0])) == 0;
}

void
state_print(const struct shown *s)
{
	for (unsigned v = 0; v < SIM_VIEWS; v++)
		for (unsigned g = 0; g < SIM_GROUPS; g++)
			if (s->at[v][g][0])
				printf("    view %u group %u: count %d sum %d min %d max %d\n", v,
				       g, s->at[v][g][1], s->at[v][g][2], s->at[v][g][3],
				       s->at[v][g][4]);
}
