#include <stdlib.h>

#include "common/fault.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "ingest/origin_state.h"
#include "ingest/source.h"

struct entries { /* of one position, as far as they are this server's */
	struct partition_position *at;
	unsigned count;
};

static const struct partition_position *
entries_find(const struct entries *list, const struct partition_position *like)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->at[i].table == like->table && list->at[i].partition == like->partition)
			return &list->at[i];
	return NULL;
}

static struct entries
recovery_parse(struct origin *o, struct slice text, const char *what,
	       struct transaction_position *transaction)
{
	struct entries list = {.count = 0};
	const char *error = NULL;
	if (position_parse(text.s, text.len, o->stage->pipeline, o->stage->server, &list.at,
			   &list.count, transaction, &error) != 0)
		stage_fail(o->stage, EXIT_CONFIG, "ingest.position",
			   "the position of the %s in table tallyd.pipeline cannot be read: %s. "
			   "Somebody changed it: put it back. %s",
			   what, error, source_start_anew(o->source));
	return list;
}

/* ---- does it fit the topics ---------------------------------------------------------------- */

/* Every partition of the position must still be there. */
static void
recovery_check_known(struct origin *o, const struct entries *known)
{
	const struct source *s = o->source;
	const struct entries here = {o->from, s->count};
	for (unsigned i = 0; i < known->count; i++)
		if (!entries_find(&here, &known->at[i]))
			stage_fail(o->stage, EXIT_CONFIG, "ingest.history",
				   "%s has no partition %d any more, which the target's position "
				   "names: it was created anew. Bring the old topic back. %s",
				   o->stage->pipeline->tables[known->at[i].table].topic,
				   known->at[i].partition, source_start_anew(s));
}

/*
 * A partition that the position does not know. It carries all that there were, so this one was
 * added to its topic since, behind the others, and its history begins at 0; or what is counted of
 * it already is not known.
 */
static void
recovery_check_unknown(struct origin *o, const struct partition_position *at,
		       const struct entries *known)
{
	const struct table *t = &o->stage->pipeline->tables[at->table];
	int32_t last = -1;
	for (unsigned i = 0; i < known->count; i++)
		if (known->at[i].table == at->table && known->at[i].partition > last)
			last = known->at[i].partition;
	if (last < 0)
		stage_fail(o->stage, EXIT_CONFIG, "ingest.position",
			   "the target's position knows nothing of topic %s: table \"%s\" is new "
			   "in the file. Take it out again, or give it a pipeline of its own",
			   t->topic, t->name);
	if (at->partition < last)
		stage_fail(o->stage, EXIT_CONFIG, "ingest.position",
			   "the target's position knows %s [%d], but not [%d]: somebody changed "
			   "it: put it back. %s",
			   t->topic, last, at->partition, source_start_anew(o->source));
}

/* The state that reduce has loaded cannot be ahead of what the target shows. */
static void
recovery_check_checkpoint(struct origin *o, unsigned p, const struct partition_position *checkpoint,
			  const struct partition_position *known)
{
	const struct source *s = o->source;
	int64_t next = known != NULL ? known->next : 0;
	if (checkpoint == NULL || checkpoint->next <= next)
		return;
	stage_fail(
	    o->stage, EXIT_CONFIG, "ingest.position",
	    "table tallyd.pipeline has a checkpoint at offset %lld of %s [%d], but a position "
	    "at %lld: somebody changed it: put it back. %s",
	    (long long)checkpoint->next, source_topic(s, p), s->partitions[p].partition,
	    (long long)next, source_start_anew(s));
}

/* ---- does history reach so far ------------------------------------------------------------- */

_Noreturn static void
recovery_refuse_gone(struct origin *o, unsigned p, int64_t low)
{
	const struct source *s = o->source;
	const char *topic = source_topic(s, p);
	int32_t partition = s->partitions[p].partition;
	if (o->checkpoint)
		stage_fail(o->stage, EXIT_CONFIG, "ingest.history",
			   "%s [%d] begins at offset %lld, but the target's checkpoint needs it "
			   "from offset %lld on: retention or somebody has removed what was not "
			   "read yet. %s",
			   topic, partition, (long long)low, (long long)o->from[p].next,
			   source_start_anew(s));
	stage_fail(o->stage, EXIT_CONFIG, "ingest.history",
		   "%s [%d] begins at offset %lld, but its history began at %lld, and there is no "
		   "usable checkpoint in the target from which to go on without it. %s",
		   topic, partition, (long long)low, (long long)o->from[p].next,
		   source_start_anew(s));
}

static void
recovery_check_limits(struct origin *o, unsigned p, int64_t *low)
{
	const struct source *s = o->source;
	const struct partition_position *durable = &o->durable[p];
	int64_t high;
	origin_wait_limits(o, source_topic(s, p), s->partitions[p].partition, low, &high);
	if (high < durable->next)
		stage_fail(o->stage, EXIT_CONFIG, "ingest.history",
			   "%s [%d] ends at offset %lld, before the target's position %lld: it "
			   "was created anew or truncated. Bring it back. %s",
			   source_topic(s, p), s->partitions[p].partition, (long long)high,
			   (long long)durable->next, source_start_anew(s));
	if (*low > o->from[p].next)
		recovery_refuse_gone(o, p, *low);
}

/* What must be found in the log when it is read: at the origin, if it is there still, and at D. */
static void
recovery_expect(struct origin *o, unsigned p, int64_t low)
{
	struct partition *part = &o->source->partitions[p];
	const struct partition_position *from = &o->from[p], *durable = &o->durable[p];
	if (from->hash != 0 && from->next > low)
		part->before = (struct record_check){from->next - 1, from->hash};
	if (durable->hash != 0 && durable->next > low)
		part->durable = (struct record_check){durable->next - 1, durable->hash};
}

static void
recovery_partition(struct origin *o, unsigned p, const struct entries *known,
		   const struct entries *checkpoint)
{
	const struct partition_position *d = entries_find(known, &o->from[p]);
	const struct partition_position *c = entries_find(checkpoint, &o->from[p]);
	int64_t low;
	if (d == NULL)
		recovery_check_unknown(o, &o->from[p], known);
	recovery_check_checkpoint(o, p, c, d);
	o->durable[p] = d != NULL ? *d : o->from[p];
	if (c != NULL)
		o->from[p] = *c;
	else /* it came after the checkpoint, or there is none */
		o->from[p].start = o->from[p].next = o->durable[p].start;
	recovery_check_limits(o, p, &low);
	recovery_expect(o, p, low);
}

void
origin_recover(struct origin *o, struct slice durable, struct slice checkpoint)
{
	struct source *s = o->source;
	struct transaction_position unused;
	struct entries known = recovery_parse(o, durable, "pipeline", &o->transaction),
		       origin = {0};
	/* Egress has refused it already; a first start now would count all again. */
	if (known.count == 0)
		stage_fail(o->stage, EXIT_CONFIG, "ingest.position",
			   "the position in the target knows no server \"%s\": give the server its "
			   "old name back. %s",
			   s->server->name, source_start_anew(s));
	if (checkpoint.len > 0)
		origin = recovery_parse(o, checkpoint, "checkpoint", &unused);
	o->checkpoint = checkpoint.len > 0;
	recovery_check_known(o, &known);
	o->durable = xcalloc(s->count, sizeof(*o->durable));
	for (unsigned p = 0; p < s->count; p++)
		recovery_partition(o, p, &known, &origin);
	free(known.at);
	free(origin.at);
}
