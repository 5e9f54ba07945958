/* difference.c - what a changed pipeline file changes in a running pipeline. */
#include "supervisor/difference.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pack.h"
#include "common/pipeline.h"
#include "supervisor/spawn.h"

#define ANOTHER                                                                                    \
	"; give the changed pipeline a new name (SET pipeline) and target tables of its own, and " \
	"start it by `tallyd run`"
#define STOP_AND_START "; stop tallyd and start it again to change it"

static void __attribute__((format(printf, 4, 5)))
add(struct differences *d, enum effect effect, unsigned server, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	d->list = xreallocarray(d->list, d->count + 1, sizeof *d->list);
	d->list[d->count++] = (struct difference){effect, server, xstrdup(text)};
}

static bool
is_same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const struct table *
find_table(const struct pipeline *p, const char *name)
{
	for (unsigned i = 0; i < p->table_count; i++)
		if (strcmp(p->tables[i].name, name) == 0)
			return &p->tables[i];
	return NULL;
}

static struct view *
find_view(const struct pipeline *p, const struct view *view)
{
	for (unsigned i = 0; i < p->view_count; i++)
		if (!p->views[i].dropped && strcmp(p->views[i].name, view->name) == 0 &&
		    is_same(p->views[i].schema, view->schema))
			return &p->views[i];
	return NULL;
}

/* --- settings and options --- */

