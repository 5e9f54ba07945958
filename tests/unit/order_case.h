/*
 * order_case.h - what single cases of struct order begin with.
 */
#ifndef ORDER_CASE_H
#define ORDER_CASE_H

#include "ingest/order.h"

/* An order at the starts of all partitions, and live; 100 ms of silence close a transaction. */
struct order *order_of(enum order_mode, unsigned partitions);

/* Of a change; sequence 0: it has none. */
struct event_place place(uint64_t sequence, uint64_t lsn, int64_t offset);

/* Do what order says next; and the same with this head of partition 0, at time 0. */
enum order_step order_case_step(struct order *, int64_t now_ms);
enum order_step order_case_offer(struct order *, struct event_place);

#endif
