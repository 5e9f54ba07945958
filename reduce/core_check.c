/*
 * core_check.c - do tables and views fit together.
 */
#include "common/log.h"
#include "reduce/core.h"

static char *
check_output(const struct table *table, const struct view *view, const struct output *output)
{
	bool grouped = false;

	if (output->kind == OUTPUT_COUNT_ROWS)
		return NULL;
	if (output->column >= table->column_count + view->computed_count)
		return xasprintf("column \"%s\" reads a column that table \"%s\" does not have",
				 output->name, table->name);
	const struct column *column = view_column(view, table, output->column);
	if ((output->kind == OUTPUT_SUM || output->kind == OUTPUT_AVG) &&
	    !type_is_number(column->type))
		return xasprintf("column \"%s\": %s has no sum and no average", output->name,
				 type_name(column->type));
	for (unsigned i = 0; i < view->group_count; i++)
		grouped = grouped || view->group[i] == output->column;
	if (output->kind == OUTPUT_GROUP && !grouped)
		return xasprintf("column \"%s\" does not stand in GROUP BY", output->name);
	return NULL;
}

static char *
check_view(const struct pipeline *pipeline, const struct view *view, struct place *place)
{
	*place = view->place;
	if (view->table >= pipeline->table_count)
		return xasprintf("view \"%s\" reads a table that is not there", view->name);
	const struct table *table = &pipeline->tables[view->table];
	for (unsigned i = 0; i < view->group_count; i++)
		if (view->group[i] >= table->column_count + view->computed_count)
			return xasprintf("view \"%s\" groups by a column that is not there",
					 view->name);
	for (unsigned i = 0; i < view->output_count; i++) {
		char *problem = check_output(table, view, &view->outputs[i]);
		if (problem != NULL) {
			*place = view->outputs[i].place;
			return problem;
		}
	}
	return NULL;
}

static char *
check_table(const struct pipeline *pipeline, const struct table *table, struct place *place)
{
	*place = table->place;
	if (table->server >= pipeline->server_count)
		return xasprintf("table \"%s\" belongs to a server that is not there", table->name);
	for (unsigned i = 0; i < table->key_count; i++)
		if (table->key[i] >= table->column_count)
			return xasprintf("the key of table \"%s\" names no column", table->name);
	return NULL;
}

char *
core_check(const struct pipeline *pipeline, struct place *place)
{
	char *problem = NULL;

	for (unsigned i = 0; problem == NULL && i < pipeline->table_count; i++)
		problem = check_table(pipeline, &pipeline->tables[i], place);
	for (unsigned i = 0; problem == NULL && i < pipeline->view_count; i++)
		problem = check_view(pipeline, &pipeline->views[i], place);
	return problem;
}
