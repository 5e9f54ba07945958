/*
 * micro_chains.c - messages: scanned, decoded, and through the whole chain.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/json.h"
#include "tests/bench/chain.h"
#include "tests/bench/messages.h"
#include "tests/bench/micro.h"

#define MESSAGES   1000 /* a fetched batch: what the decoder reads is in no cache by itself */
#define KEYS       2500
#define GROUPS     100
#define BATCH      5000 /* messages from one commit to the next */
#define TEXT_BYTES 4096

static struct messages *made;
static struct chain chain;
static struct decoder *decoder;
static struct pipeline *pipeline;
static const struct kafka_message *list;
static unsigned list_count;

static void
messages_open(bool orders, enum messages_schema schema)
{
	const struct messages_plan plan = {
	    .orders = orders,
	    .schema = schema,
	    .keys = orders ? KEYS : 0,
	    .groups = GROUPS,
	    .per_transaction = 4,
	    .delete_every = 16,
	};

	made = messages_new(&plan);
}

/* ---- scanner ------------------------------------------------------------------------------- */

/* All of a value, each string and number checked. */
static void
scan_value(struct json *j)
{
	static char text[TEXT_BYTES];
	struct slice key;
	bool flag;

	switch (json_peek(j)) {
	case JSON_OBJECT:
		if (json_enter(j, JSON_OBJECT))
			while (json_key(j, &key))
				scan_value(j);
		break;
	case JSON_ARRAY:
		if (json_enter(j, JSON_ARRAY))
			while (json_element(j))
				scan_value(j);
		break;
	case JSON_STRING:
		(void)json_string(j, text, sizeof(text));
		break;
	case JSON_NUMBER:
		(void)json_number(j);
		break;
	case JSON_NULL:
		(void)json_null(j);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		flag = json_bool(j);
		(void)flag;
		break;
	case JSON_NONE:
		break;
	}
}

static void
scan(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < list_count; i++) {
		struct json j;
		if (list[i].value == NULL)
			continue;
		json_init(&j, list[i].value, list[i].value_len);
		scan_value(&j);
		if (!json_end(&j))
			micro_die(j.error);
	}
}

/* ---- decoder ------------------------------------------------------------------------------- */

static void
decode(void *arg)
{
	struct event event;
	char error[512];

	(void)arg;
	for (unsigned i = 0; i < list_count; i++)
		if (decoder_read(decoder, list[i].key, list[i].key_len, list[i].value,
				 list[i].value_len, &event, error, sizeof(error)) != 0)
			micro_die(error);
}

static void
in_lists(unsigned count, void (*work)(void *))
{
	for (unsigned done = 0; done < count; done += list_count) {
		list_count = count - done < MESSAGES ? count - done : MESSAGES;
		list = messages_make(made, list_count);
		micro_collect(work, NULL);
	}
}

static void
run_scan(unsigned count)
{
	in_lists(count, scan);
}

static void
run_decode(unsigned count)
{
	in_lists(count, decode);
}

static void
scan_open(void)
{
	messages_open(true, MESSAGES_BARE);
}

static void
scan_close(void)
{
	messages_free(made);
}

static void
decode_open(bool orders, enum messages_schema schema)
{
	messages_open(orders, schema);
	pipeline = chain_parse(orders ? chain_orders_sql : chain_values_sql);
	decoder = decoder_new(&pipeline->tables[0]);
}

static void
decode_close(void)
{
	decoder_free(decoder);
	pipeline_free(pipeline);
	messages_free(made);
}

static void
decode_values_schema(void)
{
	decode_open(false, MESSAGES_SCHEMA);
}

static void
decode_values_bare(void)
{
	decode_open(false, MESSAGES_BARE);
}

static void
decode_orders_schema(void)
{
	decode_open(true, MESSAGES_SCHEMA);
}

static void
decode_orders_bare(void)
{
	decode_open(true, MESSAGES_BARE);
}

/* ---- the chain ----------------------------------------------------------------------------- */

static void
take(void *arg)
{
	(void)arg;
	chain_take(&chain, list, list_count);
}

static void
close_batch(void *arg)
{
	(void)arg;
	chain_batch(&chain);
}

static void
run_chain(unsigned count)
{
	for (unsigned done = 0; done < count; done += BATCH) {
		in_lists(count - done < BATCH ? count - done : BATCH, take);
		micro_collect(close_batch, NULL);
	}
}

static void
chain_begin(bool orders, enum messages_schema schema)
{
	messages_open(orders, schema);
	chain_open(&chain, orders ? chain_orders_sql : chain_values_sql);
}

static void
chain_values(void)
{
	chain_begin(false, MESSAGES_SCHEMA);
}

static void
chain_orders(void)
{
	chain_begin(true, MESSAGES_MIXED);
}

static void
chain_values_bare(void)
{
	chain_begin(false, MESSAGES_BARE);
}

static void
chain_orders_bare(void)
{
	chain_begin(true, MESSAGES_BARE);
}

static void
chain_end(void)
{
	chain_close(&chain);
	messages_free(made);
}

const struct micro_case micro_chains[] = {
    {"scanner", "message, bare", 50000, false, scan_open, run_scan, scan_close},
    {"decoder-values-schema", "message", 50000, false, decode_values_schema, run_decode,
     decode_close},
    {"decoder-values-bare", "message", 50000, false, decode_values_bare, run_decode, decode_close},
    {"decoder-orders-schema", "message", 50000, false, decode_orders_schema, run_decode,
     decode_close},
    {"decoder-orders-bare", "message", 50000, false, decode_orders_bare, run_decode, decode_close},
    {"chain-values", "message", 50000, false, chain_values, run_chain, chain_end},
    {"chain-orders", "message", 50000, false, chain_orders, run_chain, chain_end},
    {"chain-values-bare", "message", 50000, false, chain_values_bare, run_chain, chain_end},
    {"chain-orders-bare", "message", 50000, false, chain_orders_bare, run_chain, chain_end},
    {.name = NULL},
};
