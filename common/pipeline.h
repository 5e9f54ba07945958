/*
 * pipeline.h - a checked pipeline: what the pipeline file says, ready to run.
 *
 * The supervisor parses the file (supervisor/parse.c) into this structure, checks it whole and
 * hands each stage a packed copy with only that stage's own section: ingest its server's
 * properties and tables, reduce tables and views, egress the target and the views' outputs.
 * Indices (servers, tables, views, columns) are the same in every copy. Options hold secrets:
 * never print an option's value.
 */
#ifndef PIPELINE_H
#define PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/connector.h"
#include "common/value.h"

struct expr;
struct pack;
struct unpack;

struct place { /* in the pipeline file; line 0: nowhere */
	uint32_t line, column;
};

struct option { /* passed through to librdkafka or libpq under its own name */
	char *name, *value;
	struct place place;
};

#define SILENCE_WARNING_MS 60000 /* default of silence_warning_ms */

enum start {                  /* where a first start begins; server option "start" */
	     START_CHECKED,   /* default: the log must begin with a snapshot or at offset 0 */
	     START_EARLIEST,  /* wherever the log begins */
	     START_COMMITTED, /* the consumer group's offsets */
	     START_LATEST,
};

struct server {
	char *name;
	struct option *options; /* librdkafka properties */
	unsigned option_count;
	char *transaction_topic;    /* NULL: no transaction metadata */
	char *heartbeat_topic;      /* NULL: silence cannot be told from an idle table */
	int64_t silence_warning_ms; /* 0: never; used with a heartbeat_topic only */
	enum start start;
	struct connector connector; /* its settings, as far as they are given */
	struct place place, transaction_place, heartbeat_place;
};

#define MODIFIER_MAX 10485760 /* of varchar and char, as in PostgreSQL */

struct enumeration { /* CREATE TYPE name AS ENUM (labels) */
	char *name;  /* "schema.name", or "name" */
	char **labels;
	unsigned label_count;
	struct place place;
};

/* The label of a value, "?" when it has none; the place of a label, or -1. */
const char *enumeration_label(const struct enumeration *, const struct value *);
int enumeration_find(const struct enumeration *, const char *label, size_t len);

struct column {
	char *name;
	enum type type;
	enum type element; /* of an array; means nothing else */
	const struct enumeration
	    *enumeration; /* of an enum, or of an array of it; borrowed from the pipeline */
	/* numeric(p,s); of the element, if it is an array. varchar(p), char(p), time(p), timestamp(p).
	 * -1 when not declared; a char without length is char(1). */
	int precision, scale;
	bool not_null;
	bool collate_c; /* text declared COLLATE "C": may be ordered */
	struct place place;
};

/* The type of an array's elements, or the type itself. */
static inline enum type
column_scalar(const struct column *column)
{
	return column->type == TYPE_ARRAY ? column->element : column->type;
}

/* value_print() for a column's values, labels and arrays too. */
size_t column_print(const struct column *, const struct value *, char *buf, size_t size);

/* value_parse() for a column, labels too. */
bool column_parse(const struct column *, const char *text, size_t len, char *buf, size_t size,
		  struct value *);

/* The type as it was declared: "numeric(10,2)", "mood", "text[]". Heap. */
char *column_type_name(const struct column *);

/* Whether two columns have the same type, with the same modifiers and labels. */
bool column_same_type(const struct column *, const struct column *);

/*
 * Whether ranks (value_rank()) tell the values of a column whole: whole numbers, and numerics that have the declared scale, of a
 * scale up to 4. Then the value of a rank; that of a numeric borrows text (DECIMAL_RANK_MAX bytes).
 */
bool column_has_whole_ranks(const struct column *);
struct value column_of_rank(const struct column *, int64_t rank, char *text);

enum on_error { /* what becomes of a message that cannot be used; table option "on_error" */
		ON_ERROR_STOP, /* default: the pipeline */
		ON_ERROR_SKIP,
		ON_ERROR_DEAD_LETTER, /* skipped, and written into tallyd.dead_letter */
};

enum truncate { /* what a TRUNCATE in the topic does; table option "truncate" */
		TRUNCATE_IF_ORDERED, /* default: followed, but an error over several partitions */
		TRUNCATE_FOLLOW,     /* the topic must have one partition */
		TRUNCATE_REFUSE,
};

struct table {
	char *name;   /* as the views call it */
	char *source; /* "schema.table" in Debezium's transaction metadata */
	char *topic;
	unsigned server; /* index */
	struct column *columns;
	unsigned column_count;
	unsigned *key;      /* column indices of the PRIMARY KEY, in its order */
	unsigned key_count; /* 0: keyless */
	enum on_error on_error;
	enum truncate truncate;
	struct place place, topic_place, truncate_place;
};

enum output_kind {
	OUTPUT_GROUP,      /* a GROUP BY column */
	OUTPUT_COUNT_ROWS, /* count(*) */
	OUTPUT_COUNT,
	OUTPUT_SUM,
	OUTPUT_MIN,
	OUTPUT_MAX,
	OUTPUT_AVG,
};

