/*
 * room.h - memory for what one message's values are made of; all of it is given back at once.
 *
 * What was handed out never moves. Blocks are added as they are needed and become one when the next
 * message comes, so a topic soon finds its size. Out of memory ends the process.
 */
#ifndef ROOM_H
#define ROOM_H

#include <stddef.h>

struct room_block;

struct room { /* all zero: empty */
	struct room_block *newest;
	size_t total; /* bytes of all blocks */
};

/*
 * Where at least `size` bytes may be written, aligned for anything. They are kept once room_keep() has
 * said how many of them were used; until then the next room_reserve() gives the same place.
 */
void *room_reserve(struct room *, size_t size);
void room_keep(struct room *, size_t used);

/* Forget all that was handed out. */
void room_clear(struct room *);
void room_free(struct room *);

#endif
