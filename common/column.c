/*
 * column.c - what a column's declaration says of its values: labels, elements, modifiers.
 */
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/decimal.h"
#include "common/log.h"
#include "common/pipeline.h"

const char *
enumeration_label(const struct enumeration *e, const struct value *v)
{
	if (e == NULL || v->kind != VALUE_INT || v->i < 0 || v->i >= (int64_t)e->label_count)
		return "?";
	return e->labels[v->i];
}

int
enumeration_find(const struct enumeration *e, const char *label, size_t len)
{
	for (unsigned i = 0; i < e->label_count; i++)
		if (strlen(e->labels[i]) == len && memcmp(e->labels[i], label, len) == 0)
			return (int)i;
	return -1;
}

size_t
column_print(const struct column *column, const struct value *v, char *buf, size_t size)
{
	if (v->kind == VALUE_ARRAY)
		return array_print(column->element, column->enumeration, v, buf, size);
	if (column->type == TYPE_ENUM && v->kind == VALUE_INT)
		return (size_t)snprintf(buf, size, "%s", enumeration_label(column->enumeration, v));
	return value_print(column->type, v, buf, size);
}

bool
column_parse(const struct column *column, const char *text, size_t len, char *buf, size_t size,
	     struct value *v)
{
	if (column->type != TYPE_ENUM)
		return value_parse(column->type, text, len, buf, size, v);
	*v = (struct value){.kind = VALUE_INT,
			    .i = enumeration_find(column->enumeration, text, len)};
	return v->i >= 0;
}

static void
print_modifiers(FILE *out, const struct column *column)
{
	if (column->precision < 0)
		return;
	if (column_scalar(column) == TYPE_NUMERIC)
		fprintf(out, "(%d,%d)", column->precision, column->scale);
	else
		fprintf(out, "(%d)", column->precision);
}

/* The modifier of times stands within the name. */
static void
print_type(FILE *out, const struct column *column)
{
	const char *name = type_name(column_scalar(column)), *zone = strstr(name, " with");

	if (column_scalar(column) == TYPE_ENUM) {
		sql_qualified(out, column->enumeration->name);
	} else if (zone != NULL) {
		fprintf(out, "%.*s", (int)(zone - name), name);
		print_modifiers(out, column);
		fputs(zone, out);
	} else {
		fputs(name, out);
		print_modifiers(out, column);
	}
	if (column->type == TYPE_ARRAY)
		fputs("[]", out);
}

char *
column_type_name(const struct column *column)
{
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	print_type(out, column);
	fclose(out);
	return text;
}

static bool
same_labels(const struct enumeration *a, const struct enumeration *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->label_count != b->label_count)
		return false;
	for (unsigned i = 0; i < a->label_count; i++)
		if (strcmp(a->labels[i], b->labels[i]) != 0)
			return false;
	return true;
}

bool
column_same_type(const struct column *a, const struct column *b)
{
	return a->type == b->type && column_scalar(a) == column_scalar(b) &&
	       a->precision == b->precision && a->scale == b->scale &&
	       same_labels(a->enumeration, b->enumeration);
}

bool
column_has_whole_ranks(const struct column *column)
{
	if (type_kind(column->type) == VALUE_INT)
		return true;
	return column->type == TYPE_NUMERIC && column->precision >= 0 && column->scale >= 0 &&
	       column->scale <= DECIMAL_RANK_SCALE &&
	       column->precision - column->scale <= DECIMAL_RANK_DIGITS;
}

struct value
column_of_rank(const struct column *column, int64_t rank, char *text)
{
	if (column->type != TYPE_NUMERIC)
		return (struct value){.kind = VALUE_INT, .i = rank};
	return (struct value){
	    .kind = VALUE_DECIMAL,
	    .s = text,
	    .len = (uint32_t)decimal_of_rank(rank, column->scale, text),
	};
}
