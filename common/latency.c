#include "common/latency.h"

#define SUB_BUCKETS (1u << LATENCY_SUB_BITS)

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free");

unsigned
latency_bucket(uint64_t us)
{
	if (us < 2 * SUB_BUCKETS)
		return (unsigned)us;
	if (us >> LATENCY_BITS != 0)
		return LATENCY_BUCKETS - 1;
	unsigned shift = 63 - (unsigned)__builtin_clzll(us) - LATENCY_SUB_BITS;
	/* The highest bit of us >> shift, always set, moves on to the buckets of the next power. */
	return (shift << LATENCY_SUB_BITS) + (unsigned)(us >> shift);
}

uint64_t
latency_bucket_end(unsigned bucket)
{
	if (bucket < 2 * SUB_BUCKETS)
		return bucket;
	unsigned shift = (bucket >> LATENCY_SUB_BITS) - 1;
	uint64_t begin = (uint64_t)(SUB_BUCKETS + bucket % SUB_BUCKETS) << shift;
	return begin + (UINT64_C(1) << shift) - 1;
}

/* One writer, so a load and a store are enough: no locked instruction. */
void
latency_add(struct latency *l, int64_t us, uint64_t events)
{
	uint64_t value = us > 0 ? (uint64_t)us : 0;
	_Atomic uint64_t *bucket = &l->bucket[latency_bucket(value)];
	uint64_t before = atomic_load_explicit(bucket, memory_order_relaxed);

	/* First the maximum: a copy made in between must not have a value beyond it. */
	if (value > atomic_load_explicit(&l->max_us, memory_order_relaxed))
		atomic_store_explicit(&l->max_us, value, memory_order_relaxed);
	atomic_store_explicit(bucket, before + events, memory_order_release);
}

void
latency_read(const struct latency *l, struct latency_copy *copy)
{
	copy->count = 0;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		copy->bucket[i] = atomic_load_explicit(&l->bucket[i], memory_order_acquire);
		copy->count += copy->bucket[i];
	}
	copy->max_us = atomic_load_explicit(&l->max_us, memory_order_relaxed);
}

void
latency_subtract(struct latency_copy *now, const struct latency_copy *earlier)
{
	unsigned highest = 0;

	now->count = 0;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		now->bucket[i] -=
		    now->bucket[i] >= earlier->bucket[i] ? earlier->bucket[i] : now->bucket[i];
		now->count += now->bucket[i];
		if (now->bucket[i] > 0)
			highest = i;
	}
	if (now->count == 0)
		now->max_us = 0;
	else if (now->max_us == earlier->max_us && highest != LATENCY_BUCKETS - 1 &&
		 latency_bucket_end(highest) < now->max_us)
		now->max_us = latency_bucket_end(highest);
}

uint64_t
latency_percentile_us(const struct latency_copy *copy, unsigned permille)
{
	uint64_t seen = 0, wanted = copy->count / 1000 * permille +
				    (copy->count % 1000 * permille + 999) / 1000;
	unsigned i = 0;

	if (copy->count == 0)
		return 0;
	if (wanted == 0)
		wanted = 1;
	while ((seen += copy->bucket[i]) < wanted)
		i++;
	uint64_t end = latency_bucket_end(i);
	return i == LATENCY_BUCKETS - 1 || end > copy->max_us ? copy->max_us : end;
}
