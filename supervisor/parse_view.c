/*
 * parse_view.c - CREATE MATERIALIZED VIEW: the SELECT that a view keeps up to date.
 */
#include <stdlib.h>
#include <string.h>

#include "common/expr.h"
#include "common/log.h"
#include "supervisor/parse_tree.h"

#define OUTPUTS_MAX 1598 /* PostgreSQL's columns of a table, less time and diff */
#define VIEWS_MAX   4096

#define VIEWS_SUPPORTED                                                                            \
	"a view is SELECT columns, expressions and aggregates FROM one table [WHERE condition] "   \
	"[GROUP BY columns and expressions]"
#define AGGREGATES_SUPPORTED                                                                       \
	"supported are count(*), count, sum, min, max and avg of a column or of an expression"

struct select {
	struct parse *p;
	const PgQuery__SelectStmt *stmt;
	struct view *view;
	struct scope scope;
	int location; /* of the statement */
};

/* --- WITH (output = ..., existing = ...) --- */

/* The word or string that an option is set to; NULL for anything else. */
static const char *
option_word(const PgQuery__DefElem *def)
{
	if (def->arg == NULL)
		return NULL;
	if (def->arg->node_case == PG_QUERY__NODE__NODE_TYPE_NAME)
		return parse_type_spelling(def->arg->type_name);
	return parse_string(def->arg);
}

static bool
parse_output_mode(struct parse *p, const PgQuery__DefElem *def, const char *value)
{
	if (value != NULL && strcmp(value, "changes") == 0)
		return true;
	if (value != NULL && strcmp(value, "upsert") == 0)
		return parse_error(
		    p, def->location,
		    "output = upsert is not there yet: supported is output = changes");
	return parse_error(p, def->location, "output must be changes");
}

static bool
parse_existing(struct parse *p, struct view *view, const PgQuery__DefElem *def, const char *value)
{
	if (value != NULL && strcmp(value, "adopt") == 0)
		view->existing = EXISTING_ADOPT;
	else if (value != NULL && strcmp(value, "truncate") == 0)
		view->existing = EXISTING_TRUNCATE;
	else
		return parse_error(p, def->location, "existing must be adopt or truncate");
	return true;
}

static bool
parse_view_options(struct parse *p, struct view *view, const PgQuery__IntoClause *into)
{
	for (size_t i = 0; i < into->n_options; i++) {
		const PgQuery__DefElem *def = into->options[i]->def_elem;
		const char *value = option_word(def);
		bool good;

		for (size_t j = 0; j < i; j++)
			if (strcmp(into->options[j]->def_elem->defname, def->defname) == 0)
				return parse_error(p, def->location, "option \"%s\" is given twice",
						   def->defname);
		if (strcmp(def->defname, "output") == 0 && def->defnamespace[0] == '\0')
			good = parse_output_mode(p, def, value);
		else if (strcmp(def->defname, "existing") == 0 && def->defnamespace[0] == '\0')
			good = parse_existing(p, view, def, value);
		else
			good = parse_error(
			    p, def->location,
			    "option \"%s\" is unknown: a view has the options output and existing",
			    def->defname);
		if (!good)
			return false;
	}
	return true;
}

/* --- what a SELECT may not have --- */

static bool
refuse_clause(struct select *s, const char *words, const char *what)
{
	int from = parse_find_word(s->p, s->location, "AS");

	return parse_error(s->p, parse_find_word(s->p, from, words), "%s not supported: %s", what,
			   VIEWS_SUPPORTED);
}

static bool
refuse_clauses(struct select *s)
{
	const PgQuery__SelectStmt *stmt = s->stmt;
	const struct {
		bool present;
		const char *words, *what;
	} rows[] = {
	    {stmt->with_clause != NULL, "WITH", "WITH queries are"},
	    {stmt->op != PG_QUERY__SET_OPERATION__SETOP_NONE, "UNION INTERSECT EXCEPT",
	     "UNION, INTERSECT and EXCEPT are"},
	    {stmt->n_values_lists > 0, "VALUES", "VALUES is"},
	    {stmt->into_clause != NULL, "INTO", "SELECT INTO is"},
	    {stmt->n_distinct_clause > 0, "DISTINCT", "DISTINCT is"},
	    {stmt->having_clause != NULL, "HAVING", "HAVING is"},
	    {stmt->n_window_clause > 0, "WINDOW", "a window is"},
	    {stmt->n_sort_clause > 0, "ORDER", "ORDER BY is"},
	    {stmt->limit_count != NULL || stmt->limit_offset != NULL, "LIMIT OFFSET FETCH",
	     "LIMIT is"},
	    {stmt->n_locking_clause > 0, "FOR", "FOR UPDATE and FOR SHARE are"},
	    {stmt->group_distinct, "GROUP", "GROUP BY DISTINCT is"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].present)
			return refuse_clause(s, rows[i].words, rows[i].what);
	return true;
}

