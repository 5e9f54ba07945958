#include "common/pack.h"

#include <endian.h>
#include <string.h>

#include <msgpack.h>

#include "common/log.h"

enum {
	SKIP_DEPTH_MAX = 16,
};

void
pack_init(struct pack *p, void *buf, size_t size)
{
	p->start = p->at = buf;
	p->end = p->start + size;
	p->overflow = false;
}

size_t
pack_len(const struct pack *p)
{
	return (size_t)(p->at - p->start);
}

static void
pack_overflow(struct pack *p)
{
	p->overflow = true;
	p->end = p->at;
}

/* The write callback of msgpack-c's packer: straight into our buffer. */
static int
pack_write(void *data, const char *bytes, size_t len)
{
	struct pack *p = data;

	if (len > (size_t)(p->end - p->at)) {
		pack_overflow(p);
		return -1;
	}
	if (len > 0) /* an empty slice may have no address */
		memcpy(p->at, bytes, len);
	p->at += len;
	return 0;
}

static inline msgpack_packer
packer(struct pack *p)
{
	msgpack_packer mp;

	msgpack_packer_init(&mp, p, pack_write);
	return mp;
}

/*
 * Most of what is written is small: a byte for itself, or with the string behind it. True when it was
 * written here; msgpack-c writes the rest.
 */
static inline bool
pack_small(struct pack *p, uint8_t tag, const char *bytes, size_t len)
{
	if ((size_t)(p->end - p->at) <= len)
		return false;
	*p->at++ = tag;
	if (len > 0)
		memcpy(p->at, bytes, len);
	p->at += len;
	return true;
}

void
pack_nil(struct pack *p)
{
	msgpack_packer mp = packer(p);

	msgpack_pack_nil(&mp);
}

void
pack_wide_bool(struct pack *p, bool v)
{
	msgpack_packer mp = packer(p);

	if (v)
		msgpack_pack_true(&mp);
	else
		msgpack_pack_false(&mp);
}

void
pack_wide_int(struct pack *p, int64_t v)
{
	msgpack_packer mp = packer(p);

	msgpack_pack_int64(&mp, v);
}

/* In one move where there is room for the widest; what stands behind a narrower one is written over. */
void
pack_wide_uint(struct pack *p, uint64_t v)
{
	unsigned width = v > UINT32_MAX ? 3 : v > UINT16_MAX ? 2 : v > UINT8_MAX;

	if (v <= 0x7f || p->end - p->at <= 8) {
		msgpack_packer mp = packer(p);
		msgpack_pack_uint64(&mp, v);
		return;
	}
	v = htobe64(v << (64 - (8u << width)));
	*p->at = (uint8_t)(0xcc + width);
	memcpy(p->at + 1, &v, sizeof(v));
	p->at += 1 + (1u << width);
}

void
pack_str(struct pack *p, const char *s, size_t len)
{
	if (len <= 0x1f && pack_small(p, (uint8_t)(0xa0 | len), s, len))
		return;
	msgpack_packer mp = packer(p);

	if (len > UINT32_MAX) {
		pack_overflow(p);
		return;
	}
	msgpack_pack_str(&mp, len);
	msgpack_pack_str_body(&mp, s, len);
}

void
pack_float(struct pack *p, double v)
{
	msgpack_packer mp = packer(p);

	msgpack_pack_double(&mp, v);
}

void
pack_cstr(struct pack *p, const char *s)
{
	if (s == NULL)
		pack_nil(p);
	else
		pack_str(p, s, strlen(s));
}

void
pack_bin(struct pack *p, const void *bytes, size_t len)
{
	msgpack_packer mp = packer(p);

	if (len > UINT32_MAX) {
		pack_overflow(p);
		return;
	}
	msgpack_pack_bin(&mp, len);
	msgpack_pack_bin_body(&mp, bytes, len);
}

void
pack_wide_array(struct pack *p, uint32_t count)
{
	msgpack_packer mp = packer(p);

	msgpack_pack_array(&mp, count);
}

void
pack_ext(struct pack *p, int8_t type, const void *bytes, size_t len)
{
	msgpack_packer mp = packer(p);

	if (len > UINT32_MAX) {
		pack_overflow(p);
		return;
	}
	msgpack_pack_ext(&mp, len, type);
	msgpack_pack_ext_body(&mp, bytes, len);
}

