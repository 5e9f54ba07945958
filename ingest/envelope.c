#include "ingest/envelope.h"

#include <stdio.h>
#include <string.h>

bool
envelope_malformed(struct convert *c, const struct json *j)
{
	return convert_fail(c, "the message is malformed JSON at byte %zu: %s",
			    (size_t)(j->at - j->start), j->error ? j->error : "unknown");
}

void
envelope_list_members(struct json j, char *buf, size_t size)
{
	struct slice key;
	size_t used = 0;

	buf[0] = '\0';
	json_enter(&j, JSON_OBJECT);
	while (json_key(&j, &key) && used < size) {
		char excerpt[EXCERPT_SIZE];
		int n = snprintf(buf + used, size - used, "%s%s", used > 0 ? ", " : "",
				 convert_excerpt(key, excerpt));
		used += n > 0 ? (size_t)n : 0;
		json_skip(&j);
	}
	if (used >= size)
		buf[json_trim(buf, size - 1)] = '\0';
}

void
envelope_check_name(struct json *j, struct slice key)
{
	for (size_t i = 0; i < key.len; i++)
		if (key.s[i] < ' ' || key.s[i] > '~' || key.s[i] == '\\')
			j->error = "the name of a member is none that a connector writes";
}

void
envelope_skip(struct json *j, struct slice key)
{
	envelope_check_name(j, key);
	json_skip(j);
}

bool
envelope_sniff(struct convert *c, const char *what, const char *text, size_t len)
{
	size_t at = 0;
	char excerpt[EXCERPT_SIZE];

	while (at < len &&
	       (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r'))
		at++;
	if (at < len && text[at] == '{')
		return true;
	if (len >= 5 && text[0] == '\0')
		return convert_fail(c,
				    "the %s is Avro (or another form with a schema registry), not "
				    "JSON: set the connector's converters to JsonConverter",
				    what);
	return convert_fail(c,
			    "the %s is no JSON object (it begins with \"%s\"): set the connector's "
			    "converters to JsonConverter",
			    what,
			    convert_excerpt((struct slice){text, len < 20 ? len : 20}, excerpt));
}

static bool
envelope_take_schema(struct schema *s, struct convert *c, struct json *j)
{
	if (s)
		return schema_take(s, c, j);
	json_skip(j);
	return !j->error;
}

bool
envelope_open(struct schema *s, struct convert *c, struct json *j, const char *text, size_t len,
	      bool *wrapped)
{
	struct slice key, payload;

	json_init(j, text, len);
	json_enter(j, JSON_OBJECT);
	bool some = json_key(j, &key);
	enum json_kind kind = some ? json_peek(j) : JSON_NONE;
	*wrapped = some && KEY_IS(key, "schema") && (kind == JSON_OBJECT || kind == JSON_NULL);
	if (*wrapped) {
		if (!envelope_take_schema(s, c, j))
			return false;
		if (!json_key(j, &key) || !KEY_IS(key, "payload"))
			return !j->error &&
			       convert_fail(c, "the message has a schema but no payload");
		if (kind == JSON_OBJECT && json_peek(j) == JSON_NULL)
			return convert_fail(c, "the message has a schema but a null payload");
		return true;
	}
	if (some && KEY_IS(key, "payload") && kind == JSON_OBJECT) {
		payload = json_span(j);
		if (!json_key(j, &key) || !KEY_IS(key, "schema"))
			return !j->error &&
			       convert_fail(c, "the message has a payload but no schema");
		if (!envelope_take_schema(s, c, j))
			return false;
		json_init(j, payload.s, payload.len);
		return true;
	}
	if (s)
		schema_forget(s);
	json_init(j, text, len);
	return true;
}

bool
envelope_close(struct json *j, bool wrapped)
{
	struct slice key;

	while (wrapped && json_key(j, &key))
		json_skip(j);
	return json_end(j);
}

bool
envelope_uint(struct json *j, uint64_t *out)
{
	if (json_short(j, out))
		return true;
	if (json_null(j))
		return false;
	if (!slice_uint64(json_number(j), out) && !j->error)
		j->error = "a whole number is expected";
	return !j->error;
}

bool
envelope_int(struct json *j, int64_t *out)
{
	uint64_t n;

	if (json_short(j, &n)) {
		*out = (int64_t)n;
		return true;
	}
	if (json_null(j))
		return false;
	if (!slice_int64(json_number(j), out) && !j->error)
		j->error = "a whole number is expected";
	return !j->error;
}
