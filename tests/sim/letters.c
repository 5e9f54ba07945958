/*
 * letters.c - messages that cannot be read, and the letters on them that the fake target has: one for
 * each, in the commit whose position has passed it, whatever dies.
 *
 * Some events are bad in a way that leaves their effect what it was: of the keyed table a DELETE, whose
 * key can be read, of the keyless one any, of which both halves can. Beside them garbage stands in the
 * logs, which has no place and no effect.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

bool
letter_is_due(const struct entry *e, unsigned table)
{
	if (e->place.kind == EVENT_UNREADABLE)
		return true;
	return e->attempt < 0 && e->op != 0 && e->unit % 4 == 0 && (table == 1 || e->op == 'd');
}

void
letters_forget(struct target *t, uint64_t batch)
{
	while (t->letters > 0 && t->letter[t->letters - 1].batch > batch)
		t->letters--;
}

void
letters_take(struct egress_fake *e, const struct ring_record *record)
{
	struct letter l;
	if (e->letters == SIM_EFFECTS || !batch_get_letter(record, &l))
		sim_fail(FAILURE_BATCH, "a letter that is not well formed, or too many");
	e->letter[e->letters++] =
	    (struct sim_letter){.table = l.table, .partition = l.partition, .offset = l.offset};
}

static void
letter_check(struct world *w, const struct commit *c, const struct sim_letter *l)
{
	struct partition_position *at;
	struct transaction_position tx;
	unsigned count;
	bool passed = false;
	target_position(w, c, w->pipeline->tables[l->table].server, &at, &count, &tx);
	for (unsigned i = 0; i < count; i++)
		passed |= at[i].table == l->table && at[i].partition == l->partition &&
			  at[i].next > l->offset;
	free(at);
	if (!passed)
		sim_fail(FAILURE_STATE, "a letter on t%u[%d] offset %" PRId64 " before its time",
			 l->table, l->partition, l->offset);
}

void
letters_commit(struct world *w, const struct commit *c, uint64_t batch)
{
	struct egress_fake *e = &w->egress;
	struct target *t = &w->target;
	for (unsigned i = 0; i < e->letters; i++) {
		if (t->letters == SIM_LETTERS)
			sim_fail(FAILURE_BATCH, "more letters than there is room");
		e->letter[i].batch = batch;
		letter_check(w, c, &e->letter[i]);
		t->letter[t->letters++] = e->letter[i];
	}
	w->totals.letters += e->letters;
}

static unsigned
letters_on(const struct target *t, const struct log *log, int64_t offset)
{
	unsigned found = 0;
	for (unsigned i = 0; i < t->letters; i++)
		found += t->letter[i].table == log->table &&
			 t->letter[i].partition == log->partition && t->letter[i].offset == offset;
	return found;
}

/* What a snapshot holds already may have been passed over: then there is none. */
unsigned
letters_check_server(const struct world *w, unsigned server)
{
	const struct kafka_fake *k = &w->kafka[server];
	unsigned of_unit[SIM_UNITS] = {0}, all = 0;
	for (unsigned l = 0; l < k->logs; l++) {
		for (unsigned i = 0; i < k->log[l].count; i++) {
			const struct entry *e = &k->log[l].at[i];
			unsigned found = letters_on(&w->target, &k->log[l], e->place.offset);
			all += found;
			if (!letter_is_due(e, k->log[l].table) && found > 0)
				sim_fail(FAILURE_END, "a letter on a good message");
			if (e->place.kind == EVENT_UNREADABLE && found != 1)
				sim_fail(FAILURE_END, "%u letters on garbage", found);
			if (e->place.kind != EVENT_UNREADABLE)
				of_unit[e->unit] += found;
		}
	}
	for (unsigned l = 0; l < k->logs; l++) {
		for (unsigned i = 0; i < k->log[l].count; i++) {
			const struct entry *e = &k->log[l].at[i];
			if (e->place.kind == EVENT_UNREADABLE || !letter_is_due(e, k->log[l].table))
				continue;
			if (of_unit[e->unit] > 1 || (of_unit[e->unit] == 0 && k->snapshots == 0))
				sim_fail(FAILURE_END, "%u letters on unit %u", of_unit[e->unit],
					 e->unit);
		}
	}
	return all;
}
