/*
 * warm.h - what a start of ingest can do before its turn: everything that does not depend on where the
 * target stands. A connection, and what librdkafka has to learn before its lookups are one round trip.
 * What was learnt decides nothing: it is looked up again when it counts.
 */
#ifndef WARM_H
#define WARM_H

struct kafka;
struct stage;

/*
 * For a stage that is held: a client for *partitions partitions, raised to what the topics have; the
 * turn has come when this returns. NULL: not held, or nothing came of it, and nobody was told why.
 * The caller owns the client.
 */
struct kafka *warm_up(struct stage *, unsigned *partitions);

#endif
