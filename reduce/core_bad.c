/*
 * core_bad.c - rows that cannot be used, and messages that ingest could not read: what becomes of them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "reduce/core_state.h"

/* --- a row as JSON: the message itself is not at hand here --- */

static void
print_text(FILE *out, const char *s, size_t len)
{
	fputc('"', out);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c == '"' || c == '\\')
			fputc('\\', out);
		if (c < ' ')
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void
print_value(FILE *out, const struct column *column, const struct value *v)
{
	char local[64], *text = local;
	size_t len;

	if (v->kind == VALUE_NULL || v->kind == VALUE_UNCHANGED) {
		fputs("null", out);
		return;
	}
	if (v->kind == VALUE_BOOL) {
		fputs(v->i != 0 ? "true" : "false", out);
		return;
	}
	len = column_print(column, v, local, sizeof(local));
	if (len >= sizeof(local)) {
		text = xcalloc(1, len + 1);
		len = column_print(column, v, text, len + 1);
	}
	/* NaN and the infinities are no JSON numbers. */
	if (type_is_number(column->type) && memchr(text, 'n', len) == NULL &&
	    memchr(text, 'N', len) == NULL)
		fwrite(text, 1, len, out);
	else
		print_text(out, text, len);
	if (text != local)
		free(text);
}

char *
core_print_row(const struct table *table, const struct value *values, bool key_only)
{
	unsigned count = key_only ? table->key_count : table->column_count;
	const char *before = "{";
	char *text = NULL;
	size_t len;
	FILE *out = xmemstream(&text, &len);

	for (unsigned i = 0; i < count; i++) {
		unsigned column = key_only ? table->key[i] : i;
		/* Left out by the message, so left out here. */
		if (values[column].kind == VALUE_UNCHANGED)
			continue;
		fputs(before, out);
		print_text(out, table->columns[column].name, strlen(table->columns[column].name));
		fputs(": ", out);
		print_value(out, &table->columns[column], &values[column]);
		before = ", ";
	}
	fputs(before[0] == '{' ? "{}" : "}", out);
	fclose(out);
	return text;
}

/* --- what becomes of it --- */

static uint32_t
letter_part(size_t len, size_t most)
{
	return (uint32_t)(len < most ? len : most);
}

static void
row_write(struct core *core, const struct core_table *t, const struct change *change,
	  const struct value *values, const char *reason)
{
	char *key = t->rows != NULL ? core_print_row(t->table, values, true) : NULL;
	char *row = core_print_row(t->table, values, false);
	size_t most = letter_value_most(core->pipeline->ring_bytes);
	struct letter letter = {
	    .table = change->table,
	    .partition = change->partition,
	    .offset = change->offset,
	    .key = (const uint8_t *)key,
	    .key_len = letter_part(key != NULL ? strlen(key) : 0, most / 8),
	    .key_bytes = key != NULL ? (int64_t)strlen(key) : -1,
	    .value = (const uint8_t *)row,
	    .value_len = letter_part(strlen(row), most),
	    .value_bytes = (int64_t)strlen(row),
	    .reason = reason,
	    .reason_len = (uint32_t)strlen(reason),
	};

	letters_add(&core->letters, &letter);
	core->counters.letters++;
	free(key);
	free(row);
}

static enum core_result
row_stop(struct core *core, const struct core_table *t, const struct change *change,
	 const char *what, const char *reason)
{
	char *advice = pipeline_go_on(core->pipeline, t->table);

	(void)core_fail(core, EXIT_DATA, "reduce.bad_row",
			"%s [%" PRId32 "] offset %" PRId64 ": %s%s; %s", t->table->topic,
			change->partition, change->offset, what, reason, advice);
	free(advice);
	return CORE_FAILED;
}

bool
core_view_is_fresh(const struct core *core, unsigned view)
{
	return !core->views[view].known || core->pipeline->views[view].rebuild;
}

enum core_result
core_bad_row(struct core *core, const struct core_table *t, const struct change *change,
	     const struct value *values, const char *what, const char *reason, bool fresh)
{
	char text[1200], *whole;

	if (t->table->on_error == ON_ERROR_STOP)
		return row_stop(core, t, change, what, reason);
	if (!core->live && !fresh)
		return CORE_OK;
	whole = xasprintf("%s%s", what, reason);
	if (t->table->on_error == ON_ERROR_DEAD_LETTER && core->live)
		row_write(core, t, change, values, whole);
	else
		core->counters.skipped++;
	(void)snprintf(text, sizeof(text),
		       "%s [%" PRId32 "] offset %" PRId64 ": %s; on_error is '%s'", t->table->topic,
		       change->partition, change->offset, whole, on_error_name(t->table->on_error));
	if (core->hooks.warn != NULL)
		core->hooks.warn(core->hooks.arg, "reduce.bad_row", text);
	free(whole);
	return CORE_OK;
}

enum core_result
core_letter(struct core *core, unsigned input, const struct ring_record *record)
{
	struct letter letter;

	if (!batch_get_letter(record, &letter) || core_table(core, input, letter.table) == NULL)
		return core_corrupt(core, input, "a letter that is not well formed");
	if (core->live)
		letters_add(&core->letters, &letter);
	return CORE_OK;
}
