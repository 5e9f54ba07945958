/* From a Kafka message to an event: modes, hashes, what cannot be read; and words for troubles. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ingest/trouble.h"
#include "tests/unit/ingest_world.h"

#define ROW "{\"id\":1}"

TestSuite(ingest_source, .timeout = 30);

Test(ingest_source, the_mode_follows_from_the_topics)
{
	struct server plain = {.name = NULL}, with = {.transaction_topic = (char[]){"t"}};
	cr_assert_eq(source_mode(&plain, 1), ORDER_SEQUENCE);
	cr_assert_eq(source_mode(&plain, 2), ORDER_NONE);
	cr_assert_eq(source_mode(&with, 1), ORDER_METADATA);
	cr_assert_eq(source_mode(&with, 4), ORDER_METADATA);
	cr_assert_str_eq(source_mode_name(ORDER_SEQUENCE), "sequence");
	cr_assert_str_eq(source_mode_name(ORDER_NONE), "none");
	cr_assert_str_eq(source_mode_name(ORDER_METADATA), "metadata");
}

/* ---- hashes -------------------------------------------------------------------------------- */

static uint64_t
hash(const char *key, size_t key_len, const char *value, size_t value_len, int64_t ms)
{
	struct kafka_message m = {key, value, key_len, value_len, 17, ms, false};
	return source_hash(&m);
}

/* Positions in targets hold such hashes: another function would find every topic created anew. */
Test(ingest_source, hashes_stay_what_they_were)
{
	char value[1000];
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (char)('a' + i % 26);
	cr_assert_eq(hash(NULL, 0, NULL, 0, 0), UINT64_C(1), "%llx",
		     (unsigned long long)hash(NULL, 0, NULL, 0, 0));
	uint64_t h = hash("{\"id\":1}", 8, value, sizeof(value), 1700000000000);
	cr_assert_eq(h, UINT64_C(0x8FF4DF212B522A2), "%llx", (unsigned long long)h);
	h = hash(NULL, 0, value, 13, 1700000000000);
	cr_assert_eq(h, UINT64_C(0xEEB6F4CAA8165E42), "%llx", (unsigned long long)h);
}

Test(ingest_source, a_hash_tells_key_value_and_time)
{
	const uint64_t h[] = {
	    hash("k", 1, "value", 5, 1), hash("k", 1, "value", 5, 2), hash("q", 1, "value", 5, 1),
	    hash("k", 1, "valuf", 5, 1), hash("kv", 2, "alue", 4, 1), hash(NULL, 0, "kvalue", 6, 1),
	    hash("k", 1, NULL, 0, 1),
	};
	for (size_t i = 0; i < sizeof(h) / sizeof(*h); i++)
		for (size_t j = 0; j < i; j++)
			cr_assert_neq(h[i], h[j], "%zu, %zu", i, j);
}

static uint64_t
mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
	return h ^ (h >> 32);
}

/* 0 stands for "no record yet": seven bytes that lead to it are found by trying times. */
Test(ingest_source, a_hash_is_never_0)
{
	for (int64_t ms = 0; ms < 100000; ms++) {
		uint64_t h = mix(mix(mix(mix(0, (uint64_t)ms), 0), 7), 0);
		char value[8];
		if (h >> 56 != 0)
			continue;
		memcpy(value, &h, sizeof(value));
		cr_assert_eq(mix(h, h), 0);
		cr_assert_eq(hash(NULL, 0, value, 7, ms), 1);
		return;
	}
	cr_assert_fail("no such time");
}

/* ---- what cannot be read, and what does not fit ------------------------------------------- */

static void
take(struct world *w, int64_t offset, uint64_t sequence)
{
	world_write(w, sequence, 'c', "null", ROW);
	cr_assert(world_take(w, offset), "%s", w->source.poison.text);
}

static void
a_poison_in_history(struct world *w)
{
	take(w, 0, 10);
	take(w, 1, 20);
	world_take_text(w, 2, "{\"before\":null,");
}

