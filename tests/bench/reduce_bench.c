#include "tests/bench/reduce_bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/stage.h"

#define RING_BYTES (4u << 20)

void
reduce_bench_init(struct reduce_bench *b, unsigned columns, bool keyed)
{
	static char name[] = "values", column_names[4][8] = {"id", "part", "value", "note"};

	memset(b, 0, sizeof(*b));
	for (unsigned i = 0; i < columns; i++)
		b->columns[i] =
		    (struct column){.name = column_names[i], .type = TYPE_INTEGER, .scale = -1};
	b->server.name = b->table.name = b->table.topic = b->view.name = b->view.plan = name;
	b->table.columns = b->columns;
	b->table.column_count = columns;
	b->table.key = &b->key;
	b->table.key_count = keyed;
	b->group = 1;
	b->view.group = &b->group;
	b->view.group_count = keyed;
	b->view.outputs = b->outputs;
	b->pipeline = (struct pipeline){
	    .name = name,
	    .ring_bytes = RING_BYTES,
	    .servers = &b->server,
	    .server_count = 1,
	    .tables = &b->table,
	    .table_count = 1,
	    .views = &b->view,
	    .view_count = 1,
	};
}

void
reduce_bench_output(struct reduce_bench *b, enum output_kind kind, unsigned column)
{
	static char name[] = "output";

	b->outputs[b->view.output_count++] =
	    (struct output){.name = name, .kind = kind, .column = column, .scale = -1};
}

void
reduce_bench_begin(struct reduce_bench *b)
{
	if (ring_create(&b->fds, RING_BYTES) != 0 || ring_create(&b->out_fds, RING_BYTES) != 0 ||
	    ring_attach(&b->in, &b->fds, RING_PRODUCER) != 0 ||
	    ring_attach(&b->reader, &b->fds, RING_CONSUMER) != 0 ||
	    ring_attach(&b->out, &b->out_fds, RING_PRODUCER) != 0 ||
	    ring_attach(&b->sink, &b->out_fds, RING_CONSUMER) != 0)
		exit(EXIT_INTERNAL);
	b->core = core_new(&b->pipeline);
}

void
reduce_bench_end(struct reduce_bench *b)
{
	ring_detach(&b->in);
	ring_detach(&b->reader);
	ring_detach(&b->out);
	ring_detach(&b->sink);
	ring_close_fds(&b->fds);
	ring_close_fds(&b->out_fds);
	core_free(b->core);
}

void
reduce_bench_put(struct reduce_bench *b, enum change_kind kind, const struct value *values)
{
	struct change change = {.kind = kind, .values = values, .count = b->table.column_count};

	if (batch_put_change(&b->in, &change) != 0)
		exit(EXIT_INTERNAL);
}

void
reduce_bench_put_end(struct reduce_bench *b, enum record_kind end)
{
	static const uint8_t nothing[1];
	static const struct stamps none;

	if (batch_put_end(&b->in, end, 0, &none, nothing, 0) != 0)
		exit(EXIT_INTERNAL);
	ring_commit(&b->in, NULL, 0);
}

int64_t
bench_cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void
bench_random(uint64_t *random)
{
	*random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
}
