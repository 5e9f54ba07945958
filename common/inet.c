#include "common/inet.h"

#include <stdio.h>
#include <string.h>

#include "common/scan.h"

#define V4_BYTES 4
#define V6_BYTES 16
#define V6_WORDS 8 /* of 16 bits */
#define NO_GAP   (V6_WORDS + 1)
#define HEADER   2 /* family, bits */

/* Take a number up to `max`; false when there is none. IPv6 allows no zeros in front. */
static bool
take_number(struct scan *scan, unsigned max, bool zeros, unsigned *out)
{
	const char *from = scan->at;

	for (*out = 0; scan_is_digit(scan); scan->at++) {
		if (!zeros && *out == 0 && scan->at > from)
			return false;
		*out = *out * 10 + (unsigned)(*scan->at - '0');
		if (*out > max)
			return false;
	}
	return scan->at > from;
}

static bool
parse_v4(struct scan text, uint8_t *address, unsigned *bits)
{
	unsigned parts = 0, part;

	while (parts < V4_BYTES && take_number(&text, 255, true, &part)) {
		address[parts++] = (uint8_t)part;
		if (!scan_take(&text, '.'))
			break;
	}
	*bits = 8 * V4_BYTES;
	if (scan_take(&text, '/')) {
		if (parts == 0 || !take_number(&text, *bits, true, bits) || *bits / 8 > parts)
			return false;
	} else if (parts < V4_BYTES) {
		return false;
	}
	return text.at == text.end;
}

/* Take four parts at the end of an IPv6 address. */
static bool
take_tail(struct scan *scan, uint16_t *words)
{
	unsigned part[V4_BYTES];

	for (unsigned i = 0; i < V4_BYTES; i++)
		if ((i > 0 && !scan_take(scan, '.')) || !take_number(scan, 255, false, &part[i]))
			return false;
	words[0] = (uint16_t)(part[0] << 8 | part[1]);
	words[1] = (uint16_t)(part[2] << 8 | part[3]);
	return true;
}

/* Take one to four hexadecimal digits. */
static bool
take_word(struct scan *scan, uint16_t *word)
{
	const char *from = scan->at;
	unsigned bits = 0;

	for (; scan->at < from + 4; scan->at++) {
		char c = scan_next(scan), lower = (char)(c | 0x20);
		if (scan_is_digit(scan))
			bits = bits << 4 | (unsigned)(c - '0');
		else if (lower >= 'a' && lower <= 'f')
			bits = bits << 4 | (unsigned)(lower - 'a' + 10);
		else
			break;
	}
	*word = (uint16_t)bits;
	return scan->at > from;
}

/*
 * Take the words of an address up to its end or its "/". Returns how many there are, with *gap
 * before which of them "::" stands, or NO_GAP; more than V6_WORDS when something is wrong.
 */
static unsigned
take_words(struct scan *scan, uint16_t *words, unsigned *gap)
{
	const unsigned wrong = V6_WORDS + 1;
	unsigned n = 0;

	*gap = NO_GAP;
	if (scan_take(scan, ':')) {
		if (!scan_take(scan, ':'))
			return wrong;
		*gap = 0;
	}
	while (*gap != n || (scan_next(scan) != '\0' && scan_next(scan) != '/')) {
		struct scan tail = *scan;
		if (n + 2 <= V6_WORDS && take_tail(&tail, words + n)) {
			*scan = tail;
			return n + 2;
		}
		if (n == V6_WORDS || !take_word(scan, &words[n]))
			return wrong;
		n++;
		if (!scan_take(scan, ':'))
			break;
		if (!scan_take(scan, ':'))
			continue;
		if (*gap != NO_GAP)
			return wrong;
		*gap = n;
	}
	return n;
}

static bool
parse_v6(struct scan text, uint8_t *address, unsigned *bits)
{
	uint16_t words[V6_WORDS] = {0};
	unsigned gap, n = take_words(&text, words, &gap);

	*bits = 8 * V6_BYTES;
	if (scan_take(&text, '/') && !take_number(&text, *bits, false, bits))
		return false;
	if (text.at != text.end || n > V6_WORDS || (n == V6_WORDS) != (gap == NO_GAP))
		return false;
	for (unsigned i = 0; i < V6_WORDS; i++) {
		unsigned zeros = V6_WORDS - n, word = 0;
		if (i < gap)
			word = words[i];
		else if (i >= gap + zeros)
			word = words[i - zeros];
		address[2 * i] = (uint8_t)(word >> 8);
		address[2 * i + 1] = (uint8_t)word;
	}
	return true;
}

