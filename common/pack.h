/*
 * pack.h - msgpack in place: a writer into a fixed buffer, and a cursor that trusts nothing.
 *
 * The only file that knows msgpack-c. Writing uses its packer; reading is a cursor of our own,
 * for a tree in a zone costs ten times as much (the tests hold the two against each other).
 * Both carry a sticky error: use them freely, then look once.
 */
#ifndef PACK_H
#define PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack {
	uint8_t *start, *at, *end;
	bool
	    overflow; /* something did not fit; the content is then useless, and `end` is where it is */
};

void pack_init(struct pack *, void *buf, size_t size);
size_t pack_len(const struct pack *);
void pack_nil(struct pack *);
static inline void pack_bool(struct pack *, bool);
static inline void pack_int(struct pack *, int64_t);
static inline void pack_uint(struct pack *, uint64_t);
void pack_float(struct pack *, double);
void pack_str(struct pack *, const char *, size_t);
void pack_cstr(struct pack *, const char *); /* NULL is written as nil */
void pack_bin(struct pack *, const void *, size_t);
static inline void pack_array(struct pack *, uint32_t count);
void pack_ext(struct pack *, int8_t type, const void *, size_t);
void pack_raw(struct pack *, const void *, size_t); /* bytes that are msgpack already */

enum unpack_kind {
	UNPACK_END, /* nothing left, or the cursor is bad */
	UNPACK_NIL,
	UNPACK_BOOL,
	UNPACK_INT,
	UNPACK_STR,
	UNPACK_BIN,
	UNPACK_ARRAY,
	UNPACK_EXT,
	UNPACK_FLOAT,
	UNPACK_OTHER, /* map, float of 32 bits: never written by us */
};

struct unpack {
	const uint8_t *at, *end;
	bool bad;  /* malformed, truncated, or not what was asked for; sticky */
	bool kept; /* all of it was read before, and was good: for value_unpack() */
};

void unpack_init(struct unpack *, const void *buf, size_t len);

/* What comes next, without taking it. */
static inline enum unpack_kind unpack_peek(const struct unpack *);

/* Each takes one value; what does not fit sets bad and gives 0, false or an empty slice. */
bool unpack_nil(struct unpack *); /* takes a nil if there is one; never sets bad */
bool unpack_bool(struct unpack *);
static inline int64_t unpack_int(struct unpack *);   /* bad when out of int64 */
static inline uint64_t unpack_uint(struct unpack *); /* bad when negative */
double unpack_float(struct unpack *);
static inline const char *unpack_str(struct unpack *, uint32_t *len);
const uint8_t *unpack_bin(struct unpack *, uint32_t *len);
static inline uint32_t
unpack_array(struct unpack *); /* never more than the bytes left: a safe loop bound */
const uint8_t *unpack_ext(struct unpack *, int8_t *type, uint32_t *len);
void unpack_skip(struct unpack *);                        /* one whole value, nested to depth 16 */
const uint8_t *unpack_span(struct unpack *, size_t *len); /* one whole value as its raw bytes */

/* A heap copy of a string or nil (then NULL); the caller frees it. Fatal when out of memory. */
char *unpack_strdup(struct unpack *);

/* ---- most of what is written is one byte --------------------------------------------------------- */

void pack_wide_bool(struct pack *, bool);
void pack_wide_int(struct pack *, int64_t);
void pack_wide_uint(struct pack *, uint64_t);
void pack_wide_array(struct pack *, uint32_t count);
int64_t unpack_wide_int(struct unpack *);
uint64_t unpack_wide_uint(struct unpack *);
uint32_t unpack_wide_array(struct unpack *);
const char *unpack_wide_str(struct unpack *, uint32_t *len);

extern const uint8_t unpack_wide_kinds[32]; /* of the tags from 0xc0 on */

static inline void
pack_bool(struct pack *p, bool v)
{
	if (p->at < p->end)
		*p->at++ = v ? 0xc3 : 0xc2;
	else
		pack_wide_bool(p, v);
}

static inline void
pack_uint(struct pack *p, uint64_t v)
{
	if (v <= 0x7f && p->at < p->end)
		*p->at++ = (uint8_t)v;
	else
		pack_wide_uint(p, v);
}

static inline void
pack_int(struct pack *p, int64_t v)
{
	if (v >= 0)
		pack_uint(p, (uint64_t)v);
	else
		pack_wide_int(p, v);
}

static inline void
pack_array(struct pack *p, uint32_t count)
{
	if (count <= 0x0f && p->at < p->end)
		*p->at++ = (uint8_t)(0x90 | count);
	else
		pack_wide_array(p, count);
}

static inline uint64_t
unpack_uint(struct unpack *u)
{
	return u->at < u->end && *u->at <= 0x7f && !u->bad ? *u->at++ : unpack_wide_uint(u);
}

static inline int64_t
unpack_int(struct unpack *u)
{
	return u->at < u->end && *u->at <= 0x7f && !u->bad ? *u->at++ : unpack_wide_int(u);
}

static inline uint32_t
unpack_array(struct unpack *u)
{
	if (u->at < u->end && (*u->at & 0xf0) == 0x90 && !u->bad &&
	    u->end - u->at > (*u->at & 0x0f))
		return *u->at++ & 0x0f;
	return unpack_wide_array(u);
}

static inline const char *
unpack_str(struct unpack *u, uint32_t *len)
{
	if (u->at == u->end || (*u->at & 0xe0) != 0xa0 || u->bad ||
	    u->end - u->at <= (*u->at & 0x1f))
		return unpack_wide_str(u, len);
	const char *s = (const char *)u->at + 1;
	*len = *u->at & 0x1f;
	u->at += 1 + *len;
	return s;
}

static inline enum unpack_kind
unpack_peek(const struct unpack *u)
{
	if (u->bad || u->at == u->end)
		return UNPACK_END;
	uint8_t tag = *u->at;
	if (tag <= 0x7f || tag >= 0xe0)
		return UNPACK_INT;
	if (tag >= 0xc0)
		return (enum unpack_kind)unpack_wide_kinds[tag - 0xc0];
	return tag <= 0x8f ? UNPACK_OTHER : tag <= 0x9f ? UNPACK_ARRAY : UNPACK_STR;
}

#endif
