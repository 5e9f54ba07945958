/*
 * ring_threads - producer and consumer as two threads, for ThreadSanitizer.
 *
 * Both handles share one mapping, for the sanitizer tracks virtual addresses: two mappings of one
 * memfd would hide real races. Records of random size with commits of random batches; each side sleeps on its
 * bell when there is nothing to do, so a lost wake-up shows as a hang. Criterion cannot start under
 * the sanitizer, hence a plain main.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/stdlib.h>

#include "common/ring.h"

static struct ring_fds fds;
static struct ring producer, consumer;
static uint64_t records = 300000;
static unsigned sleeps[2];

static void
ring_wait(struct ring *r, size_t room, unsigned *count)
{
	struct pollfd p = {.fd = ring_fd(r), .events = POLLIN};

	if (ring_sleep(r, room)) {
		(*count)++;
		if (poll(&p, 1, 20000) == 0) {
			printf("a wake-up was lost\n0 passed, 1 failed\n");
			exit(1);
		}
	}
	ring_awake(r);
}

static size_t
record_len(uint64_t i)
{
	return 8 + (size_t)((i * 2654435761u) % 400);
}

static void *
produce(void *arg)
{
	unsigned seed = 1;
	uint8_t *room;

	(void)arg;
	for (uint64_t i = 0; i < records; i++) {
		size_t len = record_len(i);

		while ((room = ring_reserve(&producer, len)) == NULL) {
			ring_commit(&producer, &i, sizeof(i));
			ring_wait(&producer, len + 16, &sleeps[0]);
		}
		memset(room, (int)(i & 0xff), len);
		memcpy(room, &i, sizeof(i));
		ring_append(&producer, len, 1, 0);
		if (rand_r(&seed) % 64 == 0)
			ring_commit(&producer, &i, sizeof(i));
	}
	ring_commit(&producer, NULL, 0);
	return NULL;
}

static unsigned
consume(void)
{
	unsigned seed = 2, bad = 0;
	struct ring_record r;
	uint64_t i = 0, got;

	while (i < records) {
		int n = ring_next(&consumer, &r);

		if (n == -1)
			return bad + 1;
		if (n == 0) {
			ring_commit(&consumer, NULL, 0);
			ring_wait(&consumer, 0, &sleeps[1]);
			continue;
		}
		memcpy(&got, r.data, sizeof(got));
		if (got != i || r.len != record_len(i) ||
		    r.data[r.len - 1] != (r.len > 8 ? (i & 0xff) : r.data[7]))
			bad++;
		i++;
		if (rand_r(&seed) % 32 == 0)
			ring_commit(&consumer, &i, sizeof(i));
	}
	return bad;
}

int
main(int argc, char **argv)
{
	pthread_t thread;
	unsigned bad;

	if (argc > 1)
		records = (uint64_t)strtonum(argv[1], 1, INT64_MAX, NULL);
	if (ring_create(&fds, RING_BYTES_MIN) == -1 ||
	    ring_attach(&producer, &fds, RING_PRODUCER) == -1) {
		perror("ring");
		return 1;
	}
	consumer = producer;
	consumer.end = RING_CONSUMER;
	if (pthread_create(&thread, NULL, produce, NULL) != 0)
		return 1;
	bad = consume();
	pthread_join(thread, NULL);
	printf("ring_threads: %llu records, %u and %u sleeps, %u bad\n",
	       (unsigned long long)records, sleeps[0], sleeps[1], bad);
	printf("%d passed, %d failed\n", bad == 0, bad != 0);
	return bad != 0;
}
