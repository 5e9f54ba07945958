/*
 * order_sim.h - a broker, a clock and a caller around struct order, all of them simulated.
 *
 * Logs of partitions and of a transaction topic are filled by a test; sim_run() then plays the
 * caller's loop with messages that become visible at random, and hands each decision to the test.
 * With `reload` it saves and loads the order after every step, as if ingest had died there.
 */
#ifndef ORDER_SIM_H
#define ORDER_SIM_H

#include "ingest/order.h"

struct sim_event {
	struct event_place place;
	size_t id; /* the test's own */
};

struct sim_log {
	struct sim_event *at;
	size_t count, room, seen, visible; /* seen: handed to order */
	uint16_t table;
};

struct sim {
	enum order_mode mode;
	int64_t autocommit_ms;
	struct sim_log *logs;
	unsigned partitions;
	struct transaction_event *tx;
	size_t tx_count, tx_room, tx_seen, tx_visible;
	bool reload;   /* after each step */
	bool puts_off; /* now and then, an END that may be put off */
	bool keyless;  /* all tables */
	bool eager;    /* everything is visible at once */
	uint64_t random;
	const struct partition_position *from;    /* begin there; NULL: at the starts of all logs */
	const struct partition_position *durable; /* replay up to here first */
	const struct transaction_position *durable_tx;
	struct order *order;
	int64_t now_ms;
	struct order_counters counters; /* summed over reloads */
	void (*act)(struct sim *, const struct order_action *, const struct sim_event *head);
	void *context;
	bool stop; /* set by act: end the run here */
};

void sim_init(struct sim *, enum order_mode, unsigned partitions);
void sim_fini(struct sim *);
uint64_t sim_random(struct sim *, uint64_t below);

/* Let these bytes, borrowed, decide what all sims decide by chance, until they are used up. */
void sim_choose(const uint8_t *bytes, size_t len);

/* Append; offsets are given here. */
void sim_add(struct sim *, unsigned partition, const struct event_place *, size_t id);
void sim_add_transaction(struct sim *, const struct transaction_event *);

/* From the starts of all logs to their ends and `quiet_ms` beyond. Returns the last action. */
struct order_action sim_run(struct sim *, int64_t quiet_ms);

#endif
