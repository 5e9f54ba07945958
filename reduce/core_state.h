/*
 * core_state.h - the inside of core.h, shared by core*.c.
 */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include "common/position.h"
#include "common/stamps.h"
#include "reduce/checkpoint.h"
#include "reduce/core.h"
#include "reduce/group.h"
#include "reduce/letters.h"
#include "reduce/rows.h"

#define BEAT_ROWS 65536 /* so many rows may be gone through without a heartbeat */

#define NO_INPUT UINT32_MAX

struct core_table {
	const struct table *table;
	enum type *types, *key_types;
	struct value *before, *after, *key; /* room for one row each, and one key */
	struct rows *rows;                  /* keyed tables only */
	bool attempt_open;                  /* a snapshot is being read */
	unsigned *views;                    /* which views read this table */
	unsigned view_count;
};

struct core_view {
	struct groups *groups; /* NULL: the view was dropped */
	struct groups *fresh;  /* of an open snapshot attempt, keyless tables only */
	bool known;            /* to the target */
	bool announce;         /* a VIEW record is to be put beside the next batch: */
	enum view_step step;
	uint64_t shown; /* VIEW_LIVE: rows */
};

struct core {
	const struct pipeline *pipeline;
	struct core_hooks hooks;
	struct core_table *tables;
	struct core_view *views;
	bool *cut; /* of each input: its CUT has come */
	unsigned cuts;
	unsigned open; /* the input whose transaction is open, or NO_INPUT */
	bool live, finishing;

	struct position *position;
	bool position_changed;
	int64_t position_changed_ms;
	int64_t source_ms;
	struct stamps stamps; /* of events that the next batch makes visible */
	char *position_text;  /* BOARD_POSITION_MAX bytes */
	size_t position_len;

	bool emitting;
	unsigned emit_view;
	unsigned emit_announced; /* views whose VIEW record is out, if they have one */
	bool emit_retracted;     /* the -1 of the first touched group is out */
	bool emit_closing;       /* rows are out, and the batch is needed */
	bool emit_begun;         /* whether to begin a checkpoint was decided */
	uint64_t emit_rows;
	size_t emit_parts_bytes;
	unsigned emit_forgets;
	bool announce_due; /* a VIEW record is a reason for a batch */
	bool closed_once;
	bool behind;
	int64_t closed_ms;

	struct letters letters; /* of transactions that are whole, and of the open one */
	uint64_t emit_letters;

	struct checkpoints checkpoints;
	bool loaded;                 /* core_load() was called */
	char *origin;                /* position of the loaded state */
	char *origin_text;           /* the same as position_print() gives it */
	char refusal[240];           /* why a stored checkpoint was not used */
	bool checkpoint_first;       /* the first commit carries one */
	bool checkpoint_moved;       /* the position has moved since the last one was begun */
	uint64_t checkpoint_changes; /* absorbed since then */
	int64_t checkpoint_begun_ms; /* or the last CUT came */

	uint8_t *scratch; /* a row whose unchanged columns were filled in */
	size_t scratch_room;
	struct core_counters counters;
	struct core_error error;
};

/* core.c */
enum core_result core_corrupt(struct core *, unsigned input, const char *what);
struct core_table *core_table(struct core *, unsigned input, uint16_t index);
enum core_result core_fail(struct core *, int code, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void core_open_state(struct core *);
void core_close_state(struct core *);
void core_list_views(struct core *, unsigned table);

/* core_load.c: a view over a keyed table, from the kept rows. */
enum core_result core_build_view(struct core *, unsigned view);

/* core_bad.c: a BAD record, which is for the next batch. */
enum core_result core_letter(struct core *, unsigned input, const struct ring_record *);

/*
 * The row of a change, `values`, cannot be used: what its table's on_error says. `what` comes before
 * the reason. In a replay it was told when it came, but not to a view that the target does not know yet (`fresh`):
 * then there is a line, and no letter. CORE_OK: go on without it.
 */
enum core_result core_bad_row(struct core *, const struct core_table *, const struct change *,
			      const struct value *values, const char *what, const char *reason,
			      bool fresh);

/* Whether a view is shown anew: the target does not know it, or it is to be rebuilt. */
bool core_view_is_fresh(const struct core *, unsigned view);

/* {"column": value, ...} of all columns, or of the key alone. Heap. */
char *core_print_row(const struct table *, const struct value *values, bool key_only);

/* core_emit.c: whether what was absorbed so far may change what is shown. */
bool core_has_news(const struct core *);
bool core_print_position(struct core *);

#endif