void
pack_raw(struct pack *p, const void *bytes, size_t len)
{
	pack_write(p, bytes, len);
}

void
unpack_init(struct unpack *u, const void *buf, size_t len)
{
	u->at = buf;
	u->end = u->at + len;
	u->bad = u->kept = false;
}

/*
 * The head of one value (https://github.com/msgpack/msgpack/blob/master/spec.md): its kind, and
 * either an integer or the length of what follows.
 */
struct head {
	enum unpack_kind kind;
	uint32_t len;  /* bytes of a str, bin or ext; elements of an array; pairs of a map */
	int8_t ext;    /* type of an ext */
	bool boolean;  /* value of a bool */
	bool negative; /* the integer is i, else u */
	bool map;      /* UNPACK_OTHER: len pairs follow */
	int64_t i;
	uint64_t u;
	const uint8_t *body;
};

static bool
big_endian(const uint8_t **at, const uint8_t *end, unsigned bytes, uint64_t *out)
{
	uint64_t v = 0;

	if ((size_t)(end - *at) < bytes)
		return false;
	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | *(*at)++;
	*out = v;
	return true;
}

static bool
head_length(struct head *h, enum unpack_kind kind, const uint8_t **at, const uint8_t *end,
	    unsigned bytes)
{
	uint64_t len;

	h->kind = kind;
	if (!big_endian(at, end, bytes, &len))
		return false;
	h->len = (uint32_t)len;
	return true;
}

static bool
head_integer(struct head *h, const uint8_t **at, const uint8_t *end, unsigned bytes, bool is_signed)
{
	uint64_t v;

	h->kind = UNPACK_INT;
	if (!big_endian(at, end, bytes, &v))
		return false;
	if (is_signed && bytes < 8 && (v >> (bytes * 8 - 1)) != 0)
		v |= ~(uint64_t)0 << (bytes * 8);
	h->u = v;
	h->i = (int64_t)v;
	h->negative = is_signed && h->i < 0;
	return true;
}

static bool
head_ext(struct head *h, const uint8_t **at, const uint8_t *end)
{
	if (*at == end)
		return false;
	h->ext = (int8_t) * (*at)++;
	return true;
}

static bool
head_wide(struct head *h, uint8_t tag, const uint8_t **at, const uint8_t *end)
{
	switch (tag) {
	case 0xc0:
		h->kind = UNPACK_NIL;
		return true;
	case 0xc2:
	case 0xc3:
		h->kind = UNPACK_BOOL;
		h->boolean = tag == 0xc3;
		return true;
	case 0xc4:
	case 0xc5:
	case 0xc6:
		return head_length(h, UNPACK_BIN, at, end, 1u << (tag - 0xc4));
	case 0xc7:
	case 0xc8:
	case 0xc9:
		return head_length(h, UNPACK_EXT, at, end, 1u << (tag - 0xc7)) &&
		       head_ext(h, at, end);
	case 0xca:
	case 0xcb:
		h->kind = tag == 0xca ? UNPACK_OTHER : UNPACK_FLOAT;
		h->len = tag == 0xca ? 4 : 8;
		return true;
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		return head_integer(h, at, end, 1u << (tag - 0xcc), false);
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return head_integer(h, at, end, 1u << (tag - 0xd0), true);
	case 0xd4:
	case 0xd5:
	case 0xd6:
	case 0xd7:
	case 0xd8:
		h->kind = UNPACK_EXT;
		h->len = 1u << (tag - 0xd4);
		return head_ext(h, at, end);
	case 0xd9:
	case 0xda:
	case 0xdb:
		return head_length(h, UNPACK_STR, at, end, 1u << (tag - 0xd9));
	case 0xdc:
	case 0xdd:
		return head_length(h, UNPACK_ARRAY, at, end, 2u << (tag - 0xdc));
	case 0xde:
	case 0xdf:
		h->map = true;
		return head_length(h, UNPACK_OTHER, at, end, 2u << (tag - 0xde));
	default:
		return false;
	}
}

