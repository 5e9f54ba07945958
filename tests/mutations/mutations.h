/*
 * mutations.h - real messages damaged, and what the decoder makes of them.
 *
 * A damage is one change in one place, of one of the classes of enum damage. What the decoder says of
 * the damaged message is judged by an independent reading of it (yajl), see reading.h's part below:
 * the right result or one clear refusal, never another result.
 */
#ifndef MUTATIONS_H
#define MUTATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text { /* on the heap, exactly so large: ASan sees each byte beside it */
	char *s;
	size_t len;
};

struct text text_copy(const char *s, size_t len);

/* s with the n bytes at `from` replaced by m bytes of `with`. */
struct text text_splice(const struct text *s, size_t from, size_t n, const char *with, size_t m);

/* The next of a row of numbers that a seed gives, below `below`. */
uint64_t chance(uint64_t *state, uint64_t below);

/* --- damage.c --- */

enum damage {
	DAMAGE_CUT,          /* the end is missing */
	DAMAGE_CUT_TOKEN,    /* the same, amid or behind one token */
	DAMAGE_LOST,         /* some bytes are missing */
	DAMAGE_LOST_TOKEN,   /* one bracket, comma, colon, key or value */
	DAMAGE_TWICE,        /* some bytes are there twice */
	DAMAGE_TWICE_TOKEN,  /* one token is */
	DAMAGE_TWICE_MEMBER, /* a key and its value are: good JSON */
	DAMAGE_TWICE_ALL,
	DAMAGE_TYPE,        /* a value of another type */
	DAMAGE_DEEP,        /* a value nested up to 100,000 levels */
	DAMAGE_HUGE,        /* a number far outside of anything */
	DAMAGE_UTF8,        /* bytes in a string that are not UTF-8 */
	DAMAGE_ESCAPE,      /* an escape in a string, good or bad */
	DAMAGE_CONTROL,     /* a control character in a string */
	DAMAGE_BYTE,        /* any byte is another one */
	DAMAGE_SHARP,       /* a byte is one that means something */
	DAMAGE_INSERT,      /* the same, inserted */
	DAMAGE_PUNCTUATION, /* one of {}[],: is another of them */
	DAMAGE_NAME,        /* a key has one letter changed: good JSON */
	DAMAGE_UNUSED,      /* another value of a member that nobody uses: no damage at all */
	DAMAGE_SPACE,       /* white space between tokens: none either */
};
#define DAMAGES (DAMAGE_SPACE + 1)

const char *damage_name(enum damage);

/* `message`, good JSON, with that damage. False when it has nothing that can be damaged so. */
bool damage_make(enum damage, const struct text *message, uint64_t *state, struct text *damaged);

/* The damages that change nothing that counts: the result must be that of the whole message. */
bool damage_is_harmless(enum damage);

/* --- reading.c --- */

#define READING_PATHS 256

struct reading {     /* a message as yajl reads it */
	bool good;   /* JSON, UTF-8, no half surrogate pairs */
	char *plain; /* written again: no space, no needless escapes; NULL if not good */
	size_t len;
	char *paths[READING_PATHS]; /* of members, "source.lsn": without the payload's own name */
	unsigned path_count;
};

void reading_make(struct reading *, const struct text *);
void reading_free(struct reading *);
bool reading_has(const struct reading *, const char *path);

/* A sentence of one line: UTF-8, no control characters, of more than ten bytes. */
bool sentence_is_clear(const char *);

#endif
