#include "tests/unit/order_record.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pack.h"

static uint64_t
spread(uint64_t n)
{
	return (n + 1) * 0x9e3779b97f4a7c15u;
}

static void
record_end(struct record *r, struct sim *s)
{
	static uint8_t entries[8192];
	if (r->count % 256 == 0)
		r->ends = xreallocarray(r->ends, r->count + 256, sizeof(*r->ends));
	struct record_end *end = &r->ends[r->count++];
	*end = (struct record_end){
	    .applied = r->applied, .repeats = r->repeats, .shown = r->shown_count};
	struct pack pack;
	struct unpack u;
	pack_init(&pack, entries, sizeof(entries));
	order_pack_position(s->order, true, &pack);
	unpack_init(&u, entries, pack_len(&pack));
	cr_assert(position_unpack_transaction(&u, &end->tx));
	for (unsigned i = 0; i < s->partitions; i++)
		cr_assert(position_unpack_partition(&u, &end->at[i]));
	cr_assert(u.at == u.end);
}

static void
record_show(struct record *r)
{
	if (r->shown_count > 0 && r->shown[r->shown_count - 1] == r->applied)
		return;
	if (r->shown_count % 256 == 0)
		r->shown = xreallocarray(r->shown, r->shown_count + 256, sizeof(*r->shown));
	r->shown[r->shown_count++] = r->applied;
}

static void
record_act(struct sim *s, const struct order_action *a, const struct sim_event *head)
{
	struct record *r = s->context;
	switch (a->step) {
	case ORDER_APPLY:
		r->applied += spread(head->id);
		r->read += head->place.snapshot != SNAPSHOT_FALSE ? spread(head->id) : 0;
		break;
	case ORDER_DROP:
		r->repeats += a->repeat ? spread(head->id) : 0;
		break;
	case ORDER_SNAPSHOT_BEGIN:
		r->read = 0;
		break;
	case ORDER_SNAPSHOT_END:
		r->applied = r->read;
		break;
	case ORDER_CUT:
		r->cut = true;
		r->at_cut = r->applied;
		r->repeats_at_cut = r->repeats;
		break;
	case ORDER_END:
		cr_assert(r->cut);
		record_show(r);
		record_end(r, s);
		break;
	default:
		break;
	}
}

void
record_free(struct record *r)
{
	free(r->ends);
	free(r->shown);
	memset(r, 0, sizeof(*r));
}

static struct order_action
record_play(struct record *r, struct sim *s)
{
	order_free(s->order);
	s->order = NULL;
	s->context = r;
	s->act = record_act;
	s->tx_visible = 0;
	for (unsigned i = 0; i < s->partitions; i++)
		s->logs[i].visible = 0;
	return sim_run(s, 40000);
}

void
record_run(struct record *r, struct sim *s)
{
	memset(r, 0, sizeof(*r));
	s->from = s->durable = NULL;
	s->durable_tx = NULL;
	struct order_action a = record_play(r, s);
	cr_assert_eq(a.step, ORDER_WAIT, "%s", a.reason);
	cr_assert(order_whole(s->order));
	cr_assert_gt(r->count, 0);
}

static void
record_compare_shown(const struct record *whole, const struct record *r, unsigned from,
		     const char *what, uint64_t seed, unsigned begin)
{
	/* The first is what stands at the beginning, unless that moved on at once. */
	unsigned skip = r->shown_count > 0 && from > 0 && r->shown[0] == whole->shown[from - 1];
	cr_assert_eq(r->shown_count - skip, whole->shown_count - from,
		     "%s, seed %" PRIu64 ", from END %u: %u states, not %u", what, seed, begin,
		     r->shown_count - skip, whole->shown_count - from);
	for (unsigned i = 0; i + from < whole->shown_count; i++)
		cr_assert_eq(r->shown[i + skip], whole->shown[from + i],
			     "%s, seed %" PRIu64 ", from END %u: state %u of %u", what, seed, begin,
			     from + i, whole->shown_count);
}

void
record_compare(const struct record *whole, struct sim *s, unsigned from, unsigned durable,
	       const char *what, uint64_t seed)
{
	const struct record_end *begin = &whole->ends[from], *d = &whole->ends[durable];
	struct record r = {.applied = begin->applied, .repeats = begin->repeats};
	s->from = begin->at;
	s->durable = d->at;
	s->durable_tx = &d->tx;
	struct order_action a = record_play(&r, s);
	cr_assert_eq(a.step, ORDER_WAIT, "%s, seed %" PRIu64 ", ENDs %u, %u: %s", what, seed, from,
		     durable, a.reason);
	cr_assert_eq(r.at_cut, d->applied, "%s, seed %" PRIu64 ": another state at END %u from %u",
		     what, seed, durable, from);
	cr_assert_eq(r.repeats_at_cut, d->repeats,
		     "%s, seed %" PRIu64 ": other repeats at END %u from %u", what, seed, durable,
		     from);
	cr_assert_eq(r.applied, whole->applied, "%s, seed %" PRIu64 ", ENDs %u, %u: another end",
		     what, seed, from, durable);
	cr_assert_eq(r.repeats, whole->repeats, "%s, seed %" PRIu64 ", ENDs %u, %u: repeats", what,
		     seed, from, durable);
	if (s->eager)
		record_compare_shown(whole, &r, d->shown, what, seed, durable);
	record_free(&r);
}