size_t
inet_parse(const char *text, size_t len, uint8_t *out)
{
	struct scan scan = {text, text + len};
	uint8_t bytes[INET_BYTES_MAX] = {0};
	unsigned bits;
	bool v6 = len > 0 && memchr(text, ':', len) != NULL;
	size_t size = HEADER + (v6 ? V6_BYTES : V4_BYTES);

	if (len == 0 || memchr(text, '\0', len) != NULL)
		return 0;
	if (!(v6 ? parse_v6 : parse_v4)(scan, bytes + HEADER, &bits))
		return 0;
	bytes[0] = v6 ? 6 : 4;
	bytes[1] = (uint8_t)bits;
	memcpy(out, bytes, size);
	return size;
}

/* The longest run of at least two zero words, of equal ones the first; its length or 0. */
static unsigned
zero_run(const uint16_t *words, unsigned *from)
{
	unsigned best = 1, run = 0;

	for (unsigned i = 0; i < V6_WORDS; i++) {
		run = words[i] == 0 ? run + 1 : 0;
		if (run > best) {
			best = run;
			*from = i + 1 - run;
		}
	}
	return best > 1 ? best : 0;
}

static size_t
print_v4(const uint8_t *address, char *text, size_t size)
{
	return (size_t)snprintf(text, size, "%u.%u.%u.%u", address[0], address[1], address[2],
				address[3]);
}

/* inet_net_ntop_ipv6() in PostgreSQL's inet_net_ntop.c. */
static size_t
print_v6(const uint8_t *address, char *text, size_t size)
{
	uint16_t words[V6_WORDS];
	unsigned from = 0, run;
	size_t len = 0;

	for (unsigned i = 0; i < V6_WORDS; i++)
		words[i] = (uint16_t)(address[2 * i] << 8 | address[2 * i + 1]);
	run = zero_run(words, &from);
	bool tail = from == 0 && (run == 6 || (run == 5 && words[5] == 0xffff));
	for (unsigned i = 0; i < V6_WORDS; i++) {
		if (run > 0 && i >= from && i < from + run) {
			if (i == from)
				text[len++] = ':';
			continue;
		}
		if (i > 0)
			text[len++] = ':';
		if (tail && i == 6)
			return len + print_v4(address + 12, text + len, size - len);
		len += (size_t)snprintf(text + len, size - len, "%x", words[i]);
	}
	if (run > 0 && from + run == V6_WORDS)
		text[len++] = ':';
	return len;
}

size_t
inet_print(const uint8_t *bytes, char *buf, size_t size)
{
	char text[INET_TEXT_MAX];
	bool v6 = bytes[0] == 6;
	unsigned bits = bytes[1];
	size_t len = (v6 ? print_v6 : print_v4)(bytes + HEADER, text, sizeof(text));

	text[len] = '\0';
	if (bits < (v6 ? 8 * V6_BYTES : 8 * V4_BYTES))
		(void)snprintf(text + len, sizeof(text) - len, "/%u", bits);
	return (size_t)snprintf(buf, size, "%s", text);
}

/* Order of the first `bits` bits. */
static int
bits_compare(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	int order = memcmp(a, b, bits / 8);

	if (order != 0 || bits % 8 == 0)
		return order;
	unsigned shift = 8 - bits % 8;
	return (a[bits / 8] >> shift) - (b[bits / 8] >> shift);
}

int
inet_compare(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	unsigned common = a[1] < b[1] ? a[1] : b[1];

	if (alen != blen)
		return alen < blen ? -1 : 1;
	int order = bits_compare(a + HEADER, b + HEADER, common);
	if (order == 0)
		order = a[1] - b[1];
	return order != 0 ? order : memcmp(a + HEADER, b + HEADER, alen - HEADER);
}

bool
inet_is_valid(const uint8_t *bytes, size_t len)
{
	if (len == HEADER + V4_BYTES)
		return bytes[0] == 4 && bytes[1] <= 8 * V4_BYTES;
	return len == HEADER + V6_BYTES && bytes[0] == 6 && bytes[1] <= 8 * V6_BYTES;
}
