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

#define TYPES_SUPPORTED                                                                            \
	"supported are integer, bigint, numeric, text, boolean, timestamp and timestamptz"

/* --- types --- */

static const struct type_row {
	const char *name;
	enum type type;
} type_rows[] = {
    {"int4", TYPE_INTEGER},
    {"int8", TYPE_BIGINT},
    {"numeric", TYPE_NUMERIC},
    {"text", TYPE_TEXT},
    {"bool", TYPE_BOOLEAN},
    {"timestamp", TYPE_TIMESTAMP},
    {"timestamptz", TYPE_TIMESTAMPTZ},
};

/* Types that are asked for often, with what to do instead. */
static const struct type_hint {
	const char *name, *hint;
} type_hints[] = {
    {"float4", "floating point is not supported yet: exact float sums come later"},
    {"float8", "floating point is not supported yet: exact float sums come later"},
    {"varchar", "varchar is not supported: declare it as text"},
    {"bpchar", "character is not supported: declare it as text"},
    {"int2", "smallint is not supported: declare it as integer"},
    {"serial", "serial is not supported: declare it as integer"},
    {"bigserial", "bigserial is not supported: declare it as bigint"},
};

const char *
parse_type_spelling(const PgQuery__TypeName *name)
{
	const char *s = name->n_names > 0 ? parse_string(name->names[name->n_names - 1]) : NULL;

	return s != NULL ? s : "?";
}

bool
parse_type_name(const PgQuery__TypeName *name, enum type *type)
{
	const char *spelling = parse_type_spelling(name);

	if (name->n_array_bounds > 0 || name->setof || name->pct_type || name->n_names > 2)
		return false;
	if (name->n_names == 2) {
		const char *schema = parse_string(name->names[0]);

		if (schema == NULL || strcmp(schema, "pg_catalog") != 0)
			return false;
	}
	for (size_t i = 0; i < sizeof(type_rows) / sizeof(type_rows[0]); i++)
		if (strcmp(type_rows[i].name, spelling) == 0) {
			*type = type_rows[i].type;
			return true;
		}
	return false;
}

static bool
refuse_type(struct parse *p, const PgQuery__TypeName *name)
{
	const char *spelling = parse_type_spelling(name);

	if (name->n_array_bounds > 0)
		return parse_error(p, name->location, "arrays are not supported: %s",
				   TYPES_SUPPORTED);
	for (size_t i = 0; i < sizeof(type_hints) / sizeof(type_hints[0]); i++)
		if (strcmp(type_hints[i].name, spelling) == 0)
			return parse_error(p, name->location, "%s", type_hints[i].hint);
	return parse_error(p, name->location, "type \"%s\" is not supported: %s", spelling,
			   TYPES_SUPPORTED);
}

/* The i-th type modifier, -1 when it is no number. */
static int
type_modifier(const PgQuery__TypeName *name, size_t i)
{
	const PgQuery__Node *node = name->typmods[i];

	if (node->node_case != PG_QUERY__NODE__NODE_A_CONST ||
	    node->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL)
		return -1;
	return node->a_const->ival->ival;
}

static bool
parse_modifiers(struct parse *p, const PgQuery__TypeName *name, struct column *column)
{
	column->precision = column->scale = -1;
	if (name->n_typmods == 0)
		return true;
	if (column->type == TYPE_NUMERIC) {
		column->precision = type_modifier(name, 0);
		column->scale = name->n_typmods > 1 ? type_modifier(name, 1) : 0;
		if (name->n_typmods > 2 || column->precision < 1 || column->precision > 1000 ||
		    column->scale < 0 || column->scale > 1000)
			return parse_error(
			    p, name->location,
			    "numeric(precision, scale) takes a precision from 1 to 1000 and a "
			    "scale from 0 to 1000");
		return true;
	}
	if (column->type == TYPE_TIMESTAMP || column->type == TYPE_TIMESTAMPTZ) {
		if (name->n_typmods == 1 && type_modifier(name, 0) == 6)
			return true;
		return parse_error(
		    p, name->location,
		    "a precision of timestamps other than 6 is not supported: leave it out");
	}
	return parse_error(p, name->location, "type %s takes no modifier", type_name(column->type));
}

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

	if (column->type != TYPE_TEXT)
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
	if (!parse_type_name(def->type_name, &column->type))
		return refuse_type(p, def->type_name);
	if (!parse_modifiers(p, def->type_name, column) ||
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

static bool
parse_table_options(struct parse *p, struct table *table,
		    const PgQuery__CreateForeignTableStmt *stmt)
{
	for (size_t i = 0; i < stmt->n_options; i++) {
		const char *name;
		char *value, **member;
		int location;

		if (!parse_option(p, stmt->options[i], &name, &value, &location))
			return false;
		member = strcmp(name, "topic") == 0   ? &table->topic
			 : strcmp(name, "table") == 0 ? &table->source
						      : NULL;
		if (member == NULL || *member != NULL || value[0] == '\0') {
			const char *what =
			    member == NULL
				? "is unknown: a foreign table has the options topic and \"table\""
			    : *member != NULL ? "is given twice"
					      : "is empty";

			free(value);
			return parse_error(p, location, "option \"%s\" %s", name, what);
		}
		*member = value;
		if (member == &table->topic)
			table->topic_place = parse_place(p, location);
		if (member == &table->topic && !parse_topic(p, name, value, location))
			return false;
	}
	if (table->topic == NULL)
		return parse_error(p, stmt->base_stmt->relation->location,
				   "foreign table \"%s\" needs the option topic", table->name);
	return true;
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
	const char *heartbeats = pipeline->servers[table->server].heartbeat_topic;
	if (heartbeats != NULL && strcmp(heartbeats, table->topic) == 0)
		return parse_error(p, location, "topic %s is the server's heartbeat_topic",
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
