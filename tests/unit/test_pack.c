#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "common/pack.h"

static uint8_t buf[1 << 20];

/* Our writer against msgpack-c's own unpacker, our cursor against both. */
static const int64_t integers[] = {
    0,         1,  127, 128, 255,  256,  65535,  65536,  UINT32_MAX, (int64_t)UINT32_MAX + 1,
    INT64_MAX, -1, -32, -33, -128, -129, -32768, -32769, INT32_MIN,  (int64_t)INT32_MIN - 1,
    INT64_MIN};

Test(pack, integers_agree_with_msgpack_c)
{
	size_t n = sizeof(integers) / sizeof(integers[0]), off = 0;
	struct pack p;
	struct unpack u;
	msgpack_unpacked m;

	pack_init(&p, buf, sizeof(buf));
	for (size_t i = 0; i < n; i++)
		pack_int(&p, integers[i]);
	pack_uint(&p, UINT64_MAX);
	cr_assert_not(p.overflow);

	msgpack_unpacked_init(&m);
	unpack_init(&u, buf, pack_len(&p));
	for (size_t i = 0; i < n; i++) {
		cr_assert_eq(msgpack_unpack_next(&m, (char *)buf, pack_len(&p), &off),
			     MSGPACK_UNPACK_SUCCESS);
		cr_assert_eq(m.data.via.i64, integers[i]);
		cr_assert_eq(unpack_peek(&u), UNPACK_INT);
		cr_assert_eq(unpack_int(&u), integers[i], "integer %zu", i);
	}
	cr_assert_eq(unpack_uint(&u), UINT64_MAX);
	cr_assert_not(u.bad);
	cr_assert_eq(unpack_peek(&u), UNPACK_END);
	msgpack_unpacked_destroy(&m);
}

Test(pack, uint_beyond_int64_is_bad_as_int)
{
	struct pack p;
	struct unpack u;

	pack_init(&p, buf, sizeof(buf));
	pack_uint(&p, (uint64_t)INT64_MAX + 1);
	pack_int(&p, -1);
	unpack_init(&u, buf, pack_len(&p));
	unpack_int(&u);
	cr_assert(u.bad);
	unpack_init(&u, buf, pack_len(&p));
	unpack_skip(&u);
	unpack_uint(&u);
	cr_assert(u.bad, "a negative number is no uint");
}

Test(pack, strings_of_every_head_agree_with_msgpack_c)
{
	static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536};
	static char text[65536];

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t off = 0;
		struct pack p;
		struct unpack u;
		msgpack_unpacked m;
		uint32_t len;

		pack_init(&p, buf, sizeof(buf));
		pack_str(&p, text, sizes[i]);
		pack_bin(&p, text, sizes[i]);
		pack_ext(&p, 5, text, sizes[i]);
		cr_assert_not(p.overflow);
		msgpack_unpacked_init(&m);
		cr_assert_eq(msgpack_unpack_next(&m, (char *)buf, pack_len(&p), &off),
			     MSGPACK_UNPACK_SUCCESS);
		cr_assert_eq(m.data.type, MSGPACK_OBJECT_STR);
		cr_assert_eq(m.data.via.str.size, sizes[i]);
		cr_assert_eq(msgpack_unpack_next(&m, (char *)buf, pack_len(&p), &off),
			     MSGPACK_UNPACK_SUCCESS);
		cr_assert_eq(m.data.type, MSGPACK_OBJECT_BIN);
		cr_assert_eq(msgpack_unpack_next(&m, (char *)buf, pack_len(&p), &off),
			     MSGPACK_UNPACK_SUCCESS);
		cr_assert_eq(m.data.type, MSGPACK_OBJECT_EXT);
		msgpack_unpacked_destroy(&m);

		int8_t type;

		unpack_init(&u, buf, pack_len(&p));
		cr_assert_eq(memcmp(unpack_str(&u, &len), text, sizes[i]), 0);
		cr_assert_eq(len, sizes[i]);
		unpack_bin(&u, &len);
		cr_assert_eq(len, sizes[i]);
		unpack_ext(&u, &type, &len);
		cr_assert_eq(len, sizes[i]);
		cr_assert_eq(type, 5);
		cr_assert_not(u.bad);
		cr_assert_eq(u.at, u.end);
	}
}

Test(pack, overflow_is_sticky)
{
	struct pack p;

	pack_init(&p, buf, 4);
	pack_str(&p, "12345", 5);
	cr_assert(p.overflow);
	cr_assert_leq(pack_len(&p), 4);
}

Test(pack, skip_passes_nested_values_and_foreign_kinds)
{
	msgpack_sbuffer sb;
	msgpack_packer mp;
	struct unpack u;
	size_t len;

	msgpack_sbuffer_init(&sb);
	msgpack_packer_init(&mp, &sb, msgpack_sbuffer_write);
	msgpack_pack_map(&mp, 2);
	msgpack_pack_int(&mp, 1);
	msgpack_pack_array(&mp, 3);
	msgpack_pack_nil(&mp);
	msgpack_pack_double(&mp, 1.5);
	msgpack_pack_map(&mp, 0);
	msgpack_pack_str(&mp, 1);
	msgpack_pack_str_body(&mp, "k", 1);
	msgpack_pack_float(&mp, 2.5f);
	msgpack_pack_int(&mp, 42);
	unpack_init(&u, sb.data, sb.size);
	unpack_span(&u, &len);
	cr_assert_eq(len, sb.size - 1);
	cr_assert_eq(unpack_int(&u), 42);
	cr_assert_not(u.bad);
	msgpack_sbuffer_destroy(&sb);
}

Test(pack, nesting_is_bounded)
{
	struct unpack u;

	memset(buf, 0x91, 100); /* arrays of one, 100 deep */
	unpack_init(&u, buf, 100);
	unpack_skip(&u);
	cr_assert(u.bad);
}

Test(pack, absurd_counts_are_bad)
{
	const uint8_t array[] = {0xdd, 0xff, 0xff, 0xff, 0xff, 0x01};
	const uint8_t str[] = {0xdb, 0x00, 0x00, 0x00, 0x05, 'a'};
	struct unpack u;
	uint32_t len;

	unpack_init(&u, array, sizeof(array));
	cr_assert_eq(unpack_array(&u), 0);
	cr_assert(u.bad);
	unpack_init(&u, str, sizeof(str));
	unpack_str(&u, &len);
	cr_assert(u.bad);
}

/* Random bytes, every call: no read outside (ASan build), and an end. */
Test(pack, garbage_never_reads_outside)
{
	unsigned seed = 4711;

	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)(rand_r(&seed) % 24);
		uint8_t *exact = malloc(n + 1);
		struct unpack u;
		uint32_t len;
		int8_t type;

		for (size_t i = 0; i < n; i++)
			exact[i] = (uint8_t)rand_r(&seed);
		unpack_init(&u, exact, n);
		while (!u.bad && u.at < u.end) {
			switch (rand_r(&seed) % 7) {
			case 0:
				unpack_int(&u);
				break;
			case 1:
				unpack_str(&u, &len);
				break;
			case 2:
				unpack_bin(&u, &len);
				break;
			case 3:
				unpack_array(&u);
				break;
			case 4:
				unpack_ext(&u, &type, &len);
				break;
			case 5:
				unpack_bool(&u);
				break;
			default:
				unpack_skip(&u);
			}
		}
		cr_assert(u.at <= u.end);
		free(exact);
	}
}