Test(ingest_source, a_poison_in_history_is_no_lost_topic)
{
	static struct world w;
	static const char *const words[] = {"s.public.t [0] offset 2: ", "JSON", NULL};
	world_open(&w, "id:integer", RING_BYTES_MIN, 4);
	world_ends(a_poison_in_history, &w, EXIT_DATA, words);
	world_close(&w);
}

Test(ingest_source, a_poison_lets_what_came_before_it_be_shown)
{
	static struct world w;
	world_open(&w, "id:integer", RING_BYTES_MIN, 1);
	take(&w, 0, 10);
	take(&w, 1, 20);
	cr_assert(!world_take_text(&w, 2, "hello"));
	cr_assert(w.source.poison.set && !w.source.poison.same && w.source.poison.offset == 2);
	cr_assert(strstr(w.source.poison.text, "s.public.t [0] offset 2: ") != NULL);
	world_silence(&w, w.source.poison.offset);
	cr_assert_str_eq(world_read(&w), "ADD 1\nCUT\nADD 1\nEND\n");
	world_close(&w);
}

Test(ingest_source, a_poison_of_the_open_transaction_is_known_by_its_bytes)
{
	static struct world w;
	world_open(&w, "id:integer", RING_BYTES_MIN, 0);
	take(&w, 0, 10);
	world_write(&w, 10, 'c', "null", "{\"id\":\"no number\"}");
	/* As after a restart: the event before it was decoded by another life. */
	w.source.partitions[0].event = (struct event){.op = 0};
	cr_assert(!world_take(&w, 1));
	cr_assert(w.source.poison.same);
	w.source.poison.set = false;
	world_write(&w, 100, 'c', "null", "{\"id\":\"no number\"}");
	cr_assert(!world_take(&w, 1));
	cr_assert(!w.source.poison.same);
	world_close(&w);
}

#ifdef TALLYD_FAULTS
/* One point for each message, which says why. */
Test(ingest_source, a_fault_in_decoding_has_its_words)
{
	static struct world w;
	setenv("TALLYD_FAULT", "ingest.decode:2:error", 1);
	world_open(&w, "id:integer", RING_BYTES_MIN, 0);
	take(&w, 0, 10);
	world_write(&w, 20, 'c', "null", ROW);
	cr_assert(!world_take(&w, 1));
	cr_assert(strstr(w.source.poison.text, "offset 1: the message is refused") != NULL, "%s",
		  w.source.poison.text);
	world_close(&w);
}
#endif

static void
another_record(struct world *w)
{
	w->source.partitions[0].durable = (struct record_check){1, 4711};
	take(w, 0, 10);
	take(w, 1, 20);
}

Test(ingest_source, a_record_that_the_position_was_not_made_from_is_refused)
{
	static struct world w;
	static const char *const words[] = {"s.public.t [0] offset 1 ", "created anew", NULL};
	world_open(&w, "id:integer", RING_BYTES_MIN, 0);
	world_ends(another_record, &w, EXIT_CONFIG, words);
	world_close(&w);
}

/* Debezium 1.4: nothing but silence would end a transaction. */
Test(ingest_source, events_without_a_sequence_stand_alone)
{
	static struct world w;
	world_open(&w, "id:integer", RING_BYTES_MIN, 0);
	cr_assert_eq(w.source.mode, ORDER_SEQUENCE);
	for (int64_t i = 0; i < 2; i++)
		cr_assert(world_take_text(
		    &w, i,
		    "{\"before\":null,\"after\":{\"id\":1},\"source\":{\"version\":\"1.4.2.Final\","
		    "\"connector\":\"postgresql\",\"name\":\"s\",\"ts_ms\":1700000000000,"
		    "\"snapshot\":\"false\",\"db\":\"d\",\"schema\":\"public\",\"table\":\"t\","
		    "\"txId\":7,\"lsn\":8,\"xmin\":null},\"op\":\"c\",\"ts_ms\":1}"));
	writer_commit(&w.writer);
	cr_assert_eq(w.source.mode, ORDER_NONE);
	cr_assert_str_eq(world_read(&w), "CUT\nADD 1\nEND\nADD 1\nEND\n");
	world_close(&w);
}