/* --- FROM --- */

static bool
refuse_from(struct select *s, const PgQuery__Node *node)
{
	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_JOIN_EXPR:
		return refuse_clause(s, "JOIN", "a join is");
	case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
		return refuse_clause(s, "FROM", "a subquery is");
	case PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE:
		return refuse_clause(s, "TABLESAMPLE", "TABLESAMPLE is");
	default:
		return refuse_clause(s, "FROM", "this FROM is");
	}
}

static bool
find_table(struct select *s, const PgQuery__RangeVar *range)
{
	const struct pipeline *pipeline = s->p->pipeline;
	char *name = range->schemaname[0] != '\0'
			 ? xasprintf("%s.%s", range->schemaname, range->relname)
			 : xstrdup(range->relname);
	bool found = false;

	for (unsigned i = 0; i < pipeline->table_count && !found; i++)
		if (strcmp(pipeline->tables[i].name, name) == 0) {
			s->view->table = i;
			s->scope.table = &pipeline->tables[i];
			found = true;
		}
	if (!found)
		parse_error(s->p, range->location, "foreign table \"%s\" is not declared", name);
	free(name);
	return found;
}

static bool
select_from(struct select *s)
{
	const PgQuery__RangeVar *range;

	if (s->stmt->n_from_clause == 0)
		return refuse_clause(s, "SELECT", "a SELECT without FROM is");
	if (s->stmt->n_from_clause > 1)
		return refuse_clause(s, "FROM", "a join is");
	if (s->stmt->from_clause[0]->node_case != PG_QUERY__NODE__NODE_RANGE_VAR)
		return refuse_from(s, s->stmt->from_clause[0]);
	range = s->stmt->from_clause[0]->range_var;
	if (range->catalogname[0] != '\0' || !range->inh ||
	    (range->alias != NULL && range->alias->n_colnames > 0))
		return parse_error(s->p, range->location,
				   "FROM takes a table's name and an alias, and nothing else");
	s->scope.schema =
	    range->schemaname[0] != '\0' && range->alias == NULL ? range->schemaname : NULL;
	s->scope.alias = range->alias != NULL ? range->alias->aliasname : range->relname;
	return find_table(s, range);
}

/* --- columns and expressions --- */

static const struct column *
select_column_of(const struct select *s, unsigned column)
{
	return view_column(s->view, s->scope.table, column);
}

/* The number of a column; an expression becomes a computed one, unless there is the same already. */
static bool
select_operand(struct select *s, const PgQuery__Node *node, unsigned *column)
{
	struct expr *e = expr_new(EXPR_COLUMN, 0);
	bool good = parse_scalar(s->p, &s->scope, node, e), found = false;
	char *text;

	if (!good || e->op == EXPR_COLUMN) {
		*column = e->column;
		expr_free(e);
		return good;
	}
	text = expr_print(e, s->scope.table);
	for (unsigned i = 0; i < s->view->computed_count && !found; i++) {
		found = strcmp(s->view->computed[i].column.name, text) == 0;
		*column = s->scope.table->column_count + i;
	}
	free(text);
	if (found)
		expr_free(e);
	else
		*column = view_compute(s->view, s->scope.table, e);
	return true;
}

static bool
has_equality(struct select *s, unsigned column, int location)
{
	const struct column *c = select_column_of(s, column);

	return type_has_equality(column_scalar(c)) ||
	       parse_error(s->p, location,
			   "column \"%s\" has type %s, which has no equality to group by: "
			   "declare it as jsonb if it is that in the source",
			   c->name, c->type == TYPE_ARRAY ? "json[]" : "json");
}

/* --- the SELECT list --- */

static const struct aggregate_row {
	const char *name;
	enum output_kind kind;
} aggregates[] = {
    {"count", OUTPUT_COUNT}, {"sum", OUTPUT_SUM}, {"min", OUTPUT_MIN},
    {"max", OUTPUT_MAX},     {"avg", OUTPUT_AVG},
};

static const struct aggregate_row *
find_aggregate(const PgQuery__FuncCall *call)
{
	const char *name = parse_string(call->funcname[call->n_funcname - 1]);
	const char *schema = call->n_funcname > 1 ? parse_string(call->funcname[0]) : "pg_catalog";

	if (name == NULL || schema == NULL || strcmp(schema, "pg_catalog") != 0)
		return NULL;
	for (size_t i = 0; i < sizeof(aggregates) / sizeof(aggregates[0]); i++)
		if (strcmp(aggregates[i].name, name) == 0)
			return &aggregates[i];
	return NULL;
}