static const struct option *
find_option(const struct option *options, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/* The names of the options that differ, separated by commas; heap, NULL: none. */
static char *
name_options(const struct option *a, unsigned a_count, const struct option *b, unsigned b_count)
{
	char *names = NULL;
	size_t len;
	unsigned found = 0;
	FILE *out = xmemstream(&names, &len);
	for (unsigned i = 0; i < b_count; i++) {
		const struct option *before = find_option(a, a_count, b[i].name);
		if (!before || strcmp(before->value, b[i].value) != 0)
			fprintf(out, "%s\"%s\"", found++ ? ", " : "", b[i].name);
	}
	for (unsigned i = 0; i < a_count; i++)
		if (!find_option(b, b_count, a[i].name))
			fprintf(out, "%s\"%s\"", found++ ? ", " : "", a[i].name);
	fclose(out);
	if (found > 0)
		return names;
	free(names);
	return NULL;
}

static void
compare_settings(struct differences *d, const struct pipeline *a, const struct pipeline *b)
{
	if (strcmp(a->name, b->name) != 0)
		add(d, EFFECT_REFUSED, 0,
		    "the pipeline's name was \"%s\": another name is another pipeline, which is "
		    "started by its own `tallyd run`",
		    a->name);
	if (a->ring_bytes != b->ring_bytes)
		add(d, EFFECT_REFUSED, 0, "ring_bytes was %zu" STOP_AND_START, a->ring_bytes);
	if (a->commit_interval_ms != b->commit_interval_ms)
		add(d, EFFECT_LIVE, 0, "commit_interval_ms is %lld",
		    (long long)b->commit_interval_ms);
	if (a->checkpoint_interval_ms != b->checkpoint_interval_ms)
		add(d, EFFECT_LIVE, 0, "checkpoint_interval_ms is %lld",
		    (long long)b->checkpoint_interval_ms);
	d->reduce = d->reduce || a->commit_interval_ms != b->commit_interval_ms ||
		    a->checkpoint_interval_ms != b->checkpoint_interval_ms;
}

static void
compare_target(struct differences *d, const struct pipeline *a, const struct pipeline *b)
{
	char *names = name_options(a->target, a->target_count, b->target, b->target_count);
	if (names) {
		add(d, EFFECT_EGRESS, 0, "server \"%s\" has another %s", b->target_name, names);
		d->egress = true;
	}
	free(names);
}

static void
compare_server(struct differences *d, unsigned i, const struct pipeline *p,
	       const struct pipeline *q)
{
	const struct server *a = &p->servers[i], *b = &q->servers[i];
	char *names = name_options(a->options, a->option_count, b->options, b->option_count);
	unsigned before = d->count;
	if (names)
		add(d, EFFECT_INGEST, i, "server \"%s\" has another %s", b->name, names);
	free(names);
	if (a->start != b->start)
		add(d, EFFECT_INGEST, i,
		    "server \"%s\" has another start, which counts at a first start only", b->name);
	if (p->autocommit_duration_ms != q->autocommit_duration_ms)
		add(d, EFFECT_INGEST, i, "autocommit_duration_ms is %lld",
		    (long long)q->autocommit_duration_ms);
	d->ingests[i] = d->count > before;
	if (!is_same(a->transaction_topic, b->transaction_topic))
		add(d, EFFECT_REFUSED, 0, "server \"%s\" has another transaction_topic" ANOTHER,
		    a->name);
}

/* False when they cannot be told apart one by one. */
static bool
compare_servers(struct differences *d, const struct pipeline *a, const struct pipeline *b)
{
	bool same = a->server_count == b->server_count;
	for (unsigned i = 0; same && i < a->server_count; i++)
		same = strcmp(a->servers[i].name, b->servers[i].name) == 0;
	if (!same)
		add(d, EFFECT_REFUSED, 0,
		    "the servers are others: their number, names and order belong to the "
		    "pipeline" ANOTHER);
	for (unsigned i = 0; same && i < a->server_count; i++)
		compare_server(d, i, a, b);
	return same;
}

/* --- tables --- */

static void
compare_columns(struct differences *d, const struct table *a, const struct table *b)
{
	for (unsigned i = 0; i < a->column_count && i < b->column_count; i++) {
		const struct column *x = &a->columns[i], *y = &b->columns[i];
		if (strcmp(x->name, y->name) != 0) {
			add(d, EFFECT_REPLAY, 0,
			    "table \"%s\": column %u was \"%s\" and is \"%s\" now", a->name, i + 1,
			    x->name, y->name);
			return;
		}
		if (!column_same_type(x, y) || x->not_null != y->not_null ||
		    x->collate_c != y->collate_c) {
			add(d, EFFECT_REPLAY, 0,
			    "table \"%s\": column \"%s\" is declared differently", a->name,
			    x->name);
			return;
		}
	}
	if (a->column_count != b->column_count)
		add(d, EFFECT_REPLAY, 0, "table \"%s\" had %u columns and has %u now", a->name,
		    a->column_count, b->column_count);
}

/* Who judges messages: ingest those that cannot be read, reduce the rows; egress makes the table. */
static void
compare_on_error(struct differences *d, const struct table *a, const struct table *b)
{
	if (a->on_error == b->on_error)
		return;
	add(d, EFFECT_INGEST, b->server, "table \"%s\" has on_error '%s'", b->name,
	    on_error_name(b->on_error));
	d->ingests[b->server] = d->reduce = true;
	d->egress = d->egress || b->on_error == ON_ERROR_DEAD_LETTER;
}

/* By name: columns may stand in another order. */
static bool
is_same_key(const struct table *a, const struct table *b)
{
	if (a->key_count != b->key_count)
		return false;
	for (unsigned i = 0; i < a->key_count; i++)
		if (strcmp(a->columns[a->key[i]].name, b->columns[b->key[i]].name) != 0)
			return false;
	return true;
}

static void
compare_table(struct differences *d, const struct pipeline *p, const struct table *a,
	      const struct pipeline *q, const struct table *b)
{
	const char *from = p->servers[a->server].name, *to = q->servers[b->server].name;
	if (strcmp(a->topic, b->topic) != 0)
		add(d, EFFECT_REFUSED, 0,
		    "table \"%s\" was read from topic %s and is from %s now" ANOTHER, a->name,
		    a->topic, b->topic);
	else if (strcmp(a->source, b->source) != 0)
		add(d, EFFECT_REFUSED, 0, "table \"%s\" was %s at its source and is %s now" ANOTHER,
		    a->name, a->source, b->source);
	else if (strcmp(from, to) != 0)
		add(d, EFFECT_REFUSED, 0,
		    "table \"%s\" was on server \"%s\" and is on \"%s\" now" ANOTHER, a->name, from,
		    to);
	else if (!is_same_key(a, b))
		add(d, EFFECT_REFUSED, 0, "table \"%s\" has another PRIMARY KEY" ANOTHER, a->name);
	else
		compare_columns(d, a, b);
}

static void
compare_tables(struct differences *d, const struct pipeline *running, const struct pipeline *file,
	       const struct pipeline *new)
{
	for (unsigned i = 0; i < new->table_count; i++) {
		const struct table *b = &new->tables[i], *a = find_table(running, b->name);
		if (a) {
			compare_table(d, running, a, new, b);
			compare_on_error(d, a, b);
		} else {
			add(d, EFFECT_REFUSED, 0,
			    "table \"%s\" is new: what its topic has held so far is not "
			    "counted" ANOTHER,
			    b->name);
		}
	}
	for (unsigned i = 0; i < file->table_count; i++)
		if (!find_table(new, file->tables[i].name))
			add(d, EFFECT_LIVE, 0,
			    "table \"%s\" is gone: it is read until the next start, and cannot "
			    "come back after that",
			    file->tables[i].name);
}

/* --- views --- */

static void
compare_view(struct differences *d, const struct view *a, const struct view *b,
	     const struct pipeline *new)
{
	char *name = view_name(b), *rebuild = pipeline_command(new, "rebuild", b);
	d->fills = d->fills || b->rebuild;
	if (strcmp(a->plan, b->plan) != 0 && b->rebuild)
		add(d, EFFECT_REBUILD, 0, "view \"%s\" has another SELECT", name);
	else if (strcmp(a->plan, b->plan) != 0)
		add(d, EFFECT_REFUSED, 0,
		    "view \"%s\" has another SELECT: %s brings its table to it", name, rebuild);
	else if (b->rebuild)
		add(d, EFFECT_REBUILD, 0, "view \"%s\" is compared with its table", name);
	else if (a->existing != b->existing)
		add(d, EFFECT_LIVE, 0,
		    "view \"%s\" has another \"existing\", which counts at a first start only",
		    name);
	free(name);
	free(rebuild);
}

static void
new_view(struct differences *d, const struct view *v, const struct pipeline *new)
{
	char *name = view_name(v);
	if (v->rebuild)
		add(d, EFFECT_REBUILD, 0, "view \"%s\" is new and compared with its table", name);
	else if (new->tables[v->table].key_count > 0)
		add(d, EFFECT_LIVE, 0, "view \"%s\" is new: filled from the kept rows of \"%s\"",
		    name, new->tables[v->table].name);
	/* The rows of a keyless table are kept nowhere but in its topic. */
	if (new->tables[v->table].key_count == 0)
		add(d, EFFECT_REPLAY, 0,
		    "view \"%s\" is new over table \"%s\", which has no PRIMARY KEY: its history "
		    "is read again",
		    name, new->tables[v->table].name);
	d->egress = d->reduce = d->fills = true;
	free(name);
}

static void
compare_views(struct differences *d, const struct pipeline *file, const struct pipeline *new)
{
	for (unsigned i = 0; i < new->view_count; i++) {
		const struct view *b = &new->views[i], *a = find_view(file, b);
		if (a)
			compare_view(d, a, b, new);
		else
			new_view(d, b, new);
	}
	for (unsigned i = 0; i < file->view_count; i++) {
		if (find_view(new, &file->views[i]))
			continue;
		char *name = view_name(&file->views[i]);
		add(d, EFFECT_LIVE, 0, "view \"%s\" is gone: its table stays as it is", name);
		d->egress = d->reduce = true;
		free(name);
	}
}

void
differences_find(struct differences *d, const struct pipeline *running, const struct pipeline *file,
		 const struct pipeline *new)
{
	*d = (struct differences){0};
	compare_settings(d, file, new);
	compare_target(d, file, new);
	if (compare_servers(d, file, new))
		compare_tables(d, running, file, new);
	compare_views(d, file, new);
}

void
differences_free(struct differences *d)
{
	for (unsigned i = 0; i < d->count; i++)
		free(d->list[i].text);
	free(d->list);
	*d = (struct differences){0};
}

bool
differences_have(const struct differences *d, enum effect effect)
{
	for (unsigned i = 0; i < d->count; i++)
		if (d->list[i].effect == effect)
			return true;
	return false;
}

void
differences_print(const struct differences *d, const struct pipeline *p, FILE *out)
{
	static const char *const names[] = {
	    [EFFECT_LIVE] = "live",
	    [EFFECT_EGRESS] = "restart of egress",
	    [EFFECT_INGEST] = "restart of ingest",
	    [EFFECT_REBUILD] = "rebuild",
	    [EFFECT_REPLAY] = "replay",
	    [EFFECT_REFUSED] = "refused",
	};
	for (unsigned i = 0; i < d->count; i++) {
		const struct difference *x = &d->list[i];
		bool named = x->effect == EFFECT_INGEST && p->server_count > 1;
		fprintf(out, "%s%s%s: %s\n", names[x->effect], named ? "/" : "",
			named ? p->servers[x->server].name : "", x->text);
	}
	if (d->count == 0)
		fputs("no change\n", out);
}

/* --- merge --- */

static struct pipeline *
copy_pipeline(const struct pipeline *p)
{
	struct unpack in;
	size_t len, size;
	uint8_t *bytes = spawn_pack(p, SECTION_EGRESS, 0, &len, &size);
	if (!bytes)
		return NULL;
	unpack_init(&in, bytes, len);
	struct pipeline *copy = pipeline_unpack(&in);
	explicit_bzero(bytes, size);
	free(bytes);
	return copy;
}

#define EXCHANGE(type, a, b)                                                                       \
	do {                                                                                       \
		type exchanged = (a);                                                              \
		(a) = (b);                                                                         \
		(b) = exchanged;                                                                   \
	} while (0)

static void
merge_settings(struct pipeline *p, struct pipeline *new)
{
	p->autocommit_duration_ms = new->autocommit_duration_ms;
	p->commit_interval_ms = new->commit_interval_ms;
	p->checkpoint_interval_ms = new->checkpoint_interval_ms;
	EXCHANGE(struct option *, p->target, new->target);
	EXCHANGE(unsigned, p->target_count, new->target_count);
	p->target_place = new->target_place;
	for (unsigned i = 0; i < p->server_count; i++)
		EXCHANGE(struct server, p->servers[i], new->servers[i]);
}

/* All that is live of a table; what runs may have more of them. */
static void
merge_tables(struct pipeline *p, const struct pipeline *new)
{
	for (unsigned i = 0; i < p->table_count; i++) {
		const struct table *t = find_table(new, p->tables[i].name);
		if (!t)
			continue;
		p->tables[i].on_error = t->on_error;
		p->tables[i].place = t->place;
	}
}

static unsigned
table_index(const struct pipeline *p, const char *name)
{
	const struct table *t = find_table(p, name);
	return t ? (unsigned)(t - p->tables) : 0;
}

static void
merge_views(struct pipeline *p, struct pipeline *new)
{
	unsigned count = p->view_count;
	p->views = xreallocarray(p->views, count + new->view_count + 1, sizeof *p->views);
	for (unsigned i = 0; i < new->view_count; i++)
		new->views[i].table = table_index(p, new->tables[new->views[i].table].name);
	for (unsigned i = 0; i < count; i++) {
		struct view *v = p->views[i].dropped ? NULL : find_view(new, &p->views[i]);
		if (!v)
			p->views[i].dropped = true;
		else
			EXCHANGE(struct view, p->views[i], *v);
		if (v)
			v->dropped = true; /* it stands here already */
	}
	for (unsigned i = 0; i < new->view_count; i++) {
		if (new->views[i].dropped)
			continue;
		p->views[p->view_count++] = new->views[i];
		new->views[i] = (struct view){.dropped = true};
	}
}

struct pipeline *
differences_merge(const struct pipeline *running, struct pipeline *new)
{
	struct pipeline *p = copy_pipeline(running);
	if (p) {
		merge_settings(p, new);
		merge_tables(p, new);
		merge_views(p, new);
	}
	pipeline_free(new);
	return p;
}
