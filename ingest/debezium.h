/*
 * debezium.h - one Kafka message -> one change event.
 *
 * Reads the envelope of Debezium's PostgreSQL connector (1.4 to 3.x) with or without the schema
 * block, and the messages of its transaction topic. The schema block repeats byte for byte, so it
 * is recognised by its bytes and skipped; a new one is read once for what the columns' logical
 * types need (scale of a Decimal, unit of a timestamp). How values are read is said in convert.h.
 * Knows nothing of Kafka or of order.
 *
 * Old rows: a keyed table never uses "before". A keyless one needs it whole for 'u' and 'd', which
 * takes REPLICA IDENTITY FULL; a null "before" is refused, and so is any whose message has a key, for
 * without FULL the connector makes up old rows from defaults and nothing in them tells. Without a
 * key it cannot: whatever index is a replica identity, the connector makes a key of.
 */
#ifndef DEBEZIUM_H
#define DEBEZIUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/pipeline.h"
#include "common/value.h"

enum event_kind {
	EVENT_CHANGE,
	EVENT_TOMBSTONE,  /* null value after a delete: nothing to do */
	EVENT_NOTHING,    /* heartbeat, schema change, 'm': moves the position only */
	EVENT_UNREADABLE, /* decoder_salvage(): not even its place can be told */
};

/* source.snapshot */
enum snapshot_mark {
	SNAPSHOT_FALSE,
	SNAPSHOT_TRUE,
	SNAPSHOT_FIRST,
	SNAPSHOT_FIRST_IN_COLLECTION,
	SNAPSHOT_LAST_IN_COLLECTION,
	SNAPSHOT_LAST,
	SNAPSHOT_INCREMENTAL,
};

/* What order needs to know of an event; its values stay in struct event. */
struct event_place {
	enum event_kind kind;
	enum snapshot_mark snapshot;
	bool has_sequence;  /* source.sequence[0] is a number */
	bool has_sequences; /* source.sequence is there at all (Debezium >= 1.5) */
	bool has_lsn;
	uint64_t sequence, lsn, xid;
	bool truncate;     /* op 't': what it says concerns all rows */
	int64_t order;     /* transaction.data_collection_order, 0: no transaction metadata */
	int64_t source_ms; /* source.ts_ms */
	int64_t offset;    /* filled by the caller */
	uint64_t hash;     /* of the whole record, filled by the caller; 0: order_say_hash() */
};

struct event {
	struct event_place place;
	char op;  /* 'c', 'u', 'd', 'r', 't'; an unknown one is refused */
	bool bad; /* decoder_salvage(): only what is said to be there may be used */
	bool has_before, has_after; /* true only for a whole row that may be trusted */
	bool has_key;               /* of a bad one: the key could be read */
	/* table->column_count values each; borrow message or decoder */
	struct value *before, *after;
	/* table->key_count values in key order (keyed tables; also for tombstones, not for 't') */
	struct value *key;
};

struct decoder; /* for one table: schema cache, room for unescaped text */

struct decoder *decoder_new(const struct table *); /* borrows the table */
void decoder_free(struct decoder *);

/* What the pipeline file says of the connector; without it the defaults. Borrows its text. */
void decoder_follow(struct decoder *, const struct connector *);

/*
 * Decode one message. key and value may be NULL (null in Kafka). The event borrows both buffers and the decoder
 * until the next call on this decoder.
 * Returns 0, or -1 with one sentence in error[] that says what is wrong with the message and what
 * to do ("the message is Avro, not JSON: set the connector's converters to JsonConverter").
 */
int decoder_read(struct decoder *, const char *key, size_t key_len, const char *value,
		 size_t value_len, struct event *, char *error, size_t error_size);

/*
 * After decoder_read() has refused a message: what can be used of it all the same, for a table whose
 * on_error is not to stop. Its place, or EVENT_UNREADABLE where that cannot be told, and then
 * nothing else. Of a keyed table the key, if that can be read: its row is what nobody knows any more. Of
 * a keyless one each half for itself, but nothing of an UPDATE without "before", which would be counted
 * twice, or of a DELETE whose old row may be made up.
 * False when nobody can go on without it: a TRUNCATE, for what it emptied would be counted for ever.
 */
bool decoder_salvage(struct decoder *, const char *key, size_t key_len, const char *value,
		     size_t value_len, struct event *);

/* How many schema blocks were recognised by their bytes and skipped. */
uint64_t decoder_schemas_skipped(const struct decoder *);

/* How many messages were read by the form of one before (form.h), and how many had to be scanned. */
uint64_t decoder_by_form(const struct decoder *);
uint64_t decoder_by_scan(const struct decoder *);

enum transaction_status {
	TRANSACTION_BEGIN,
	TRANSACTION_END,
	TRANSACTION_NOTHING, /* tombstone, or a status we do not know */
};

#define TRANSACTION_TABLES_MAX 64

struct transaction_event {
	enum transaction_status status;
	uint64_t xid;
	uint64_t lsn; /* after the colon; END: the commit LSN C. 0: not given (Debezium 1.4) */
	bool has_lsn;
	int64_t offset; /* filled by the caller */
	uint64_t hash;  /* filled by the caller */
	bool has_counts;
	uint64_t count[TRANSACTION_TABLES_MAX]; /* END: events by index of pipeline->tables */
	int64_t source_ms;
};

/*
 * Decode a message of the transaction topic; counts are kept for tables of `server` only.
 * Returns as decoder_read().
 */
int transaction_read(const struct pipeline *, unsigned server, const char *value, size_t len,
		     struct transaction_event *, char *error, size_t error_size);

#endif
