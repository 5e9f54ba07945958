/*
 * form.h - the form of a table's messages, learned from one that the scanner has read.
 *
 * The messages of a table differ in few places: the slots. All bytes between them, the schema block
 * among them, are the same in the next message, and comparing them is many times faster than
 * scanning them. What stands in a slot is read at a glance (common/glance.h) if it is written as most
 * are, else by the very function that the scanner's way calls there; so where the bytes between are
 * equal, both ways give the same event. At the first difference the message goes the scanner's way, from
 * its start, and its form is learned too.
 */
#ifndef FORM_H
#define FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/json.h"

enum slot_kind {
	SLOT_SKIP,   /* a value that nobody wants */
	SLOT_COLUMN, /* of the row or the key; `index`: which */
	SLOT_BEFORE,
	SLOT_OP,
	SLOT_TIME,
	SLOT_LSN, /* of "source" */
	SLOT_XID,
	SLOT_SOURCE_MS,
	SLOT_SNAPSHOT,
	SLOT_SEQUENCE,
	SLOT_VERSION, /* never learned: its bytes are compared */
	SLOT_ORDER,   /* of "transaction" */
};

struct slot {
	enum slot_kind kind;
	unsigned index;
	unsigned depth; /* of nesting, where it stands */
	uint64_t arrays;
	size_t before; /* bytes between the slot before it and this one */
	size_t digits; /* of the number that stood in it last: a guess, 0 at first */
};

/* What is noted while the scanner reads a message. A NULL lesson is none. */
struct lesson {
	const char *text, *at; /* borrowed; end of the last slot */
	size_t len;
	struct slot *slots;
	char *bytes; /* those between the slots */
	size_t bytes_len, bytes_room;
	unsigned count, room;
	unsigned open; /* slots within slots are not noted */
	bool failed;   /* not to be learned */
};

struct form {
	struct slot *slots;
	char *bytes; /* between the slots, all in a row */
	size_t bytes_len;
	unsigned count;
	bool has_after;      /* of a message's value: it has a new row */
	uint64_t generation; /* of what the caller reads slots by, when it was learned */
	uint64_t used;       /* number of the message that had it last; 0: none, it is empty */
};

/* Inserts and updates have one form, deletes another; the rest is for what stands between them. */
#define FORMS_MAX 4

struct forms { /* of the values of a table, or of their keys; zero: none yet */
	struct form form[FORMS_MAX];
	unsigned last; /* used last */
	unsigned next, tried;
	uint64_t generation;
	uint64_t messages, found;
	unsigned in_vain; /* learned in a row and not used */
	bool learning;
	struct lesson lesson;
};

void forms_free(struct forms *);

/* A message begins. Its form is one of forms_next() (the likely first; NULL: no more), or none. */
void forms_begin(struct forms *, uint64_t generation);
const struct form *forms_next(struct forms *);
void forms_found(struct forms *);

/* It is scanned: note its slots, unless such messages turned out to have no form. */
void forms_study(struct forms *, struct slice text);
struct lesson *forms_lesson(struct forms *); /* NULL: nothing is to be noted */

/* The scanner has read it whole, and it was right. */
void forms_learn(struct forms *, uint64_t generation, bool has_after);
void forms_end(struct forms *);

/* The scanner stands before a value, and behind it. */
void lesson_slot(struct lesson *, enum slot_kind, unsigned index, const struct json *);
void lesson_slot_end(struct lesson *, const struct json *);

static inline uint64_t
form_differ(const char *a, const char *b)
{
	uint64_t words[2];

	memcpy(&words[0], a, 8);
	memcpy(&words[1], b, 8);
	return words[0] ^ words[1];
}

/* Most are the name of a member and what is around it: for these, a call is half the cost. */
static inline bool
form_equal(const char *a, const char *b, size_t len)
{
	if (len < 8 || len > 32)
		return memcmp(a, b, len) == 0;
	uint64_t differ = form_differ(a, b) | form_differ(a + len - 8, b + len - 8);
	if (len > 16)
		differ |= form_differ(a + 8, b + 8) | form_differ(a + len - 16, b + len - 16);
	return differ == 0;
}

/* Behind the `len` bytes at `at` if they are those of `bytes`, else NULL. */
static inline const char *
form_pass(const char *at, const char *end, const char *bytes, size_t len)
{
	return (size_t)(end - at) >= len && form_equal(at, bytes, len) ? at + len : NULL;
}

#endif