/* Read the head at the cursor; the body of a str, bin, ext or float is checked to be there. */
static bool
head_read(const struct unpack *u, struct head *h)
{
	const uint8_t *at = u->at;
	uint8_t tag;
	bool ok = true;

	*h = (struct head){.kind = UNPACK_END};
	if (u->bad || at == u->end)
		return false;
	tag = *at++;
	if (tag <= 0x7f || tag >= 0xe0) {
		h->kind = UNPACK_INT;
		h->i = (int8_t)tag;
		h->u = (uint64_t)h->i;
		h->negative = h->i < 0;
	} else if (tag <= 0x8f) {
		h->kind = UNPACK_OTHER;
		h->map = true;
		h->len = tag & 0x0f;
	} else if (tag <= 0x9f) {
		h->kind = UNPACK_ARRAY;
		h->len = tag & 0x0f;
	} else if (tag <= 0xbf) {
		h->kind = UNPACK_STR;
		h->len = tag & 0x1f;
	} else {
		ok = head_wide(h, tag, &at, u->end);
	}
	h->body = at;
	/* A map or an array has at least one byte for each element: an absurd count stops here. */
	return ok && h->len <= (size_t)(u->end - at);
}

const uint8_t unpack_wide_kinds[32] = {
    /* 0xc0 */ UNPACK_NIL,   UNPACK_END,   UNPACK_BOOL,  UNPACK_BOOL,
    /* 0xc4 */ UNPACK_BIN,   UNPACK_BIN,   UNPACK_BIN,   UNPACK_EXT,
    /* 0xc8 */ UNPACK_EXT,   UNPACK_EXT,   UNPACK_OTHER, UNPACK_FLOAT,
    /* 0xcc */ UNPACK_INT,   UNPACK_INT,   UNPACK_INT,   UNPACK_INT,
    /* 0xd0 */ UNPACK_INT,   UNPACK_INT,   UNPACK_INT,   UNPACK_INT,
    /* 0xd4 */ UNPACK_EXT,   UNPACK_EXT,   UNPACK_EXT,   UNPACK_EXT,
    /* 0xd8 */ UNPACK_EXT,   UNPACK_STR,   UNPACK_STR,   UNPACK_STR,
    /* 0xdc */ UNPACK_ARRAY, UNPACK_ARRAY, UNPACK_OTHER, UNPACK_OTHER,
};

/*
 * The quick way past the heads that are most frequent: the end of a small integer, a nil or a short
 * string; NULL: another head, or not all of it is there.
 */
static inline const uint8_t *
small_end(const struct unpack *u)
{
	size_t len;
	uint8_t tag;

	if (u->bad || u->at == u->end)
		return NULL;
	tag = *u->at;
	if (tag <= 0x7f || tag == 0xc0)
		len = 1;
	else if (tag >= 0xa0 && tag <= 0xbf)
		len = 1 + (size_t)(tag & 0x1f);
	else if (tag >= 0xcc && tag <= 0xcf)
		len = 1 + ((size_t)1 << (tag - 0xcc));
	else
		return NULL;
	return (size_t)(u->end - u->at) >= len ? u->at + len : NULL;
}

/* Take a head of the wanted kind, leaving the cursor behind its body (before an array's). */
static bool
unpack_head(struct unpack *u, enum unpack_kind want, struct head *h)
{
	if (!head_read(u, h) || h->kind != want) {
		u->bad = true;
		*h = (struct head){.kind = UNPACK_END};
		return false;
	}
	u->at = h->body + (want == UNPACK_ARRAY ? 0 : h->len);
	return true;
}

bool
unpack_nil(struct unpack *u)
{
	if (u->bad || u->at == u->end || *u->at != 0xc0)
		return false;
	u->at++;
	return true;
}

bool
unpack_bool(struct unpack *u)
{
	struct head h;

	if (!u->bad && u->at < u->end && (*u->at | 1) == 0xc3)
		return *u->at++ == 0xc3;
	return unpack_head(u, UNPACK_BOOL, &h) && h.boolean;
}

