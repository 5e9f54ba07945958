/*
 * fuzz.h - what the fuzz targets share: the entry that libFuzzer calls, a check that is a finding
 * when it fails, and inputs taken apart.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* One input. Always 0; a finding ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_finding(__FILE__, __LINE__, #condition))

static inline _Noreturn void
fuzz_finding(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, condition);
	abort();
}

/* A heap copy of exactly these bytes, so that ASan sees each byte beside them. The caller frees. */
static inline char *
fuzz_copy(const void *bytes, size_t len)
{
	char *copy = malloc(len);

	FUZZ_CHECK(copy != NULL);
	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

struct choices { /* an input as a row of decisions; when it is used up all are 0 */
	const uint8_t *at, *end;
};

static inline uint8_t
choose_byte(struct choices *c)
{
	return c->at < c->end ? *c->at++ : 0;
}

static inline uint64_t
choose_bytes(struct choices *c, unsigned count)
{
	uint64_t n = 0;

	while (count-- > 0)
		n = n << 8 | choose_byte(c);
	return n;
}

#endif
