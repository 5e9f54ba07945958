/*
 * convert_array.c - arrays: the bytes that array.h describes.
 */
#include <string.h>

#include "common/array.h"
#include "common/pack.h"
#include "ingest/convert_part.h"

#define ELEMENT_HEAD 9 /* bytes that msgpack puts before a value, or those of a number */

/* How many elements follow, without taking them. */
static size_t
count_elements(struct json j)
{
	size_t n = 0;

	json_enter(&j, JSON_ARRAY);
	while (json_element(&j)) {
		json_skip(&j);
		n++;
	}
	return n;
}

/*
 * Of an unchanged array of integers (or of dates, which are some) the connector sends the bytes of what
 * stands for an unchanged value; of others that one value.
 */
static bool
is_unchanged(const struct unavailable *u, const struct value *elements, size_t count)
{
	if (u == NULL)
		return false;
	if (count == 1 && elements[0].kind == VALUE_UNCHANGED)
		return true;
	for (size_t i = 0; count == u->len && i < count; i++)
		if (elements[i].kind != VALUE_INT || elements[i].i != (unsigned char)u->text[i])
			return false;
	return count == u->len;
}

static bool
convert_elements(struct convert *c, struct json *j, const struct column *column,
		 const struct shape *shape, struct value *elements, size_t count)
{
	struct column element = *column;
	struct shape one = {.kind = shape->element, .scale = shape->scale, .binary = shape->binary};
	size_t i = 0;

	element.type = column->element;
	json_enter(j, JSON_ARRAY);
	while (json_element(j)) {
		enum json_kind kind = json_peek(j);
		if (kind == JSON_ARRAY)
			return convert_fail(c,
					    "column \"%s\" holds an array of more than one "
					    "dimension, which is not supported: do not declare it",
					    column->name);
		if (i == count)
			return convert_mismatch_next(c, j, column); /* malformed */
		if (!convert_scalar(c, j, &element, &one, count == 1, &elements[i]))
			return false;
		/* The connector's own text for the rows of such an array (3.7). */
		if (elements[i].kind == VALUE_TEXT && elements[i].len > 12 &&
		    memcmp(elements[i].s, "[Ljava.lang.", 12) == 0)
			return convert_fail(c,
					    "column \"%s\" holds an array of more than one "
					    "dimension, which the connector cannot send: do not "
					    "declare it",
					    column->name);
		i++;
	}
	return !j->error;
}

static void
pack_element(struct pack *out, const struct column *column, const struct value *v)
{
	char buf[VALUE_NORMAL_ROOM];
	bool keep = column->element == TYPE_NUMERIC && column->precision >= 0;
	struct value normal = keep ? *v : value_normal(v, buf);

	value_pack(out, &normal);
}

bool
convert_array(struct convert *c, struct json *j, const struct column *column,
	      const struct shape *shape, struct value *v)
{
	struct pack out;

	*v = (struct value){.kind = VALUE_NULL};
	if (json_null(j))
		return true;
	if (json_peek(j) != JSON_ARRAY)
		return convert_mismatch_next(c, j, column);
	size_t count = count_elements(*j), size = ELEMENT_HEAD * (count + 1);
	struct value *elements = room_reserve(c->room, (count + 1) * sizeof(*elements));
	room_keep(c->room, (count + 1) * sizeof(*elements));
	if (!convert_elements(c, j, column, shape, elements, count))
		return false;
	if (is_unchanged(c->unavailable, elements, count)) {
		v->kind = VALUE_UNCHANGED;
		return true;
	}
	for (size_t i = 0; i < count; i++)
		size += value_has_bytes(&elements[i]) ? elements[i].len : 0;
	pack_init(&out, room_reserve(c->room, size), size);
	pack_array(&out, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		pack_element(&out, column, &elements[i]);
	if (out.overflow || count > UINT32_MAX || pack_len(&out) > UINT32_MAX)
		return convert_fail(c, "column \"%s\" is longer than 4 GiB", column->name);
	room_keep(c->room, pack_len(&out));
	*v = (struct value){
	    .kind = VALUE_ARRAY, .len = (uint32_t)pack_len(&out), .s = (const char *)out.start};
	return true;
}
