#include "egress/inexact.h"

#include <limits.h>

#include "common/pipeline.h"

#define MONEY_DIGITS       17 /* before the point */
#define MONEY_SCALE        2
#define UUID_CHARACTERS    36
#define INTERVAL_ALL       0x7fff /* its fields, in the upper half of the modifier */
#define INTERVAL_PRECISION 0xffff /* none given, in the lower */

/* numeric(p,s) as format_type() shows it; false for plain numeric. */
static bool
numeric_modifier(int typmod, int *precision, int *scale)
{
	if (typmod < 4)
		return false;
	*precision = ((typmod - 4) >> 16) & 0xffff;
	*scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
	return true;
}

/* The most digits before the point; INT_MAX: no bound. */
static int
whole_digits(const struct output *o, const struct column *declared, enum type source)
{
	switch (source) {
	case TYPE_SMALLINT:
		return 5;
	case TYPE_INTEGER:
		return 10;
	case TYPE_BIGINT:
		return 19;
	case TYPE_MONEY:
		return MONEY_DIGITS;
	case TYPE_NUMERIC:
		if (declared != NULL && declared->precision >= 0 && o->kind != OUTPUT_AVG)
			return declared->precision - declared->scale;
		return INT_MAX;
	default:
		return INT_MAX;
	}
}

static const char *
numeric_loss(const struct output *o, const struct column *declared,
	     const struct encode_column *column, int typmod)
{
	enum type source = column->source;
	int precision, scale, digits = declared != NULL ? declared->scale : o->scale;

	if (!numeric_modifier(typmod, &precision, &scale))
		return type_is_float(source) && column->finite ? "an infinity stops the pipeline"
							       : NULL;
	if (type_is_float(source))
		return "digits after the point may be rounded away, and an infinity or a larger"
		       " result stops the pipeline";
	if (source == TYPE_MONEY)
		digits = MONEY_SCALE;
	if ((source == TYPE_NUMERIC || source == TYPE_MONEY) && (digits < 0 || digits > scale))
		return "digits after the point may be rounded away";
	if (o->kind == OUTPUT_SUM || precision - scale < whole_digits(o, declared, source))
		return "a larger result stops the pipeline";
	return NULL;
}

static const char *
integer_loss(const struct output *o, const struct column *declared, enum encode_type type,
	     enum type source)
{
	int scale = declared != NULL ? declared->scale : o->scale;

	if (source == TYPE_NUMERIC && scale != 0)
		return "rounded to whole numbers, and a larger result stops the pipeline";
	if (source == TYPE_SMALLINT || (source == TYPE_INTEGER && type != ENCODE_INT2) ||
	    (source == TYPE_BIGINT && type == ENCODE_INT8))
		return NULL;
	return "a larger result stops the pipeline";
}

static const char *
float_loss(enum encode_type type, enum type source)
{
	if (source == TYPE_SMALLINT || source == TYPE_REAL ||
	    (type == ENCODE_FLOAT8 && (source == TYPE_INTEGER || source == TYPE_DOUBLE)))
		return NULL;
	if (source == TYPE_DOUBLE)
		return "exact only in 6 digits, and a larger result stops the pipeline";
	return type == ENCODE_FLOAT4
		   ? "exact only up to 2^24 (16777216), rounded beyond"
		   : "exact only up to 2^53 and in binary fractions, rounded beyond";
}

static unsigned
longest_label(const struct enumeration *e)
{
	unsigned longest = 0;

	for (unsigned i = 0; e != NULL && i < e->label_count; i++) {
		unsigned characters = 0;

		for (const char *s = e->labels[i]; *s != '\0'; s++)
			characters += ((unsigned char)*s & 0xc0) != 0x80;
		longest = characters > longest ? characters : longest;
	}
	return longest;
}

/* The most characters of a text; UINT_MAX: no bound. */
static unsigned
longest_text(const struct column *declared, const struct encode_column *column)
{
	switch (column->source) {
	case TYPE_ENUM:
		return longest_label(column->enumeration);
	case TYPE_UUID:
		return UUID_CHARACTERS;
	case TYPE_CHAR:
	case TYPE_VARCHAR:
		if (declared != NULL && declared->precision > 0)
			return (unsigned)declared->precision;
		return column->source == TYPE_CHAR && declared != NULL ? 1 : UINT_MAX;
	default:
		return UINT_MAX;
	}
}

static const char *
text_loss(const struct column *declared, const struct encode_column *column)
{
	bool longer = column->limit > 0 && longest_text(declared, column) > column->limit;

	if (column->type == ENCODE_CHAR && column->source != TYPE_CHAR)
		return longer ? "blanks at the end are not kept, and a longer text stops the"
				" pipeline"
			      : "blanks at the end are not kept";
	return longer ? "a longer text stops the pipeline" : NULL;
}

static const char *
time_loss(const struct column *declared, int typmod)
{
	if (typmod < 0 || typmod >= 6 ||
	    (declared != NULL && declared->precision >= 0 && declared->precision <= typmod))
		return NULL;
	return "fractions of a second are rounded";
}

static const char *
interval_loss(int typmod)
{
	int precision = typmod & INTERVAL_PRECISION;

	if (typmod < 0)
		return NULL;
	if (((typmod >> 16) & INTERVAL_ALL) != INTERVAL_ALL)
		return "parts of it are cut off";
	return precision < 6 ? "fractions of a second are rounded" : NULL;
}

const char *
inexact_loss(const struct output *o, const struct column *declared,
	     const struct encode_column *column, int typmod)
{
	switch (column->type) {
	case ENCODE_INT2:
	case ENCODE_INT4:
	case ENCODE_INT8:
		return integer_loss(o, declared, column->type, column->source);
	case ENCODE_FLOAT4:
	case ENCODE_FLOAT8:
		return float_loss(column->type, column->source);
	case ENCODE_NUMERIC:
		return numeric_loss(o, declared, column, typmod);
	case ENCODE_TEXT:
	case ENCODE_VARCHAR:
	case ENCODE_CHAR:
		return text_loss(declared, column);
	case ENCODE_TIME:
	case ENCODE_TIMESTAMP:
	case ENCODE_TIMESTAMPTZ:
		return time_loss(declared, typmod);
	case ENCODE_INTERVAL:
		return interval_loss(typmod);
	default:
		return NULL;
	}
}