static bool
refuse_call_clauses(struct parse *p, const PgQuery__FuncCall *call)
{
	const char *what = call->over != NULL         ? "a window is"
			   : call->agg_filter != NULL ? "FILTER is"
			   : call->agg_distinct       ? "DISTINCT in an aggregate is"
			   : call->n_agg_order > 0    ? "ORDER BY in an aggregate is"
			   : call->agg_within_group   ? "WITHIN GROUP is"
			   : call->func_variadic      ? "VARIADIC is"
						      : NULL;

	if (what == NULL)
		return true;
	return parse_error(p, call->location, "%s not supported: %s", what, AGGREGATES_SUPPORTED);
}

/* The type of a sum or an average, as in PostgreSQL; false: it has none. */
static bool
sum_type(enum output_kind kind, enum type type, enum type *result)
{
	switch (type) {
	case TYPE_SMALLINT:
	case TYPE_INTEGER:
		*result = kind == OUTPUT_SUM ? TYPE_BIGINT : TYPE_NUMERIC;
		return true;
	case TYPE_BIGINT:
	case TYPE_NUMERIC:
		*result = TYPE_NUMERIC;
		return true;
	case TYPE_REAL:
	case TYPE_DOUBLE:
		*result = kind == OUTPUT_SUM ? type : TYPE_DOUBLE;
		return true;
	case TYPE_MONEY:
		*result = TYPE_MONEY;
		return kind == OUTPUT_SUM;
	default:
		return false;
	}
}

/* Is the aggregate defined for the column's type, and what does it give? */
static bool
aggregate_type(struct select *s, struct output *output, const char *function, int location)
{
	const struct column *column = select_column_of(s, output->column);

	output->type = column->type;
	output->scale = column->type == TYPE_NUMERIC ? column->scale : -1;
	switch (output->kind) {
	case OUTPUT_COUNT:
		output->type = TYPE_BIGINT;
		output->scale = -1;
		return true;
	case OUTPUT_SUM:
	case OUTPUT_AVG:
		if (output->kind == OUTPUT_AVG)
			output->scale = -1;
		if (sum_type(output->kind, column->type, &output->type))
			return true;
		break;
	default:
		if (!type_has_extremes(column->type))
			break;
		return parse_orderable(s->p, column, location, function);
	}
	return parse_error(
	    s->p, location, "%s is not %s for type %s, which column \"%s\" has", function,
	    column->type == TYPE_INTERVAL || column->type == TYPE_ARRAY ? "supported" : "defined",
	    type_name(column->type), column->name);
}

static bool
select_aggregate(struct select *s, const PgQuery__FuncCall *call, struct output *output)
{
	const struct aggregate_row *row = find_aggregate(call);

	if (row == NULL) {
		const char *name = parse_string(call->funcname[call->n_funcname - 1]);

		return parse_error(s->p, call->location, "function \"%s\" is not supported: %s",
				   name != NULL ? name : "?", AGGREGATES_SUPPORTED);
	}
	if (!refuse_call_clauses(s->p, call))
		return false;
	output->kind = row->kind;
	if (call->agg_star && row->kind == OUTPUT_COUNT) {
		output->kind = OUTPUT_COUNT_ROWS;
		output->type = TYPE_BIGINT;
		output->scale = -1;
		return true;
	}
	if (call->n_args != 1)
		return parse_error(s->p, call->location, "an aggregate takes one argument: %s",
				   AGGREGATES_SUPPORTED);
	return select_operand(s, call->args[0], &output->column) &&
	       aggregate_type(s, output, row->name, call->location);
}

static bool
select_plain(struct select *s, const PgQuery__Node *node, struct output *output)
{
	const struct column *column;

	if (!select_operand(s, node, &output->column) ||
	    !has_equality(s, output->column, parse_location(node)))
		return false;
	column = select_column_of(s, output->column);
	output->kind = OUTPUT_GROUP;
	output->type = column->type;
	output->scale = column->type == TYPE_NUMERIC ? column->scale : -1;
	return true;
}

