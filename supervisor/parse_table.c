/*
 * parse_table.c - CREATE FOREIGN TABLE: columns, types, the key, the topic.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/parse_tree.h"

#define COLUMNS_MAX 1600 /* PostgreSQL's own limit */
#define TABLES_MAX  4096

/* --- columns --- */

static int
find_column(const struct table *table, const char *name)
{
	for (unsigned i = 0; i < table->column_count; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			return (int)i;
	return -1;
}

static bool
key_append(struct parse *p, struct table *table, const char *name, int location)
{
	int column = find_column(table, name);

	if (column < 0)
		return parse_error(p, location,
				   "PRIMARY KEY names the column \"%s\", which the "
				   "table does not have",
				   name);
	for (unsigned i = 0; i < table->key_count; i++)
		if (table->key[i] == (unsigned)column)
			return parse_error(p, location, "PRIMARY KEY names \"%s\" twice", name);
	if (!type_has_equality(table->columns[column].type) ||
	    table->columns[column].type == TYPE_ARRAY)
		return parse_error(p, location, "column \"%s\" of type %s cannot be a key", name,
				   type_name(table->columns[column].type));
	table->key = xreallocarray(table->key, table->key_count + 1, sizeof(*table->key));
	table->key[table->key_count++] = (unsigned)column;
	table->columns[column].not_null = true;
	return true;
}

/* A key declared with a column (then `column` is its name) or for the table. */
static bool
parse_primary_key(struct parse *p, struct table *table, const PgQuery__Constraint *c,
		  const char *column)
{
	if (table->key_count > 0)
		return parse_error(p, c->location, "the table has two PRIMARY KEYs");
	if (c->deferrable || c->n_including > 0 || c->n_options > 0 || c->indexspace[0] != '\0')
		return parse_error(p, c->location,
				   "PRIMARY KEY takes column names and nothing else");
	if (column != NULL)
		return key_append(p, table, column, c->location);
	for (size_t i = 0; i < c->n_keys; i++)
		if (!key_append(p, table, parse_string(c->keys[i]), c->location))
			return false;
	return true;
}

static bool
refuse_constraint(struct parse *p, const PgQuery__Constraint *c)
{
	return parse_error(
	    p, c->location,
	    "this constraint is not supported: supported are NOT NULL and PRIMARY KEY");
}

static bool
parse_column_constraint(struct parse *p, struct table *table, unsigned column,
			const PgQuery__Constraint *c, bool *nullable)
{
	switch (c->contype) {
	case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
		table->columns[column].not_null = true;
		return true;
	case PG_QUERY__CONSTR_TYPE__CONSTR_NULL:
		*nullable = true;
		return true;
	case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
		return parse_primary_key(p, table, c, table->columns[column].name);
	default:
		return refuse_constraint(p, c);
	}
}

static bool
parse_collation(struct parse *p, struct column *column, const PgQuery__CollateClause *clause)
{
	const char *name = parse_string(clause->collname[clause->n_collname - 1]);

	if (!type_is_text(column->type))
		return parse_error(p, clause->location, "collations are for text; type %s has none",
				   type_name(column->type));
	if (name == NULL || strcmp(name, "C") != 0)
		return parse_error(p, clause->location,
				   "collation \"%s\" is not supported: only \"C\" is",
				   name ? name : "?");
	column->collate_c = true;
	return true;
}

static bool
parse_column_def(struct parse *p, struct table *table, const PgQuery__ColumnDef *def)
{
	struct column *column;
	bool nullable = false;

	if (find_column(table, def->colname) >= 0)
		return parse_error(p, def->location, "column \"%s\" is declared twice",
				   def->colname);
	if (table->column_count >= COLUMNS_MAX)
		return parse_error(p, def->location, "more than %d columns are not supported",
				   COLUMNS_MAX);
	if (def->n_fdwoptions > 0)
		return parse_error(p, parse_location(def->fdwoptions[0]),
				   "options of columns are not supported");
	table->columns =
	    xreallocarray(table->columns, table->column_count + 1, sizeof(*table->columns));
	column = &table->columns[table->column_count++];
	*column = (struct column){.name = xstrdup(def->colname),
				  .precision = -1,
				  .scale = -1,
				  .place = parse_place(p, def->location)};
	if (!parse_type(p, def->type_name, column) ||
	    (def->coll_clause != NULL && !parse_collation(p, column, def->coll_clause)))
		return false;
	for (size_t i = 0; i < def->n_constraints; i++)
		if (!parse_column_constraint(p, table, table->column_count - 1,
					     def->constraints[i]->constraint, &nullable))
			return false;
	if (nullable && column->not_null)
		return parse_error(p, def->location, "column \"%s\" is declared NULL and NOT NULL",
				   def->colname);
	return true;
}

static bool
parse_elements(struct parse *p, struct table *table, const PgQuery__CreateStmt *stmt)
{
	bool good = true;

	for (size_t i = 0; i < stmt->n_table_elts; i++) {
		const PgQuery__Node *node = stmt->table_elts[i];

		if (node->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF)
			good &= parse_column_def(p, table, node->column_def);
	}
	for (size_t i = 0; good && i < stmt->n_table_elts; i++) {
		const PgQuery__Node *node = stmt->table_elts[i];

		if (node->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF)
			continue;
		if (node->node_case != PG_QUERY__NODE__NODE_CONSTRAINT)
			good = parse_error(p, stmt->relation->location,
					   "LIKE is not supported: list the columns");
		else if (node->constraint->contype != PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY)
			good = refuse_constraint(p, node->constraint);
		else
			good = parse_primary_key(p, table, node->constraint, NULL);
	}
	if (good && table->column_count == 0)
		return parse_error(p, stmt->relation->location, "the table has no columns");
	return good;
}

/* --- topic and source --- */

/* Where an option's text belongs; NULL: it is unknown. */
static char **
table_option(struct table *table, const char *name, char **on_error)
{
	if (strcmp(name, "topic") == 0)
		return &table->topic;
	if (strcmp(name, "table") == 0)
		return &table->source;
	return strcmp(name, "on_error") == 0 ? on_error : NULL;
}

static bool
parse_on_error(struct parse *p, struct table *table, const char *text, int location)
{
	for (enum on_error i = ON_ERROR_STOP; i <= ON_ERROR_DEAD_LETTER; i++) {
		if (strcmp(text, on_error_name(i)) != 0)
			continue;
		table->on_error = i;
		return true;
	}
	return parse_error(p, location,
			   "option \"on_error\" says what becomes of a message that cannot be "
			   "used: 'stop', 'skip' or 'dead_letter'");
}

static bool
parse_table_option(struct parse *p, struct table *table, const PgQuery__Node *node, char **on_error)
{
	const char *name, *what;
	char *value, **member;
	int location;

	if (!parse_option(p, node, &name, &value, &location))
		return false;
	member = table_option(table, name, on_error);
	if (member == NULL || *member != NULL || value[0] == '\0') {
		what = member == NULL    ? "is unknown: a foreign table has the options topic, "
					   "\"table\" and on_error"
		       : *member != NULL ? "is given twice"
					 : "is empty";
		free(value);
		return parse_error(p, location, "option \"%s\" %s", name, what);
	}
	*member = value;
	if (member == on_error)
		return parse_on_error(p, table, value, location);
	if (member == &table->topic)
		table->topic_place = parse_place(p, location);
	return member != &table->topic || parse_topic(p, name, value, location);
}

static bool
parse_table_options(struct parse *p, struct table *table,
		    const PgQuery__CreateForeignTableStmt *stmt)
{
	char *on_error = NULL;
	bool good = true;

	for (size_t i = 0; good && i < stmt->n_options; i++)
		good = parse_table_option(p, table, stmt->options[i], &on_error);
	free(on_error);
	if (good && table->topic == NULL)
		return parse_error(p, stmt->base_stmt->relation->location,
				   "foreign table \"%s\" needs the option topic", table->name);
	return good;
}

/* The last two parts of the topic, as Debezium names topics: prefix.schema.table. */
static bool
default_source(struct parse *p, struct table *table, int location)
{
	const char *dot = strrchr(table->topic, '.'), *start;

	if (table->source != NULL)
		return true;
	if (dot == NULL || dot == table->topic || dot[1] == '\0')
		return parse_error(
		    p, location,
		    "the topic's name does not end in schema.table: add the option \"table\" "
		    "'schema.table'");
	for (start = dot; start > table->topic && start[-1] != '.';)
		start--;
	table->source = xstrdup(start);
	return true;
}

static bool
check_topic_use(struct parse *p, const struct table *table, int location)
{
	const struct pipeline *pipeline = p->pipeline;
	const char *transactions = pipeline->servers[table->server].transaction_topic;

	if (transactions != NULL && strcmp(transactions, table->topic) == 0)
		return parse_error(p, location, "topic %s is the server's transaction_topic",
				   table->topic);
	for (const struct table *t = pipeline->tables; t < table; t++) {
		if (t->server != table->server || t->topic == NULL || t->source == NULL)
			continue;
		if (strcmp(t->topic, table->topic) == 0)
			return parse_error(
			    p, location,
			    "topic %s feeds table \"%s\" already: one topic feeds one table",
			    table->topic, t->name);
		if (transactions != NULL && strcmp(t->source, table->source) == 0)
			return parse_error(
			    p, location,
			    "the source table %s feeds table \"%s\" already: their events "
			    "could not be counted apart",
			    table->source, t->name);
	}
	return true;
}

/* --- the statement --- */

static bool
parse_table_server(struct parse *p, struct table *table, const char *name, int location)
{
	const struct pipeline *pipeline = p->pipeline;

	for (unsigned i = 0; i < pipeline->server_count; i++)
		if (strcmp(pipeline->servers[i].name, name) == 0) {
			table->server = i;
			return true;
		}
	location = parse_find_token(p, parse_find_word(p, location, "SERVER"), 1);
	if (pipeline->target_name != NULL && strcmp(pipeline->target_name, name) == 0)
		return parse_error(
		    p, location,
		    "server \"%s\" is the target: a foreign table is read from a debezium server",
		    name);
	return parse_error(p, location, "server \"%s\" is not declared", name);
}

static bool
refuse_table_clauses(struct parse *p, const PgQuery__CreateStmt *stmt)
{
	int location = stmt->relation->location;

	if (stmt->if_not_exists)
		return parse_error(p, location, "IF NOT EXISTS has no meaning in a pipeline file");
	if (stmt->n_inh_relations > 0 || stmt->partbound != NULL || stmt->partspec != NULL)
		return parse_error(p, location,
				   "partitions and INHERITS are not supported: list the "
				   "columns");
	if (stmt->relation->catalogname[0] != '\0')
		return parse_error(p, location, "a table's name is name or schema.name");
	return true;
}

static bool
parse_table_name(struct parse *p, struct table *table, const PgQuery__RangeVar *name)
{
	const struct pipeline *pipeline = p->pipeline;

	if (strchr(name->schemaname, '.') != NULL || strchr(name->relname, '.') != NULL)
		return parse_error(p, name->location,
				   "a dot inside a table's name is not supported: schema and name "
				   "are told apart by it");
	table->name = name->schemaname[0] != '\0'
			  ? xasprintf("%s.%s", name->schemaname, name->relname)
			  : xstrdup(name->relname);
	table->place = parse_place(p, name->location);
	for (const struct table *t = pipeline->tables; t < table; t++)
		if (t->name != NULL && strcmp(t->name, table->name) == 0)
			return parse_error(p, name->location, "table \"%s\" is declared twice",
					   table->name);
	return true;
}

bool
parse_table(struct parse *p, const PgQuery__CreateForeignTableStmt *stmt, int location)
{
	struct pipeline *pipeline = p->pipeline;
	const PgQuery__RangeVar *name = stmt->base_stmt->relation;
	struct table *table;

	if (!refuse_table_clauses(p, stmt->base_stmt))
		return false;
	if (pipeline->table_count >= TABLES_MAX)
		return parse_error(p, location, "more than %d tables are not supported",
				   TABLES_MAX);
	pipeline->tables =
	    xreallocarray(pipeline->tables, pipeline->table_count + 1, sizeof(*pipeline->tables));
	table = &pipeline->tables[pipeline->table_count++];
	*table = (struct table){0};
	if (!parse_table_name(p, table, name) ||
	    !parse_table_server(p, table, stmt->servername, name->location) ||
	    !parse_elements(p, table, stmt->base_stmt) || !parse_table_options(p, table, stmt) ||
	    !default_source(p, table, name->location))
		return false;
	return check_topic_use(p, table, name->location);
}
