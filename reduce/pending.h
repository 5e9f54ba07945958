/*
 * pending.h - changes of counted ranks (AGGREGATE_RANKS) that wait until their group is shown; and, where there are
 * many groups, rows that wait until their group is found.
 *
 * Multisets lie in memory where they have grown, and what one change needs of them is seldom in the
 * processor's cache. The changes of a group, made together, pay for it once; and what a later one needs is fetched
 * while an earlier one is made. Until then a change is 16 bytes in a row of all of them. A group with such changes is
 * on the touched list.
 */
#ifndef PENDING_H
#define PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct group;
struct groups;
struct value;

struct pending_change {
	int64_t rank;
	uint16_t place; /* of its group among those that have some */
	uint16_t argument;
	int16_t diff;
};

struct pending_group {
	struct group *group;
	uint32_t count; /* of its changes */
	uint32_t end;   /* in `order`, when they are made */
};

/*
 * Of a view of few arguments, all with ranks: the next rows find their groups' places on the way here, while this one
 * waits for its own to come.
 */
#define PENDING_KEY_MAX   48
#define PENDING_ARGUMENTS 4

struct pending_row {
	uint32_t hash;
	uint8_t len; /* of the key */
	int8_t diff;
	bool has[PENDING_ARGUMENTS]; /* is not NULL */
	uint8_t key[PENDING_KEY_MAX];
	int64_t rank[PENDING_ARGUMENTS];
};

struct pending { /* all zero: none */
	struct pending_change *changes;
	uint32_t count, room;
	uint16_t *order;              /* the changes group by group, when they are made */
	struct pending_group *groups; /* that have some */
	uint32_t group_count;
	struct pending_row *rows; /* a ring */
	unsigned row_first, row_count;
};

void pending_free(struct pending *);

/* Keep a change of one argument for groups_apply_pending(); all are made when there are many. */
void pending_add(struct groups *, struct group *, unsigned argument, int64_t rank, int diff);

/*
 * Take a row whose packed key stands in groups->key. False where its group is to be looked for at once: there are
 * few, or the view or the key is not of the kind above.
 */
bool pending_take_row(struct groups *, const struct value *row, int diff, size_t key_len);

/* Find the groups of all rows that wait for theirs. */
void pending_find_groups(struct groups *);

#endif