/* The name that PostgreSQL gives a column of a SELECT (FigureColname()); NULL: none that says anything. */
static const char *
figure_name(const PgQuery__Node *node)
{
	const PgQuery__Node *arg;
	const char *name;

	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_COLUMN_REF:
		return parse_string(node->column_ref->fields[node->column_ref->n_fields - 1]);
	case PG_QUERY__NODE__NODE_FUNC_CALL:
		return parse_string(node->func_call->funcname[node->func_call->n_funcname - 1]);
	case PG_QUERY__NODE__NODE_COALESCE_EXPR:
		return "coalesce";
	case PG_QUERY__NODE__NODE_A_EXPR:
		return node->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF ? "nullif"
										   : NULL;
	case PG_QUERY__NODE__NODE_TYPE_CAST:
		/* Of a cast in a cast the outer type counts. */
		for (arg = node; arg->node_case == PG_QUERY__NODE__NODE_TYPE_CAST;)
			arg = arg->type_cast->arg;
		name = figure_name(arg);
		return name != NULL ? name : parse_type_spelling(node->type_cast->type_name);
	default:
		return NULL;
	}
}

static bool
select_name(struct select *s, const PgQuery__ResTarget *target, struct output *output)
{
	const char *name = target->name[0] != '\0' ? target->name : figure_name(target->val);

	if (name == NULL)
		return parse_error(s->p, target->location,
				   "this expression has no name: name it with AS");
	output->name = xstrdup(name);
	if (strcmp(name, "time") == 0 || strcmp(name, "diff") == 0)
		return parse_error(
		    s->p, target->location,
		    "the name \"%s\" is taken: each row of a view has the columns time and diff "
		    "besides its own; name it with AS",
		    name);
	for (const struct output *o = s->view->outputs; o < output; o++)
		if (strcmp(o->name, name) == 0)
			return parse_error(s->p, target->location,
					   "two output columns are named \"%s\": name them with AS",
					   name);
	return true;
}

static bool
select_output(struct select *s, const PgQuery__ResTarget *target)
{
	const PgQuery__Node *val = target->val;
	struct output *output = &s->view->outputs[s->view->output_count++];
	bool good;

	output->place = parse_place(s->p, target->location);
	if (val->node_case == PG_QUERY__NODE__NODE_FUNC_CALL &&
	    !parse_is_scalar_call(val->func_call))
		good = select_aggregate(s, val->func_call, output);
	else
		good = select_plain(s, val, output);
	return good && select_name(s, target, output);
}

static bool
select_outputs(struct select *s)
{
	size_t count = s->stmt->n_target_list;
	bool aggregate = false;

	if (count == 0 || count > OUTPUTS_MAX)
		return parse_error(s->p, s->location, "a view has 1 to %d output columns",
				   OUTPUTS_MAX);
	s->view->outputs = xcalloc(count, sizeof(*s->view->outputs));
	for (size_t i = 0; i < count; i++) {
		if (!select_output(s, s->stmt->target_list[i]->res_target))
			return false;
		aggregate |= s->view->outputs[i].kind != OUTPUT_GROUP;
	}
	if (!aggregate)
		return parse_error(s->p, s->stmt->target_list[0]->res_target->location,
				   "the SELECT has no aggregate: %s", AGGREGATES_SUPPORTED);
	return true;
}

/* --- GROUP BY --- */

static bool
group_output(struct select *s, const struct output *output, int location, unsigned *column)
{
	if (output->kind != OUTPUT_GROUP)
		return parse_error(s->p, location,
				   "\"%s\" is an aggregate: it cannot be grouped by", output->name);
	*column = output->column;
	return true;
}

/* A position in the SELECT list, counted from 1. */
static bool
group_position(struct select *s, const PgQuery__AConst *c, unsigned *column)
{
	int position = c->val_case == PG_QUERY__A__CONST__VAL_IVAL ? c->ival->ival : 0;

	if (position < 1 || (unsigned)position > s->view->output_count)
		return parse_error(s->p, c->location,
				   "GROUP BY takes columns or positions from 1 to %u",
				   s->view->output_count);
	return group_output(s, &s->view->outputs[position - 1], c->location, column);
}

