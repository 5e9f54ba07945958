#include "reduce/letters.h"

#include <stdlib.h>

#include "common/batch.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/stage.h"

struct waiting_letter {
	STAILQ_ENTRY(waiting_letter) link;
	size_t len;
	uint8_t packed[];
};

void
letters_init(struct letters *l)
{
	STAILQ_INIT(&l->list);
	l->bytes = 0;
}

void
letters_add(struct letters *l, const struct letter *letter)
{
	struct letter kept = *letter;
	struct pack pack;

	if (l->bytes >= LETTERS_BYTES) {
		kept.key = kept.value = NULL;
		kept.key_len = kept.value_len = 0;
	}
	size_t room = letter_bound(&kept);
	struct waiting_letter *w = xcalloc(1, sizeof(*w) + room);
	pack_init(&pack, w->packed, room);
	letter_pack(&pack, &kept);
	INVARIANT(!pack.overflow);
	w->len = pack_len(&pack);
	l->bytes += sizeof(*w) + w->len;
	STAILQ_INSERT_TAIL(&l->list, w, link);
}

const uint8_t *
letters_first(const struct letters *l, size_t *len)
{
	const struct waiting_letter *w = STAILQ_FIRST(&l->list);

	*len = w != NULL ? w->len : 0;
	return w != NULL ? w->packed : NULL;
}

void
letters_done(struct letters *l)
{
	struct waiting_letter *w = STAILQ_FIRST(&l->list);

	STAILQ_REMOVE_HEAD(&l->list, link);
	l->bytes -= sizeof(*w) + w->len;
	free(w);
}

void
letters_clear(struct letters *l)
{
	while (!STAILQ_EMPTY(&l->list))
		letters_done(l);
}
