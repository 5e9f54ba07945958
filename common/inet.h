/*
 * inet.h - PostgreSQL's inet: an IPv4 or IPv6 address and the number of bits of its network part.
 *
 * Stored as bytes: family (4 or 6), bits, then the 4 or 16 bytes of the address. One address with
 * its bits has one form, so equal values are equal bytes. No function here allocates or blocks.
 */
#ifndef INET_H
#define INET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INET_BYTES_MAX 18
#define INET_TEXT_MAX  51 /* the longest text and its NUL */

/*
 * Read an address as PostgreSQL's inet does: four parts of IPv4, fewer ones when /bits covers no
 * more than they say ("10.1/16"), IPv6 with "::" and with IPv4 at its end, /bits. `out` must hold
 * INET_BYTES_MAX bytes. Returns how many were written; 0, and nothing is written, when it is none.
 */
size_t inet_parse(const char *text, size_t len, uint8_t *out);

/*
 * PostgreSQL's text, NUL-terminated: /bits is left out when it covers the whole address. The bytes
 * must be valid. Returns its length, or the length needed when that is >= size.
 */
size_t inet_print(const uint8_t *bytes, char *buf, size_t size);

/*
 * PostgreSQL's order (network_cmp_internal() in src/backend/utils/adt/network.c): IPv4 first, then
 * the common network part, the number of bits, the whole address. Both must be valid.
 */
int inet_compare(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen);

/* Are these bytes a stored address? */
bool inet_is_valid(const uint8_t *bytes, size_t len);

#endif