/* As in PostgreSQL: a column of the table wins over an output's name. */
static bool
group_column(struct select *s, const PgQuery__ColumnRef *ref, unsigned *column)
{
	const char *name = parse_string(ref->fields[ref->n_fields - 1]);
	const struct table *table = s->scope.table;

	for (unsigned i = 0; name != NULL && i < table->column_count; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			return parse_column(s->p, &s->scope, ref, column);
	for (unsigned i = 0; name != NULL && ref->n_fields == 1 && i < s->view->output_count; i++)
		if (strcmp(s->view->outputs[i].name, name) == 0)
			return group_output(s, &s->view->outputs[i], ref->location, column);
	return parse_column(s->p, &s->scope, ref, column);
}

static bool
is_grouped(const struct view *view, unsigned column)
{
	for (unsigned i = 0; i < view->group_count; i++)
		if (view->group[i] == column)
			return true;
	return false;
}

static bool
select_group(struct select *s)
{
	struct view *view = s->view;

	view->group = xcalloc(s->stmt->n_group_clause + 1, sizeof(*view->group));
	for (size_t i = 0; i < s->stmt->n_group_clause; i++) {
		const PgQuery__Node *node = s->stmt->group_clause[i];
		unsigned column = 0;
		bool good;

		if (node->node_case == PG_QUERY__NODE__NODE_A_CONST)
			good = group_position(s, node->a_const, &column);
		else if (node->node_case == PG_QUERY__NODE__NODE_COLUMN_REF)
			good = group_column(s, node->column_ref, &column);
		else if (node->node_case == PG_QUERY__NODE__NODE_GROUPING_SET)
			good = parse_error(s->p, parse_location(node),
					   "grouping sets are not supported: GROUP BY takes "
					   "columns and expressions");
		else
			good = select_operand(s, node, &column);
		if (!good || !has_equality(s, column, parse_location(node)))
			return false;
		if (!is_grouped(view, column))
			view->group[view->group_count++] = column;
	}
	return true;
}

static bool
check_grouped(struct select *s)
{
	const struct view *view = s->view;

	for (unsigned i = 0; i < view->output_count; i++) {
		const struct output *output = &view->outputs[i];

		if (output->kind == OUTPUT_GROUP && !is_grouped(view, output->column))
			return parse_error(s->p, s->stmt->target_list[i]->res_target->location,
					   "column \"%s\" must be in GROUP BY or in an aggregate",
					   select_column_of(s, output->column)->name);
	}
	return true;
}

static bool
select_parse(struct select *s)
{
	if (!refuse_clauses(s) || !select_from(s) || !select_outputs(s) || !select_group(s) ||
	    !check_grouped(s))
		return false;
	if (s->stmt->where_clause != NULL) {
		s->view->where = parse_where(s->p, &s->scope, s->stmt->where_clause);
		if (s->view->where == NULL)
			return false;
	}
	s->view->plan = pipeline_print_plan(s->view, s->scope.table);
	return true;
}

/* --- the statement --- */

static bool
refuse_view_clauses(struct parse *p, const PgQuery__CreateTableAsStmt *stmt)
{
	const PgQuery__IntoClause *into = stmt->into;
	int location = into->rel->location;

	if (stmt->if_not_exists)
		return parse_error(p, location, "IF NOT EXISTS has no meaning in a pipeline file");
	if (into->n_col_names > 0)
		return parse_error(
		    p, location,
		    "a list of column names is not supported: name the columns with AS");
	if (into->access_method[0] != '\0' || into->table_space_name[0] != '\0')
		return parse_error(p, location, "USING and TABLESPACE are not supported");
	if (into->skip_data)
		return parse_error(p, location, "WITH NO DATA is not supported");
	if (into->rel->catalogname[0] != '\0')
		return parse_error(p, location, "a view's name is name or schema.name");
	return true;
}

static bool
parse_view_name(struct parse *p, struct view *view, const PgQuery__RangeVar *name)
{
	const struct pipeline *pipeline = p->pipeline;

	view->name = xstrdup(name->relname);
	view->schema = name->schemaname[0] != '\0' ? xstrdup(name->schemaname) : NULL;
	view->place = parse_place(p, name->location);
	for (const struct view *v = pipeline->views; v < view; v++)
		if (strcmp(v->name, view->name) == 0 &&
		    strcmp(v->schema ? v->schema : "", view->schema ? view->schema : "") == 0)
			return parse_error(p, name->location,
					   "two views feed the target table \"%s\"", view->name);
	return true;
}

bool
parse_view(struct parse *p, const PgQuery__CreateTableAsStmt *stmt, int location)
{
	struct pipeline *pipeline = p->pipeline;
	struct select s = {.p = p, .location = location};

	if (!refuse_view_clauses(p, stmt))
		return false;
	if (pipeline->view_count >= VIEWS_MAX)
		return parse_error(p, location, "more than %d views are not supported", VIEWS_MAX);
	pipeline->views =
	    xreallocarray(pipeline->views, pipeline->view_count + 1, sizeof(*pipeline->views));
	s.view = &pipeline->views[pipeline->view_count++];
	*s.view = (struct view){0};
	if (!parse_view_name(p, s.view, stmt->into->rel) ||
	    !parse_view_options(p, s.view, stmt->into))
		return false;
	if (stmt->query->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
		return parse_error(p, location, "this query is not supported: %s", VIEWS_SUPPORTED);
	s.stmt = stmt->query->select_stmt;
	return select_parse(&s);
}
