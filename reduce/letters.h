/*
 * letters.h - messages for the dead-letter table, from the record that brings them to the batch that
 * carries them: they wait in memory, in order.
 *
 * A transaction may be of any size, memory is not: beyond LETTERS_BYTES the letters keep their place
 * and reason, without key and value.
 */
#ifndef LETTERS_H
#define LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define LETTERS_BYTES (64u * 1024 * 1024)

struct letter;
struct waiting_letter;

struct letters { /* zeroed but for letters_init() */
	STAILQ_HEAD(, waiting_letter) list;
	size_t bytes;
};

void letters_init(struct letters *);
void letters_clear(struct letters *);

/* Copies it. */
void letters_add(struct letters *, const struct letter *);

/* The oldest one, packed (batch_put_packed_letter()); NULL: none. It goes by letters_done(). */
const uint8_t *letters_first(const struct letters *, size_t *len);
void letters_done(struct letters *);

#endif
