#include "common/stamps.h"

#include <string.h>

#include "common/pack.h"

#define STAMPS_MS_MAX (INT64_MAX / 1000) /* in microseconds it is a number still */

/* The two neighbours that are narrowest together become one. */
static void
stamps_narrow(struct stamps *s)
{
	unsigned best = 0;
	int64_t width = INT64_MAX;

	for (unsigned i = 0; i + 1 < s->count; i++) {
		int64_t both = s->at[i + 1].newest_ms - s->at[i].oldest_ms;
		if (both < width) {
			width = both;
			best = i;
		}
	}
	s->at[best].newest_ms = s->at[best + 1].newest_ms;
	s->at[best].events += s->at[best + 1].events;
	s->count--;
	memmove(&s->at[best + 1], &s->at[best + 2], (s->count - best - 1) * sizeof(s->at[0]));
}

void
stamps_put(struct stamps *s, const struct stamp *stamp)
{
	struct stamp now = *stamp;
	unsigned from = s->count, to;

	if (now.oldest_ms < 0 || now.newest_ms > STAMPS_MS_MAX || now.events == 0)
		return;
	while (from > 0 && s->at[from - 1].newest_ms >= now.oldest_ms)
		from--;
	for (to = from; to < s->count && s->at[to].oldest_ms <= now.newest_ms; to++) {
		if (s->at[to].oldest_ms < now.oldest_ms)
			now.oldest_ms = s->at[to].oldest_ms;
		if (s->at[to].newest_ms > now.newest_ms)
			now.newest_ms = s->at[to].newest_ms;
		now.events += s->at[to].events;
	}
	memmove(&s->at[from + 1], &s->at[to], (s->count - to) * sizeof(s->at[0]));
	s->at[from] = now;
	s->count = s->count - (to - from) + 1;
	if (s->count > STAMPS_MAX)
		stamps_narrow(s);
}

void
stamps_merge(struct stamps *into, const struct stamps *from)
{
	for (unsigned i = 0; i < from->count; i++)
		stamps_put(into, &from->at[i]);
}

uint64_t
stamps_events(const struct stamps *s)
{
	uint64_t events = 0;

	for (unsigned i = 0; i < s->count; i++)
		events += s->at[i].events;
	return events;
}

void
stamps_pack(struct pack *p, const struct stamps *s)
{
	pack_array(p, 3 * s->count);
	for (unsigned i = 0; i < s->count; i++) {
		pack_int(p, s->at[i].oldest_ms);
		pack_int(p, s->at[i].newest_ms - s->at[i].oldest_ms);
		pack_uint(p, s->at[i].events);
	}
}

size_t
stamps_bound(const struct stamps *s)
{
	return 3 + 3 * 9 * (size_t)s->count;
}

bool
stamps_unpack(struct unpack *u, struct stamps *s)
{
	uint32_t fields = unpack_array(u);
	int64_t after = -1;

	s->count = 0;
	if (fields % 3 != 0 || fields / 3 > STAMPS_MAX)
		return false;
	for (uint32_t i = 0; i < fields / 3; i++) {
		int64_t oldest_ms = unpack_int(u), width_ms = unpack_int(u);
		uint64_t events = unpack_uint(u);
		if (u->bad || oldest_ms <= after || width_ms < 0 || oldest_ms > STAMPS_MS_MAX ||
		    width_ms > STAMPS_MS_MAX - oldest_ms || events == 0 ||
		    events > INT64_MAX / STAMPS_MAX)
			return false;
		after = oldest_ms + width_ms;
		s->at[s->count++] = (struct stamp){oldest_ms, after, events};
	}
	return !u->bad;
}
