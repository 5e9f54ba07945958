/*
 * pipeline.c - the pipeline file and the sections that stages are given.
 *
 * Text: a pipeline, or an error with its place. The canonical print of a pipeline parses to the same
 * print, and each stage's section unpacks to it. Inputs that begin with a byte below 8 are taken as
 * the bytes of a section, which is refused or packs again to the same bytes.
 */

#include "common/pipeline.h"
#include "common/expr.h"
#include "common/json.h"
#include "common/pack.h"
#include "supervisor/parse.h"
#include "tests/fuzz/fuzz.h"

#define SECTION_ROOM (1u << 20)

static uint8_t section_bytes[2][SECTION_ROOM];

/* Into section_bytes[which]; its length. */
static size_t
pack_section(const struct pipeline *p, enum section section, unsigned server, unsigned which)
{
	struct pack pack;

	pack_init(&pack, section_bytes[which], SECTION_ROOM);
	pipeline_pack(p, section, server, &pack);
	FUZZ_CHECK(!pack.overflow);
	return pack_len(&pack);
}

/* The pipeline of a section's bytes packs to the same bytes. */
static void
check_section(const struct pipeline *p, enum section section, unsigned server)
{
	struct unpack u;
	size_t len = pack_section(p, section, server, 0);

	unpack_init(&u, section_bytes[0], len);
	struct pipeline *again = pipeline_unpack(&u);
	FUZZ_CHECK(again != NULL && u.at == u.end);
	FUZZ_CHECK(pack_section(again, section, server, 1) == len);
	FUZZ_CHECK(memcmp(section_bytes[0], section_bytes[1], len) == 0);
	pipeline_free(again);
}

static void
try_section(const uint8_t *data, size_t size)
{
	uint8_t *bytes = (uint8_t *)fuzz_copy(data, size);
	struct unpack u;

	unpack_init(&u, bytes, size);
	struct pipeline *p = pipeline_unpack(&u);
	FUZZ_CHECK((p != NULL) == !u.bad);
	if (p != NULL) {
		check_section(p, SECTION_REDUCE, 0);
		check_section(p, SECTION_EGRESS, 0);
		for (unsigned i = 0; i < p->server_count; i++)
			check_section(p, SECTION_INGEST, i);
		free(pipeline_print(p));
	}
	pipeline_free(p);
	free(bytes);
}

/* As above, of a good section with one byte changed: the input says which, so it is the same again. */
static void
try_damaged_section(const struct pipeline *p, const uint8_t *data, size_t size)
{
	uint64_t hash = value_hash_bytes(data, size, 0);
	size_t len = pack_section(p, (enum section)(hash % 3), 0, 0);
	uint8_t *bytes = (uint8_t *)fuzz_copy(section_bytes[0], len);

	bytes[(hash >> 16) % len] ^= (uint8_t)(1 + (hash >> 8) % 255);
	try_section(bytes, len);
	free(bytes);
}

/* Each error: file, a line and a column that exist or neither, level, text; all of it UTF-8. */
static void
check_errors(const char *errors, size_t len, const char *text)
{
	unsigned line, column, lines = 1;
	const char *first = strstr(errors, "fuzz.sql:");

	for (const char *s = text; *s != '\0'; s++)
		lines += *s == '\n';
	FUZZ_CHECK(first == errors && strstr(errors, "error: ") != NULL);
	if (sscanf(errors, "fuzz.sql:%u:%u: ", &line, &column) == 2)
		FUZZ_CHECK(line >= 1 && line <= lines && column >= 1);
	for (size_t i = 0; i < len;) {
		size_t n = (unsigned char)errors[i] < 0x80
			       ? 1
			       : json_sequence((const unsigned char *)errors + i, len - i);
		FUZZ_CHECK(n > 0 && errors[i] != '\0');
		i += n;
	}
}

static struct pipeline *
parse_text(const char *text, size_t len, char **errors, size_t *errors_len)
{
	struct source source = {xstrdup("fuzz.sql"), fuzz_copy(text, len + 1), len};
	FILE *out = xmemstream(errors, errors_len);
	struct pipeline *p = parse_pipeline(&source, out);

	fclose(out);
	source_free(&source);
	return p;
}

static void
check_print(const struct pipeline *p)
{
	char *print = pipeline_print(p), *errors;
	size_t errors_len;
	struct pipeline *again = parse_text(print, strlen(print), &errors, &errors_len);

	if (again == NULL)
		fprintf(stderr, "%s\n%s", print, errors);
	FUZZ_CHECK(again != NULL && errors_len == 0);
	char *print_again = pipeline_print(again);
	FUZZ_CHECK(strcmp(print, print_again) == 0);
	for (unsigned i = 0; i < p->view_count; i++)
		FUZZ_CHECK(strcmp(p->views[i].plan, again->views[i].plan) == 0);
	free(print_again);
	free(print);
	free(errors);
	pipeline_free(again);
}

/* What source_read() lets through: UTF-8 without NUL bytes. */
static bool
text_is_source(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = s[i] < 0x80 ? s[i] != 0 : json_sequence(s + i, len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return len <= SOURCE_BYTES_MAX;
}

static void
try_text(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size), *errors;
	size_t errors_len;
	struct pipeline *p = parse_text(text, size, &errors, &errors_len);

	if (p == NULL) {
		check_errors(errors, errors_len, text);
	} else {
		FUZZ_CHECK(errors_len == 0);
		check_print(p);
		check_section(p, SECTION_REDUCE, 0);
		check_section(p, SECTION_EGRESS, 0);
		for (unsigned i = 0; i < p->server_count; i++)
			check_section(p, SECTION_INGEST, i);
		try_damaged_section(p, data, size);
	}
	pipeline_free(p);
	free(errors);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0 && data[0] < 8)
		try_section(data + 1, size - 1);
	else if (text_is_source(data, size))
		try_text(data, size);
	return 0;
}
