/*
 * envelope.h - what every message of a connector has in common: JSON, with the schema block around
 * it or without, and how it is refused when it is neither.
 */
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/json.h"
#include "ingest/convert.h"
#include "ingest/schema.h"

/* A key against a word whose length the compiler knows: this is asked thirty times a message. */
#define KEY_IS(key, word)                                                                          \
	((key).len == sizeof(word) - 1 && memcmp((key).s, (word), sizeof(word) - 1) == 0)

/* Always false: the sentence is the scanner's error and its place, unless there is one already. */
bool envelope_malformed(struct convert *, const struct json *);

/* Names of the members of the object that comes next, separated by commas, as many as fit. */
void envelope_list_members(struct json, char *buf, size_t size);

/*
 * A member of unknown name: one that no connector writes is an error, for it may be the damaged name
 * of a member that counts. envelope_skip() passes over its value, too.
 */
void envelope_check_name(struct json *, struct slice key);
void envelope_skip(struct json *, struct slice key);

/* True when the bytes begin like a JSON object; else the sentence says what they are. */
bool envelope_sniff(struct convert *, const char *what, const char *text, size_t len);

/*
 * Put the scanner before the payload. Wrapped: the schema block is taken (NULL: passed over), and
 * envelope_close() must follow the payload, which may be null. Bare: the payload is the whole text.
 * False when the message is refused: then envelope_malformed().
 */
bool envelope_open(struct schema *, struct convert *, struct json *, const char *text, size_t len,
		   bool *wrapped);
bool envelope_close(struct json *, bool wrapped);

/* A whole number or null; false when there is none. */
bool envelope_uint(struct json *, uint64_t *);
bool envelope_int(struct json *, int64_t *);

#endif