/* A number that is not negative and takes more than a byte; false: something else, or not all of it. */
static inline bool
unpack_whole(struct unpack *u, uint64_t *v)
{
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	if (u->bad || u->at == u->end)
		return false;
	size_t left = (size_t)(u->end - u->at);
	if (*u->at == 0xcc && left > 1) {
		*v = u->at[1];
		u->at += 2;
	} else if (*u->at == 0xcd && left > sizeof(v16)) {
		memcpy(&v16, u->at + 1, sizeof(v16));
		*v = be16toh(v16);
		u->at += 1 + sizeof(v16);
	} else if (*u->at == 0xce && left > sizeof(v32)) {
		memcpy(&v32, u->at + 1, sizeof(v32));
		*v = be32toh(v32);
		u->at += 1 + sizeof(v32);
	} else if (*u->at == 0xcf && left > sizeof(v64)) {
		memcpy(&v64, u->at + 1, sizeof(v64));
		*v = be64toh(v64);
		u->at += 1 + sizeof(v64);
	} else {
		return false;
	}
	return true;
}

int64_t
unpack_wide_int(struct unpack *u)
{
	struct head h;
	uint64_t v;

	if (unpack_whole(u, &v)) {
		u->bad = v > INT64_MAX;
		return u->bad ? 0 : (int64_t)v;
	}
	if (!unpack_head(u, UNPACK_INT, &h))
		return 0;
	if (!h.negative && h.u > INT64_MAX) {
		u->bad = true;
		return 0;
	}
	return h.i;
}

uint64_t
unpack_wide_uint(struct unpack *u)
{
	struct head h;
	uint64_t v;

	if (unpack_whole(u, &v))
		return v;
	if (!unpack_head(u, UNPACK_INT, &h))
		return 0;
	if (h.negative) {
		u->bad = true;
		return 0;
	}
	return h.u;
}

double
unpack_float(struct unpack *u)
{
	struct head h;
	uint64_t bits = 0;
	double v;

	if (!unpack_head(u, UNPACK_FLOAT, &h))
		return 0;
	(void)big_endian(&h.body, h.body + h.len, 8, &bits);
	memcpy(&v, &bits, sizeof(v));
	return v;
}

const char *
unpack_wide_str(struct unpack *u, uint32_t *len)
{
	struct head h;

	if (!unpack_head(u, UNPACK_STR, &h)) {
		*len = 0;
		return "";
	}
	*len = h.len;
	return (const char *)h.body;
}

const uint8_t *
unpack_bin(struct unpack *u, uint32_t *len)
{
	struct head h;

	if (!unpack_head(u, UNPACK_BIN, &h)) {
		*len = 0;
		return (const uint8_t *)"";
	}
	*len = h.len;
	return h.body;
}

uint32_t
unpack_wide_array(struct unpack *u)
{
	struct head h;

	return unpack_head(u, UNPACK_ARRAY, &h) ? h.len : 0;
}

const uint8_t *
unpack_ext(struct unpack *u, int8_t *type, uint32_t *len)
{
	struct head h;

	if (!unpack_head(u, UNPACK_EXT, &h)) {
		*len = 0;
		*type = 0;
		return (const uint8_t *)"";
	}
	*len = h.len;
	*type = h.ext;
	return h.body;
}

void
unpack_skip(struct unpack *u)
{
	/* How many values are still to be skipped at each level; a flat loop, so no deep stack. */
	uint64_t left[SKIP_DEPTH_MAX + 1] = {1};
	unsigned depth = 0;
	struct head h;

	for (;;) {
		while (left[depth] == 0) {
			if (depth == 0)
				return;
			depth--;
		}
		left[depth]--;
		const uint8_t *end = small_end(u);
		if (end != NULL) {
			u->at = end;
			continue;
		}
		if (!head_read(u, &h)) {
			u->bad = true;
			return;
		}
		if (h.kind == UNPACK_ARRAY || h.map) {
			u->at = h.body;
			if (depth == SKIP_DEPTH_MAX) {
				u->bad = true;
				return;
			}
			left[++depth] = h.map ? (uint64_t)h.len * 2 : h.len;
		} else {
			u->at = h.body + h.len;
		}
	}
}

const uint8_t *
unpack_span(struct unpack *u, size_t *len)
{
	const uint8_t *from = u->at;

	unpack_skip(u);
	*len = u->bad ? 0 : (size_t)(u->at - from);
	return from;
}

char *
unpack_strdup(struct unpack *u)
{
	const char *s;
	uint32_t len;

	if (unpack_nil(u))
		return NULL;
	s = unpack_str(u, &len);
	return xstrndup(s, len);
}
