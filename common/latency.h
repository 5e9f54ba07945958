/*
 * latency.h - a histogram of latencies, in microseconds.
 *
 * Log-linear: each power of two is 32 buckets of one width, so a bucket's upper end is at most 1/32
 * (3.2 %) above what fell into it; up to 64 us each microsecond has its own. What is beyond 71 minutes
 * falls into the last one. It lies on the board, of one size, with one writer; anybody may copy it at
 * any time, and two copies subtracted are the time between them.
 */
#ifndef LATENCY_H
#define LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

#define LATENCY_SUB_BITS 5
#define LATENCY_BITS     32 /* values below 2^32 us */
#define LATENCY_BUCKETS  ((LATENCY_BITS - LATENCY_SUB_BITS + 1) << LATENCY_SUB_BITS)

struct latency { /* writer: one process, word by word */
	_Atomic uint64_t max_us;
	_Atomic uint64_t bucket[LATENCY_BUCKETS];
};

struct latency_copy {
	uint64_t count, max_us;
	uint64_t bucket[LATENCY_BUCKETS];
};

/* The bucket of a value, and the largest value that falls into a bucket (of the last one: nominally). */
unsigned latency_bucket(uint64_t us);
uint64_t latency_bucket_end(unsigned bucket);

/* So many events more with this latency. A negative one (another host's clock is ahead) counts as 0. */
void latency_add(struct latency *, int64_t us, uint64_t events);

void latency_read(const struct latency *, struct latency_copy *);

/*
 * What came since `earlier` was copied. The largest value is then known only by its bucket, unless it is the
 * largest of all.
 */
void latency_subtract(struct latency_copy *, const struct latency_copy *earlier);

/*
 * So many thousandths of the events took at most this long: the upper end of the bucket in which the
 * last of them lies, or the largest value if that is less. 0 when there are none.
 */
uint64_t latency_percentile_us(const struct latency_copy *, unsigned permille);

#endif