struct output {
	char *name;
	enum output_kind kind;
	unsigned column; /* argument or group column; 0 for count(*) */
	enum type type;  /* of the result: sum(integer) is bigint, sum(bigint) and avg numeric */
	int scale;       /* declared scale of a numeric group/min/max/sum argument, else -1 */
	struct place place;
};

enum existing { /* rows already in the target at a first start; view option "existing" */
		EXISTING_REFUSE, /* default */
		EXISTING_ADOPT,  /* leave them */
		EXISTING_TRUNCATE,
};

struct computed { /* an expression over a table's columns, as a column of a view */
	struct expr *expr;
	struct column column; /* its name is the expression's canonical text */
};

/*
 * Where outputs, GROUP BY and the like name a column of a view, a number beyond those of its table's
 * columns means a computed one.
 */
struct view {
	char *schema; /* NULL: by the target's search_path */
	char *name;   /* the target table */
	unsigned table;
	struct output *outputs; /* in SELECT order */
	unsigned output_count;
	unsigned
	    *group; /* column indices of GROUP BY, in its order; may hold columns not selected */
	unsigned group_count;
	struct computed *computed;
	unsigned computed_count;
	struct expr *where; /* NULL: all rows */
	enum existing existing;
	char *plan;   /* what its rows depend on: compared with the target's at each start */
	bool dropped; /* a reload has taken it out: its index stays, nothing is shown of it */
	bool rebuild; /* its table is to be brought to what it should say, see VIEW_REBUILD */
	struct place place;
};

/* A column of the view's table, or a computed one. */
const struct column *view_column(const struct view *, const struct table *, unsigned column);

/* Append a computed column; takes the expression, which is a value (expr.h). Returns its number. */
unsigned view_compute(struct view *, const struct table *, struct expr *);

struct pipeline {
	char *file; /* as given on the command line */
	char *name;
	int64_t autocommit_duration_ms; /* default 100 */
	int64_t commit_interval_ms;     /* default 0 */
	int64_t checkpoint_interval_ms; /* default 10000 */
	size_t ring_bytes;              /* default 4 MiB */
	bool replay;                    /* this once: no checkpoint is used; not from the file */
	struct server *servers;
	unsigned server_count;
	struct enumeration **enumerations;
	unsigned enumeration_count;
	struct table *tables;
	unsigned table_count;
	char *target_name;
	struct option *target; /* libpq keywords */
	unsigned target_count;
	struct place target_place;
	struct view *views;
	unsigned view_count;
};

void pipeline_free(struct pipeline *);

/*
 * True when an option's value may not be shown: its name speaks of a password, secret, key, token
 * or JAAS (but not of a file that holds one), or the value itself looks like a connection string
 * with a password. `value` need not be NUL-terminated.
 */
bool option_is_secret(const char *name, const char *value, size_t len);

/* Which part of a pipeline a copy holds. */
enum section {
	SECTION_INGEST, /* options of one server only */
	SECTION_REDUCE, /* no options at all */
	SECTION_EGRESS, /* options of the target only */
};

/* Pack one section; `server` matters for SECTION_INGEST only. */
void pipeline_pack(const struct pipeline *, enum section, unsigned server, struct pack *);

/* The owner of the result frees it. NULL when the bytes are no section of this version. */
struct pipeline *pipeline_unpack(struct unpack *);

/*
 * The canonical text of the pipeline, which parses again to the same pipeline: the golden tests
 * and `tallyd explain` print it. Option values that may be secrets are printed as '***'.
 * Heap; the caller frees it.
 */
char *pipeline_print(const struct pipeline *);

/*
 * All that the rows of a view depend on, which is view->plan: the canonical text of its SELECT and,
 * in a comment behind it, the topic, the key and the columns read. Stable over formatting, aliases
 * and versions of tallyd. Heap; the caller frees it.
 */
char *pipeline_print_plan(const struct view *, const struct table *);

/*
 * Append to a stream as SQL: an identifier, quoted where needed; a string literal; a view with its
 * schema, if it has one.
 */
void sql_identifier(FILE *, const char *name);
void sql_qualified(FILE *, const char *name); /* "schema.name" as two identifiers */
void sql_string(FILE *, const char *text, size_t len);
void sql_labels(FILE *, const struct enumeration *); /* 'a', 'b' */
void sql_view_name(FILE *, const struct view *);

/* "name", or "schema.name": a view as `tallyd rebuild` takes it. Heap. */
char *view_name(const struct view *);

/*
 * A command to paste into a shell, in backquotes: `tallyd VERB FILE`, or `tallyd VERB FILE VIEW`
 * where a view is given. Heap.
 */
char *pipeline_command(const struct pipeline *, const char *verb, const struct view *);

/*
 * What lets a pipeline go on that a message of this table has stopped: the option, and where in the
 * pipeline file it belongs. Heap.
 */
char *pipeline_go_on(const struct pipeline *, const struct table *);

const char *on_error_name(enum on_error);                /* as the option's value. Static. */
bool pipeline_has_dead_letters(const struct pipeline *); /* some table has that option */

#endif
