/*
 * convert_text.c - text, bytes, JSON and labels.
 */
#include <stdlib.h>
#include <string.h>

#include "common/jsonb.h"
#include "ingest/convert_part.h"

static size_t
count_characters(struct slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.s[i] & 0xC0) != 0x80;
	return n;
}

/* varchar(p) and char(p); a char without length is char(1). */
static bool
convert_length(struct convert *c, const struct column *column, struct slice s)
{
	int most = column->type == TYPE_CHAR && column->precision < 0 ? 1 : column->precision;

	if ((column->type != TYPE_VARCHAR && column->type != TYPE_CHAR) || most < 0 ||
	    s.len <= (size_t)most || count_characters(s) <= (size_t)most)
		return true;
	char excerpt[EXCERPT_SIZE], *type = column_type_name(column);
	convert_fail(c,
		     "column \"%s\" is declared %s, which cannot hold the %zu characters of "
		     "\"%s\": declare it as in the source",
		     column->name, type, count_characters(s), convert_excerpt(s, excerpt));
	free(type);
	return false;
}

bool
convert_text(struct convert *c, const struct column *column, struct slice s, struct value *v)
{
	while (column->type == TYPE_CHAR && s.len > 0 && s.s[s.len - 1] == ' ')
		s.len--;
	if (s.len > 0 && memchr(s.s, '\0', s.len))
		return convert_fail(c,
				    "column \"%s\" holds a NUL character, which PostgreSQL's text "
				    "cannot hold",
				    column->name);
	if (s.len > UINT32_MAX)
		return convert_fail(c, "column \"%s\" is longer than 4 GiB", column->name);
	if (column->type == TYPE_JSON) {
		struct json j;
		json_init(&j, s.s, s.len);
		json_skip(&j);
		if (!json_end(&j))
			return convert_mismatch(c, column, s);
	}
	*v = (struct value){.kind = VALUE_TEXT, .len = (uint32_t)s.len, .s = s.s};
	return convert_length(c, column, s);
}

bool
convert_jsonb(struct convert *c, const struct column *column, struct slice s, struct value *v)
{
	size_t size = s.len + s.len / 2 + 64, len;
	char *buf = room_reserve(c->room, size);

	len = jsonb_canonical(s.s, s.len, buf, size);
	if (len >= size) {
		size = len + 1;
		buf = room_reserve(c->room, size);
		len = jsonb_canonical(s.s, s.len, buf, size);
	}
	if (len == 0)
		return convert_mismatch(c, column, s);
	room_keep(c->room, len + 1);
	*v = (struct value){.kind = VALUE_TEXT, .len = (uint32_t)len, .s = buf};
	return true;
}

bool
convert_enum(struct convert *c, const struct column *column, struct slice s, struct value *v)
{
	const struct enumeration *e = column->enumeration;
	char excerpt[EXCERPT_SIZE];

	*v = (struct value){.kind = VALUE_INT, .i = enumeration_find(e, s.s, s.len)};
	if (v->i >= 0)
		return true;
	return convert_fail(c,
			    "column \"%s\" is '%s', which is no label of type %s: add it to CREATE "
			    "TYPE %s, in the place that it has in the source (ALTER TYPE ... ADD "
			    "VALUE was used there)",
			    column->name, convert_excerpt(s, excerpt), e->name, e->name);
}

/* --- bytes --- */

static int
base64_digit(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || (url && c == '-'))
		return 62;
	return c == '/' || (url && c == '_') ? 63 : -1;
}

bool
convert_base64(struct slice s, bool url, uint8_t *out, size_t *len)
{
	size_t n = 0, pad = 0;

	if (s.len % 4 != 0)
		return false;
	while (pad < 2 && pad < s.len && s.s[s.len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < s.len; i += 4) {
		uint32_t word = 0;
		for (size_t k = i; k < i + 4; k++) {
			int digit = k < s.len - pad ? base64_digit(s.s[k], url) : 0;
			if (digit < 0)
				return false;
			word = word << 6 | (uint32_t)digit;
		}
		out[n++] = (uint8_t)(word >> 16);
		out[n++] = (uint8_t)(word >> 8);
		out[n++] = (uint8_t)word;
	}
	*len = n - pad;
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
convert_hex(struct slice s, uint8_t *out, size_t *len)
{
	if (s.len % 2 != 0)
		return false;
	for (size_t i = 0; i < s.len; i += 2) {
		int high = hex_digit(s.s[i]), low = hex_digit(s.s[i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	*len = s.len / 2;
	return true;
}

bool
convert_bytes(struct convert *c, const struct column *column, const struct shape *shape,
	      struct slice s, struct value *v)
{
	uint8_t *out = room_reserve(c->room, s.len + 1);
	bool hex = shape->binary == BINARY_HEX, url = shape->binary == BINARY_BASE64_URL;
	size_t len;

	if (!(hex ? convert_hex(s, out, &len) : convert_base64(s, url, out, &len))) {
		char excerpt[EXCERPT_SIZE];
		return convert_fail(c,
				    "column \"%s\" is declared bytea, but \"%s\" is no %s: give "
				    "the server the option \"%s\" as the connector has it",
				    column->name, convert_excerpt(s, excerpt),
				    hex ? "hexadecimal text" : "base64",
				    connector_option_name(CONNECTOR_BINARY));
	}
	if (len > UINT32_MAX)
		return convert_fail(c, "column \"%s\" is longer than 4 GiB", column->name);
	room_keep(c->room, len);
	*v = (struct value){.kind = VALUE_BYTES, .len = (uint32_t)len, .s = (const char *)out};
	return true;
}
