/*
 * debezium_state.h - the inside of `struct decoder`, shared by debezium*.c only.
 *
 * debezium.c         reads: a message's members, rows and key
 * debezium_form.c    reads a message whose form is known
 * debezium_judge.c   what was read: is it an event, and may it be used
 */
#ifndef DEBEZIUM_STATE_H
#define DEBEZIUM_STATE_H

#include "ingest/convert.h"
#include "ingest/debezium.h"
#include "ingest/form.h"
#include "ingest/schema.h"

struct fields { /* the columns wanted from a row or from a message key */
	const struct column **columns;
	unsigned count;
	struct schema schema;
	struct value *values;
	uint64_t *seen; /* by column: `stamp` of the object that had it last */
	uint64_t stamp;
};

struct decoder {
	const struct table *table;
	struct fields row, key;
	struct forms row_forms, key_forms;
	struct value *before;
	struct convert convert;
	struct unavailable unavailable;
	struct room room;
	char *text; /* room for unescaped strings */
	size_t text_size;
	bool salvaging; /* what cannot be read is passed over */
};

enum member { /* members of a message that is no envelope, by which it is known */
	      MEMBER_TIME = 1,
	      MEMBER_MESSAGE = 2,
	      MEMBER_SCHEMA_CHANGE = 4,
	      MEMBER_FLATTENED = 8,
	      MEMBER_CLOUD = 16,
	      MEMBER_OTHER = 32,
};

struct envelope {
	char op; /* '\0': none */
	bool has_before, has_after, whole_before, unread_before, read_after, has_source;
	unsigned members;
	const char *missing; /* a member of "source" that every event has */
	int64_t time_ms;
};

static inline bool
decoder_is_change(char op)
{
	return op == 'c' || op == 'r' || op == 'u' || op == 'd';
}

/* Take what stands in a slot, by the functions of the scanner's way. False: it is not as it should be. */
bool decoder_take_slot(struct decoder *, const struct slot *, struct fields *, struct json *,
		       struct envelope *, struct event_place *);

/*
 * Read a message by one of the forms, into fields, envelope and place, which is empty before. False when
 * it has no form that is known: then all is as if nothing had been tried, and its form is to be learned.
 */
bool decoder_try_forms(struct decoder *, struct forms *, struct fields *, struct slice text,
		       struct envelope *, struct event_place *);

/*
 * The event that a message is; `start`: the scanner before its payload. False, with a sentence, when it
 * is refused.
 */
bool decoder_judge(struct decoder *, struct json start, const struct envelope *, bool has_key,
		   struct event *);

/* The same of one whose op is c, r, u or d. */
bool decoder_judge_change(struct decoder *, const struct envelope *, bool has_key, struct event *);

/* Parts of it: may a keyless table's old row be trusted; is the new one whole. */
bool decoder_judge_before(struct decoder *, const struct envelope *, bool has_key);
bool decoder_judge_unchanged(struct decoder *, char op);

#endif