/* ---- silence ------------------------------------------------------------------------------- */

Test(ingest_source, events_and_transactions_are_signs_of_life)
{
	static struct world w;
	world_open(&w, "id:integer", RING_BYTES_MIN, 0);
	cr_assert_eq(w.source.flow.written_ms, 0);
	take(&w, 0, 10);
	cr_assert_eq(w.source.flow.written_ms, 1700000000000);
	world_close(&w);
	static char topic[] = "s.transaction", begin[] = "{\"status\":\"BEGIN\",\"id\":\"7:8\"}";
	struct server server = {.name = topic, .transaction_topic = topic};
	struct pipeline pipeline = {.servers = &server, .server_count = 1};
	struct stage stage = {.pipeline = &pipeline};
	struct source s = {.stage = &stage, .server = &server};
	struct transaction_position start = {.set = true};
	s.order = order_new(ORDER_METADATA, 100);
	order_set_transaction(s.order, &start);
	cr_assert(source_offer_transaction(&s, &(struct kafka_message){
						   .value = begin,
						   .value_len = sizeof(begin) - 1,
						   .timestamp_ms = 1700000000001,
					       }));
	cr_assert_eq(s.flow.written_ms, 1700000000001);
	order_free(s.order);
}

Test(ingest_flow, silence_is_said_once_and_its_end_once)
{
	struct flow f = {.written_ms = 0};
	for (int64_t now = 1000; now < 4000; now += 500)
		cr_assert_eq(flow_look(&f, 3000, now), FLOW_NOTHING, "%d", (int)now);
	cr_assert_eq(flow_look(&f, 3000, 4000), FLOW_SILENT);
	for (int64_t now = 4500; now < 20000; now += 500)
		cr_assert_eq(flow_look(&f, 3000, now), FLOW_NOTHING);
	flow_saw(&f, 77);
	cr_assert_eq(flow_look(&f, 3000, 20000), FLOW_AGAIN);
	cr_assert_eq(flow_look(&f, 3000, 22999), FLOW_NOTHING);
	cr_assert_eq(flow_look(&f, 3000, 23000), FLOW_SILENT);
}

Test(ingest_flow, what_goes_on_is_never_silent_whatever_the_clocks)
{
	struct flow f = {.written_ms = 0};
	int64_t now = 1000;
	for (int64_t written = 5; written < 200; written++, now += 2999) {
		flow_saw(&f, written);
		cr_assert_eq(flow_look(&f, 3000, now), FLOW_NOTHING);
	}
}

/* Old records are read after newer ones: partitions, replays, the end of the heartbeats first. */
Test(ingest_flow, what_is_older_is_no_sign_of_life)
{
	struct flow f = {.written_ms = 0};
	flow_saw(&f, 5000);
	cr_assert_eq(flow_look(&f, 3000, 1000), FLOW_NOTHING);
	flow_saw(&f, 5000);
	flow_saw(&f, -1);
	flow_saw(&f, 4000);
	cr_assert_eq(f.written_ms, 5000);
	cr_assert_eq(flow_look(&f, 3000, 4000), FLOW_SILENT);
}

Test(ingest_flow, kafka_being_away_is_not_the_connectors_silence)
{
	struct flow f = {.written_ms = 0};
	cr_assert_eq(flow_look(&f, 3000, 1000), FLOW_NOTHING);
	for (int64_t now = 1500; now < 20000; now += 500) {
		flow_excuse(&f, now);
		cr_assert_eq(flow_look(&f, 3000, now), FLOW_NOTHING);
	}
	cr_assert_eq(flow_look(&f, 3000, 22499), FLOW_NOTHING);
	cr_assert_eq(flow_look(&f, 3000, 22500), FLOW_SILENT);
	flow_excuse(&f, 23000);
	cr_assert_eq(flow_look(&f, 3000, 23000), FLOW_NOTHING);
	cr_assert_eq(flow_look(&f, 3000, 30000), FLOW_NOTHING);
}

