#include "tests/unit/ingest_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/batch.h"
#include "common/log.h"
#include "tests/unit/truth.h"

#define AUTOCOMMIT_MS 100

static void
open_pipeline(struct world *w, const char *columns, size_t ring_bytes)
{
	static char name[] = "some", server[] = "kafka", topic[] = "s.public.t";
	w->table = truth_declare(columns);
	free(w->table->topic);
	w->table->topic = xstrdup(topic);
	w->server = (struct server){.name = server};
	w->pipeline = (struct pipeline){
	    .name = name,
	    .autocommit_duration_ms = AUTOCOMMIT_MS,
	    .checkpoint_interval_ms = 10000,
	    .ring_bytes = ring_bytes,
	    .servers = &w->server,
	    .server_count = 1,
	    .tables = w->table,
	    .table_count = 1,
	};
	w->stage.role = ROLE_INGEST;
	w->stage.check = true;
	w->stage.pipeline = &w->pipeline;
	w->stage.board = xcalloc(1, sizeof(*w->stage.board));
	w->stage.self = &w->stage.board->stage[0];
}

void
world_open(struct world *w, const char *columns, size_t ring_bytes, int64_t durable)
{
	struct partition_position from = {0}, to = {.next = durable};
	memset(w, 0, sizeof(*w));
	open_pipeline(w, columns, ring_bytes);
	w->now_ms = 1000;
	w->source = (struct source){.stage = &w->stage, .server = &w->server, .count = 1};
	w->source.mode = source_mode(&w->server, 1);
	w->source.order = order_new(w->source.mode, AUTOCOMMIT_MS);
	order_add_partition(w->source.order, &from, durable > 0 ? &to : NULL);
	w->source.partitions = xcalloc(1, sizeof(*w->source.partitions));
	w->source.partitions[0].decoder = decoder_new(w->table);
	w->source.partitions[0].before.offset = -1;
	w->source.partitions[0].durable.offset = -1;
	cr_assert_eq(ring_create(&w->stage.out, ring_bytes), 0);
	cr_assert_eq(writer_open(&w->writer, &w->stage), 0);
	cr_assert_eq(ring_attach(&w->in, &w->stage.out, RING_CONSUMER), 0);
	writer_start(&w->writer, &w->source);
}

void
world_close(struct world *w)
{
	order_free(w->source.order);
	decoder_free(w->source.partitions[0].decoder);
	free(w->source.partitions);
	writer_close(&w->writer);
	ring_detach(&w->in);
	ring_close_fds(&w->stage.out);
	truth_free_table(w->table);
	free(w->stage.board);
}

void
world_write(struct world *w, uint64_t sequence, char op, const char *before, const char *after)
{
	unsigned long long lsn = sequence;
	int len = snprintf(w->message, sizeof(w->message),
			   "{\"before\":%s,\"after\":%s,\"source\":{\"version\":\"3.7.0.Final\","
			   "\"connector\":\"postgresql\",\"name\":\"s\",\"ts_ms\":1700000000000,"
			   "\"snapshot\":\"false\",\"db\":\"d\",\"sequence\":\"[\\\"%llu\\\","
			   "\\\"%llu\\\"]\",\"schema\":\"public\",\"table\":\"t\",\"txId\":%llu,"
			   "\"lsn\":%llu,\"xmin\":null},\"transaction\":null,\"op\":\"%c\","
			   "\"ts_ms\":1}",
			   before, after, lsn, lsn + 5, lsn, lsn + 5, op);
	cr_assert_lt(len, (int)sizeof(w->message));
}

/* As ingest.c does, but for Kafka. */
static void
world_act(struct world *w, const struct order_action *a)
{
	cr_assert_neq(a->step, ORDER_REFUSE, "%s", a->reason);
	writer_act(&w->writer, a);
	order_done(w->source.order);
	if (a->step == ORDER_APPLY || a->step == ORDER_DROP)
		source_passed(&w->source, 0);
	writer_done(&w->writer);
}

static void
world_run(struct world *w)
{
	for (;;) {
		order_step(w->source.order, w->now_ms, &w->action);
		if (w->action.step == ORDER_WAIT)
			return;
		world_act(w, &w->action);
	}
}

