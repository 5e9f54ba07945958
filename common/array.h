/*
 * array.h - a PostgreSQL array of one dimension, as the bytes of a value.
 *
 * The bytes are one msgpack array of values of the element's type (value.h), NULLs included, each as value_pack()
 * writes it. Made of normal values (value_normal(), but numerics of a declared scale keep their zeros),
 * so equal arrays are equal bytes: they are carried and grouped by, not ordered. PostgreSQL's
 * arrays know neither their declared size nor dimensions; those of more than one are refused where
 * they are read.
 */
#ifndef ARRAY_H
#define ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/value.h"

struct enumeration;
struct pack;
struct unpack;

/* Are these bytes one msgpack array and nothing else? Its elements are checked as they are read. */
bool array_is_valid(const uint8_t *bytes, size_t len);

/* Begin to read an array; how many elements follow. Each is then taken by value_unpack(). */
uint32_t array_open(struct unpack *, const struct value *array);

/*
 * PostgreSQL's text form ({1,2,NULL}, {"a b",""}), NUL-terminated; snprintf-like. `labels` are
 * needed for enums only.
 */
size_t array_print(enum type element, const struct enumeration *labels, const struct value *array,
		   char *buf, size_t size);

#endif