Test(ingest_flow, without_a_limit_nothing_is_said)
{
	struct flow f = {.written_ms = 0};
	for (int64_t now = 1000; now < 1000000; now += 500)
		cr_assert_eq(flow_look(&f, 0, now), FLOW_NOTHING);
}

/* ---- troubles ------------------------------------------------------------------------------ */

#define HANDSHAKE                                                                                  \
	"ssl://127.0.0.1:9092/bootstrap: SSL handshake failed: error:0A000126:SSL "                \
	"routines::unexpected eof while reading (after 2ms in state SSL_HANDSHAKE)"
#define END_OF_FILE                                                                                \
	"ssl://127.0.0.1:9092/bootstrap: error:0A000126:SSL routines::unexpected eof while "       \
	"reading (after 2ms in state CONNECT)"
#define REFUSED                                                                                    \
	"127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms "  \
	"in state CONNECT)"
#define LOST "127.0.0.1:9092/1: Disconnected (after 900ms in state UP)"

Test(ingest_trouble, reasons_are_shortened_and_causes_named)
{
	char buf[TROUBLE_SIZE];
	cr_assert_str_eq(trouble_shorten(REFUSED, buf), "127.0.0.1:9092: Connection refused");
	cr_assert_str_eq(trouble_shorten(LOST, buf), "127.0.0.1:9092: Disconnected");
	cr_assert_str_eq(trouble_shorten("GroupCoordinator: k:1/1: Disconnected", buf),
			 "k:1: Disconnected");
	cr_assert_str_eq(trouble_shorten("2/2 brokers are down", buf), "2/2 brokers are down");
	cr_assert_str_eq(trouble_shorten(HANDSHAKE, buf),
			 "127.0.0.1:9092: error:0A000126:SSL routines::unexpected eof while reading"
			 " (a listener without TLS? look at security.protocol)");
	char first[TROUBLE_SIZE];
	strcpy(first, buf);
	cr_assert_str_eq(trouble_shorten(END_OF_FILE, buf), first);
}

