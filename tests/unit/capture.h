/*
 * capture.h - reads recorded Kafka messages for tests, one JSON object a line.
 *
 * Understands tests/data/.../NAME.jsonl.zst (members partition, offset, timestamp, key, value) and
 * kcat's NAME.kcat.jsonl (offset, partition, ts, key, payload), compressed or not. A capture that
 * cannot be read to its end aborts the test with one line: a short one would prove nothing.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message {
	int partition;
	int64_t offset;
	int64_t timestamp; /* ms since 1970 */
	const char *key;   /* the real bytes; NULL: null in Kafka */
	size_t key_len;
	const char *value; /* as key */
	size_t value_len;
};

struct capture;

/* `path` is relative to the root of the repository, where the tests run. Never NULL. */
struct capture *capture_open(const char *path);

/* The next message, whose bytes are borrowed until the next call; false at the end. */
bool capture_next(struct capture *, struct message *);

void capture_close(struct capture *);

#endif