static struct kafka_message
world_message(const struct world *w, int64_t offset)
{
	return (struct kafka_message){
	    .key = w->key,
	    .key_len = w->key != NULL ? strlen(w->key) : 0,
	    .value = w->tombstone ? NULL : w->message,
	    .value_len = w->tombstone ? 0 : strlen(w->message),
	    .offset = offset,
	    .timestamp_ms = 1700000000000 + w->later_ms,
	    .followed = w->source.followed,
	};
}

uint64_t
world_hash(const struct world *w)
{
	struct kafka_message m = world_message(w, 0);
	return source_hash(&m);
}

bool
world_take(struct world *w, int64_t offset)
{
	struct kafka_message m = world_message(w, offset);
	world_run(w);
	cr_assert(order_wants(w->source.order, 0));
	if (!source_offer(&w->source, 0, &m))
		return false;
	world_run(w);
	return true;
}

bool
world_take_text(struct world *w, int64_t offset, const char *text)
{
	w->tombstone = text == NULL;
	snprintf(w->message, sizeof(w->message), "%s", text != NULL ? text : "");
	bool taken = world_take(w, offset);
	w->tombstone = false;
	return taken;
}

void
world_silence(struct world *w, int64_t end)
{
	world_run(w);
	w->now_ms += AUTOCOMMIT_MS + 1;
	if (order_wants(w->source.order, 0))
		order_idle(w->source.order, 0, end, w->now_ms);
	world_run(w);
	writer_commit(&w->writer);
}

static void
print_change(const struct world *w, FILE *out, const struct ring_record *record)
{
	static const char *const kinds[] = {"UPSERT", "DELETE", "ADD", "SUBTRACT", "TRUNCATE"};
	struct change c;
	struct value values[16];
	enum type types[16];
	const struct table *t = w->table;
	cr_assert(batch_get_change(record, &c));
	unsigned count = c.kind == CHANGE_DELETE     ? t->key_count
			 : c.kind == CHANGE_TRUNCATE ? 0
						     : t->column_count;
	for (unsigned i = 0; i < count; i++)
		types[i] = t->columns[c.kind == CHANGE_DELETE ? t->key[i] : i].type;
	cr_assert(row_unpack(c.row, c.row_len, types, count, values));
	fputs(kinds[c.kind], out);
	for (unsigned i = 0; i < count; i++) {
		char text[128] = "-";
		if (values[i].kind != VALUE_NULL && values[i].kind != VALUE_UNCHANGED)
			value_print(types[i], &values[i], text, sizeof(text));
		fprintf(out, " %s", text);
	}
	fputc('\n', out);
}

static void
print_letter(FILE *out, const struct ring_record *record)
{
	struct letter l;
	cr_assert(batch_get_letter(record, &l));
	fprintf(out, "BAD %lld %d %lld %u/%lld %u/%lld\n", (long long)l.offset, l.partition,
		(long long)l.source_ms, l.key_len, (long long)l.key_bytes, l.value_len,
		(long long)l.value_bytes);
}

const char *
world_read(struct world *w)
{
	static char *text;
	size_t len;
	struct ring_record record;
	free(text);
	FILE *out = open_memstream(&text, &len);
	while (ring_next(&w->in, &record) == 1) {
		if (record.kind == RECORD_CHANGE)
			print_change(w, out, &record);
		else if (record.kind == RECORD_BAD)
			print_letter(out, &record);
		else
			fprintf(out, "%s\n", record.kind == RECORD_END ? "END" : "CUT");
	}
	ring_commit(&w->in, NULL, 0);
	fclose(out);
	return text;
}

void
world_ends(void (*body)(struct world *), struct world *w, int code, const char *const *words)
{
	char said[4096];
	size_t len = 0;
	ssize_t n;
	int fds[2], status;
	cr_assert_eq(pipe(fds), 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		body(w);
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	close(fds[0]);
	said[len] = '\0';
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == code, "status %d: %s", status, said);
	for (; *words != NULL; words++)
		cr_assert(strstr(said, *words) != NULL, "no '%s' in: %s", *words, said);
}