Test(ingest_trouble, an_answer_is_a_refusal_and_says_what_to_look_at)
{
	static const struct {
		const char *reason;
		int certificate;
		const char *text; /* NULL: wait */
	} cases[] = {
	    {HANDSHAKE, 0, NULL},
	    {END_OF_FILE, 20, NULL},
	    {LOST, 0, NULL},
	    {"ssl://k:1/1: SSL handshake failed: Connection reset by peer (after 2ms in state X)",
	     0, NULL},
	    {"sasl_ssl://k:1/1: SASL authentication error: Failed: Broken pipe", 0, NULL},
	    {"sasl_ssl://k:1/1: SASL authentication error: Authentication failed: Invalid username "
	     "or password (after 300ms in state AUTH_REQ)",
	     20,
	     "Kafka refuses the connection: k:1: SASL authentication error: Authentication failed: "
	     "Invalid username or password: look at sasl.username and sasl.password"},
	    {"sasl_ssl://k:1/1: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported",
	     0,
	     "Kafka refuses the connection: k:1: SASL SCRAM-SHA-256 mechanism handshake failed: "
	     "Broker: Unsupported: look at sasl.mechanism"},
	    {"ssl://k:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate "
	     "verify failed: broker certificate could not be verified (after 5ms in state X)",
	     62,
	     "the certificate of Kafka at k:1 is refused: it is for another host: look at "
	     "bootstrap.servers and the brokers' advertised.listeners"},
	    {"ssl://k:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate "
	     "verify failed",
	     19,
	     "the certificate of Kafka at k:1 is refused: it is signed by nobody that "
	     "ssl.ca.location trusts: look at ssl.ca.location"},
	    {"ssl://k:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate "
	     "verify failed",
	     99,
	     "the certificate of Kafka at k:1 is refused: OpenSSL cannot verify it: look at "
	     "ssl.ca.location"},
	    {"ssl://k:1/1: SSL handshake failed: error:0A00045C:SSL routines::tlsv13 alert "
	     "certificate required: SSL alert number 116",
	     0,
	     "Kafka refuses the connection: k:1: error:0A00045C:SSL routines::tlsv13 alert "
	     "certificate required: SSL alert number 116: look at ssl.certificate.location and "
	     "ssl.key.location"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct trouble t = {.text = ""};
		int code = trouble_judge(&t, cases[i].reason, true, cases[i].certificate, 1000);
		cr_assert_eq(code, cases[i].text != NULL ? EXIT_DENIED : 0, "%zu", i);
		if (code != 0)
			cr_assert_str_eq(t.verdict, cases[i].text);
		cr_assert_eq(trouble_is_meant(&t, 11000), code != 0);
		cr_assert_eq(trouble_judge(&t, cases[i].reason, false, 0, 1000), 0);
	}
}

Test(ingest_trouble, a_message_that_cannot_be_received_is_no_outage)
{
#define TOO_LARGE                                                                                  \
	"Receive failed: Invalid response size 600 (0..100): increase receive.message.max.bytes"
	struct trouble t = {.text = ""};
	trouble_clear(&t);
	cr_assert_eq(trouble_judge(&t, "k:1/1: " TOO_LARGE " (after 4ms in state UP)", false, 0, 1),
		     EXIT_CONFIG);
	cr_assert_str_eq(t.verdict,
			 "a message is larger than receive.message.max.bytes: k:1: " TOO_LARGE);
	cr_assert_eq(
	    trouble_judge(&t, "k:1/b: " TOO_LARGE " (after 4ms in state AUTH)", false, 0, 1), 0);
}

Test(ingest_trouble, who_was_accepted_is_refused_only_when_nothing_else_comes)
{
	static const char refused[] = "k:1/1: SASL authentication error: no";
	struct trouble t = {.text = ""};
	cr_assert_eq(trouble_judge(&t, refused, true, 0, 1000), EXIT_DENIED);
	trouble_clear(&t);
	cr_assert_eq(trouble_judge(&t, refused, true, 0, 2000), 0);
	cr_assert(!trouble_is_meant(&t, 11999));
	cr_assert(trouble_is_meant(&t, 12000));
	trouble_judge(&t, LOST, false, 0, 12000);
	cr_assert(!trouble_is_meant(&t, 100000));
	trouble_judge(&t, refused, true, 0, 20000);
	trouble_judge(&t, refused, true, 0, 29000);
	cr_assert(trouble_is_meant(&t, 30000));
	trouble_clear(&t);
	cr_assert(!trouble_is_meant(&t, 100000));
}

Test(ingest_trouble, two_wordings_in_turn_do_not_flap)
{
	struct trouble t = {.text = ""};
	unsigned said = 0;
	char last[TROUBLE_SIZE] = "";
	for (int64_t ms = 1000; ms < 100000; ms += 400) {
		trouble_note(&t, ms / 400 % 2 ? REFUSED : LOST, ms);
		said += strcmp(t.text, last) != 0;
		strcpy(last, t.text);
	}
	cr_assert_eq(said, 2);
}

Test(ingest_trouble, what_lasts_is_shown_in_the_end)
{
	struct trouble t = {.text = ""};
	trouble_note(&t, REFUSED, 1000);
	trouble_note(&t, LOST, 1100);
	cr_assert_str_eq(t.text, "127.0.0.1:9092: Disconnected");
	for (int64_t ms = 1200; ms < 8000; ms += 500)
		trouble_note(&t, REFUSED, ms);
	cr_assert_str_eq(t.text, "127.0.0.1:9092: Connection refused");
	trouble_clear(&t);
	cr_assert_str_empty(t.text);
	trouble_note(&t, LOST, 8100);
	cr_assert_str_eq(t.text, "127.0.0.1:9092: Disconnected");
}

Test(ingest_trouble, more_wordings_than_are_remembered)
{
	struct trouble t = {.text = ""};
	char text[32], last[TROUBLE_SIZE];
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "k:1/1: reason %d", i);
		trouble_note(&t, text, 1000 + i);
		snprintf(last, sizeof(last), "k:1: reason %d", i);
		cr_assert_str_eq(t.text, last);
	}
}
