/*
 * parse_type.c - the types of columns and of casts, and CREATE TYPE ... AS ENUM.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/parse_tree.h"

#define ENUMERATIONS_MAX 4096
#define LABELS_MAX       65535
#define LABEL_BYTES_MAX  63 /* PostgreSQL's NAMEDATALEN - 1 */

#define TYPES_SUPPORTED                                                                            \
	"supported are smallint, integer, bigint, numeric, real, double precision, money, text, "  \
	"varchar, character, bytea, uuid, boolean, date, time, timestamp, timestamptz, interval, " \
	"json, jsonb, inet, enums by CREATE TYPE, and arrays of these"

static const struct type_row {
	const char *name;
	enum type type;
	int precision; /* the largest modifier; 0: it takes none */
} type_rows[] = {
    {"int2", TYPE_SMALLINT, 0},
    {"int4", TYPE_INTEGER, 0},
    {"int8", TYPE_BIGINT, 0},
    {"numeric", TYPE_NUMERIC, 1000},
    {"float4", TYPE_REAL, 0},
    {"float8", TYPE_DOUBLE, 0},
    {"money", TYPE_MONEY, 0},
    {"text", TYPE_TEXT, 0},
    {"varchar", TYPE_VARCHAR, MODIFIER_MAX},
    {"bpchar", TYPE_CHAR, MODIFIER_MAX},
    {"bytea", TYPE_BYTEA, 0},
    {"uuid", TYPE_UUID, 0},
    {"bool", TYPE_BOOLEAN, 0},
    {"date", TYPE_DATE, 0},
    {"time", TYPE_TIME, 6},
    {"timestamp", TYPE_TIMESTAMP, 6},
    {"timestamptz", TYPE_TIMESTAMPTZ, 6},
    {"interval", TYPE_INTERVAL, 0},
    {"json", TYPE_JSON, 0},
    {"jsonb", TYPE_JSONB, 0},
    {"inet", TYPE_INET, 0},
};

/* Types that are asked for often, with what to do instead. */
static const struct type_hint {
	const char *name, *hint;
} type_hints[] = {
    {"serial", "serial is not supported: declare it as integer"},
    {"bigserial", "bigserial is not supported: declare it as bigint"},
    {"smallserial", "smallserial is not supported: declare it as smallint"},
    {"timetz", "time with time zone is not supported: declare it as text"},
    {"cidr", "cidr is not supported: declare it as inet"},
    {"macaddr", "macaddr is not supported: declare it as text"},
    {"xml", "xml is not supported: declare it as text"},
    {"citext", "citext is not supported: its equality ignores case; declare it as text if that is "
	       "not needed"},
};

const char *
parse_type_spelling(const PgQuery__TypeName *name)
{
	const char *s = name->n_names > 0 ? parse_string(name->names[name->n_names - 1]) : NULL;

	return s != NULL ? s : "?";
}

/* --- enums --- */

/* "schema.name" or "name" of a list of String nodes. Heap; NULL: they are no such name. */
static char *
qualified_name(PgQuery__Node *const *names, size_t count)
{
	const char *last = count > 0 ? parse_string(names[count - 1]) : NULL;
	const char *schema = count == 2 ? parse_string(names[0]) : NULL;

	if (last == NULL || strchr(last, '.') != NULL ||
	    (count == 2 && (schema == NULL || strchr(schema, '.') != NULL)) || count > 2)
		return NULL;
	return schema != NULL ? xasprintf("%s.%s", schema, last) : xstrdup(last);
}

static const struct enumeration *
find_enumeration(const struct pipeline *p, const PgQuery__TypeName *type)
{
	char *name = qualified_name(type->names, type->n_names);
	const struct enumeration *found = NULL;

	for (unsigned i = 0; name != NULL && i < p->enumeration_count && found == NULL; i++)
		if (strcmp(p->enumerations[i]->name, name) == 0)
			found = p->enumerations[i];
	free(name);
	return found;
}

static bool
parse_label(struct parse *p, struct enumeration *e, const char *label, int location)
{
	if (label == NULL || strlen(label) > LABEL_BYTES_MAX)
		return parse_error(p, location, "a label has at most %d bytes", LABEL_BYTES_MAX);
	if (enumeration_find(e, label, strlen(label)) >= 0)
		return parse_error(p, location, "label \"%s\" is given twice", label);
	e->labels[e->label_count++] = xstrdup(label);
	return true;
}

