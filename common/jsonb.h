/*
 * jsonb.h - one text for all JSON documents that are equal as PostgreSQL's jsonb.
 */
#ifndef JSONB_H
#define JSONB_H

#include <stddef.h>

/*
 * Rewrite a JSON text as PostgreSQL shows it as jsonb: one space after ':' and ',', keys ordered by
 * length and then by bytes, the last of equal keys, escapes only where JSON needs them. Numbers are
 * plain decimals and, other than PostgreSQL's, without zeros at their end, for 1.50 = 1.5: so equal
 * documents are equal bytes.
 *
 * Returns the length of the text, which a NUL follows; the length needed when that is >= size
 * (nothing is written then); or 0 when it is no JSON, or none that jsonb takes: \u0000, nested
 * deeper than JSON_DEPTH_MAX, a number of more than DECIMAL_DIGITS_MAX digits. A scalar is a
 * document too. Works in heap memory of about the text's size; does not block.
 */
size_t jsonb_canonical(const char *text, size_t len, char *buf, size_t size);

#endif
