#include "reduce/lookout.h"

void
lookout_begin(struct lookout *l, struct core *core, unsigned input, const struct ring *ring)
{
	l->core = core_keeps_rows(core) ? core : NULL;
	l->input = input;
	l->ring = *ring;
	l->taken = l->seen = 0;
}

/* Of the record that will be taken after so many others. */
static const struct core_hint *
lookout_hint(const struct lookout *l, unsigned before)
{
	return &l->hint[(l->seen + before) % LOOKOUT_FAR];
}

const struct core_hint *
lookout_advance(struct lookout *l)
{
	struct ring_record record;

	if (l->core == NULL)
		return NULL;
	while (l->seen < l->taken + LOOKOUT_FAR && ring_next(&l->ring, &record) > 0) {
		core_look_ahead(l->core, l->input, &record, &l->hint[l->seen % LOOKOUT_FAR]);
		l->seen++;
		if (l->seen >= LOOKOUT_FAR - LOOKOUT_NEAR)
			core_fetch(lookout_hint(l, LOOKOUT_NEAR), false);
		if (l->seen >= LOOKOUT_FAR - LOOKOUT_NEXT)
			core_fetch(lookout_hint(l, LOOKOUT_NEXT), true);
	}
	unsigned now = l->taken++;
	/* One that came only now will be passed over the next time. */
	if (now >= l->seen || l->hint[now % LOOKOUT_FAR].rows == NULL)
		return NULL;
	return &l->hint[now % LOOKOUT_FAR];
}