bool
parse_enumeration(struct parse *p, const PgQuery__CreateEnumStmt *stmt, int location)
{
	struct pipeline *pipeline = p->pipeline;
	struct enumeration *e;
	int place = parse_find_token(p, parse_find_word(p, location, "TYPE"), 1);

	if (pipeline->enumeration_count >= ENUMERATIONS_MAX)
		return parse_error(p, location, "more than %d types are not supported",
				   ENUMERATIONS_MAX);
	if (stmt->n_vals == 0 || stmt->n_vals > LABELS_MAX)
		return parse_error(p, place, "an enum has 1 to %d labels", LABELS_MAX);
	e = xcalloc(1, sizeof(*e));
	e->labels = xcalloc(stmt->n_vals, sizeof(*e->labels));
	e->place = parse_place(p, place);
	e->name = qualified_name(stmt->type_name, stmt->n_type_name);
	pipeline->enumerations =
	    xreallocarray(pipeline->enumerations, pipeline->enumeration_count + 1, sizeof(e));
	pipeline->enumerations[pipeline->enumeration_count++] = e;
	if (e->name == NULL)
		return parse_error(p, place, "a type's name is name or schema.name, without dots");
	for (unsigned i = 0; i + 1 < pipeline->enumeration_count; i++)
		if (strcmp(pipeline->enumerations[i]->name, e->name) == 0)
			return parse_error(p, place, "type \"%s\" is created twice", e->name);
	for (size_t i = 0; i < stmt->n_vals; i++)
		if (!parse_label(p, e, parse_string(stmt->vals[i]), place))
			return false;
	return true;
}

/* --- names --- */

static const struct type_row *
find_type(const PgQuery__TypeName *name)
{
	const char *spelling = parse_type_spelling(name);

	if (name->setof || name->pct_type || name->n_names > 2)
		return NULL;
	if (name->n_names == 2) {
		const char *schema = parse_string(name->names[0]);

		if (schema == NULL || strcmp(schema, "pg_catalog") != 0)
			return NULL;
	}
	for (size_t i = 0; i < sizeof(type_rows) / sizeof(type_rows[0]); i++)
		if (strcmp(type_rows[i].name, spelling) == 0)
			return &type_rows[i];
	return NULL;
}

bool
parse_type_name(const PgQuery__TypeName *name, enum type *type)
{
	const struct type_row *row = name->n_array_bounds == 0 ? find_type(name) : NULL;

	if (row != NULL)
		*type = row->type;
	return row != NULL;
}

static bool
refuse_type(struct parse *p, const PgQuery__TypeName *name)
{
	const char *spelling = parse_type_spelling(name);

	for (size_t i = 0; i < sizeof(type_hints) / sizeof(type_hints[0]); i++)
		if (strcmp(type_hints[i].name, spelling) == 0)
			return parse_error(p, name->location, "%s", type_hints[i].hint);
	return parse_error(p, name->location, "type \"%s\" is not supported: %s", spelling,
			   TYPES_SUPPORTED);
}

/* --- modifiers --- */

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
parse_numeric_modifiers(struct parse *p, const PgQuery__TypeName *name, struct column *column)
{
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

static bool
parse_modifiers(struct parse *p, const PgQuery__TypeName *name, const struct type_row *row,
		struct column *column)
{
	int least = row->type == TYPE_VARCHAR || row->type == TYPE_CHAR;

	column->precision = column->scale = -1;
	if (name->n_typmods == 0)
		return true;
	if (row->type == TYPE_NUMERIC)
		return parse_numeric_modifiers(p, name, column);
	if (row->precision == 0)
		return parse_error(p, name->location, "type %s takes no modifier",
				   type_name(row->type));
	column->precision = type_modifier(name, 0);
	if (name->n_typmods > 1 || column->precision < least || column->precision > row->precision)
		return parse_error(p, name->location, "%s takes a number from %d to %d",
				   type_name(row->type), least, row->precision);
	return true;
}

bool
parse_type(struct parse *p, const PgQuery__TypeName *name, struct column *column)
{
	const struct type_row *row;

	column->precision = column->scale = -1;
	column->enumeration = find_enumeration(p->pipeline, name);
	if (column->enumeration != NULL && name->n_typmods > 0)
		return parse_error(p, name->location, "an enum takes no modifier");
	if (column->enumeration != NULL) {
		column->element = TYPE_ENUM;
	} else {
		row = find_type(name);
		if (row == NULL)
			return refuse_type(p, name);
		if (!parse_modifiers(p, name, row, column))
			return false;
		if (row->type == TYPE_CHAR && column->precision < 0)
			return parse_error(
			    p, name->location,
			    "bpchar without a length is not supported: declare it as "
			    "character(n), or as text");
		column->element = row->type;
	}
	column->type = name->n_array_bounds > 0 ? TYPE_ARRAY : column->element;
	if (name->n_array_bounds > 1)
		return parse_error(p, name->location,
				   "arrays of more than one dimension are not supported");
	return true;
}
