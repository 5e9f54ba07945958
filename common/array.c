#include "common/array.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"

#define ELEMENT_TEXT 256 /* most elements are shorter */

bool
array_is_valid(const uint8_t *bytes, size_t len)
{
	struct unpack in;

	unpack_init(&in, bytes, len);
	if (unpack_peek(&in) != UNPACK_ARRAY)
		return false;
	unpack_skip(&in);
	return !in.bad && in.at == in.end;
}

uint32_t
array_open(struct unpack *in, const struct value *array)
{
	unpack_init(in, array->s, array->len);
	return unpack_array(in);
}

struct out { /* as snprintf: what does not fit is counted */
	char *buf;
	size_t size, len;
};

static void
out_bytes(struct out *out, const char *s, size_t n)
{
	if (out->len < out->size && n < out->size - out->len)
		memcpy(out->buf + out->len, s, n);
	else
		out->size = out->len < out->size ? out->len : out->size;
	out->len += n;
}

/* As array_out() in PostgreSQL's arrayfuncs.c decides. */
static bool
needs_quotes(const char *s, size_t len)
{
	if (len == 0 || (len == 4 && strncasecmp(s, "null", 4) == 0))
		return true;
	for (size_t i = 0; i < len; i++)
		if (strchr("\"\\{}, \t\n\v\f\r", s[i]) != NULL)
			return true;
	return false;
}

static void
out_element(struct out *out, const char *s, size_t len)
{
	if (!needs_quotes(s, len)) {
		out_bytes(out, s, len);
		return;
	}
	out_bytes(out, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '"' || s[i] == '\\')
			out_bytes(out, "\\", 1);
		out_bytes(out, s + i, 1);
	}
	out_bytes(out, "\"", 1);
}

static void
print_element(struct out *out, enum type type, const struct enumeration *labels,
	      const struct value *v)
{
	char local[ELEMENT_TEXT], *text = local;
	size_t len;

	if (v->kind == VALUE_NULL) {
		out_bytes(out, "NULL", 4);
		return;
	}
	if (type == TYPE_ENUM) {
		const char *label = enumeration_label(labels, v);
		out_element(out, label, strlen(label));
		return;
	}
	len = value_print(type, v, local, sizeof(local));
	if (len >= sizeof(local)) {
		text = xcalloc(1, len + 1);
		len = value_print(type, v, text, len + 1);
	}
	out_element(out, text, len);
	if (text != local)
		free(text);
}

size_t
array_print(enum type element, const struct enumeration *labels, const struct value *array,
	    char *buf, size_t size)
{
	struct out out = {.buf = buf, .size = size};
	struct unpack in;
	uint32_t count = array_open(&in, array);

	out_bytes(&out, "{", 1);
	for (uint32_t i = 0; i < count && !in.bad; i++) {
		struct value v;

		value_unpack(&in, element, &v);
		out_bytes(&out, ",", i > 0);
		print_element(&out, element, labels, &v);
	}
	out_bytes(&out, "}", 1);
	if (size > 0)
		buf[out.len < size ? out.len : size - 1] = '\0';
	return out.len;
}
