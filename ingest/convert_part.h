/*
 * convert_part.h - what the files of the conversion share; for no one else. convert.c takes a value
 * apart by its kind of JSON and hands it on by the declared type.
 *
 * All return false with a sentence in the conversion, or with the scanner's own error. Values borrow the
 * slice or the room.
 */
#ifndef CONVERT_PART_H
#define CONVERT_PART_H

#include "ingest/convert.h"

/* "column ... is declared ..., but the message has ...: declare it as in the source". False. */
bool convert_mismatch(struct convert *, const struct column *, struct slice found);

/* The same, of the value that comes next. */
bool convert_mismatch_next(struct convert *, struct json *, const struct column *);

/* A string, unescaped. */
bool convert_string(struct convert *, struct json *, struct slice *);

/* A value that was parsed of a scalar type: into the room. */
bool convert_parse(struct convert *, const struct column *, struct slice, struct value *);

/* Base64, `url`: in either alphabet. Bytes written to out, which holds len / 4 * 3; false: it is none. */
bool convert_base64(struct slice, bool url, uint8_t *out, size_t *len);

/* --- convert_number.c --- */
bool convert_number(struct convert *, const struct column *, struct slice, struct value *);
/* An integer that is short (json_short()) and in range; false, without a sentence: nothing is taken. */
bool convert_short_integer(struct json *, const struct column *, struct value *);
bool convert_float_string(struct convert *, const struct column *, struct slice, struct value *);
bool convert_numeric_string(struct convert *, const struct column *, const struct shape *,
			    struct slice, struct value *);
bool convert_money_string(struct convert *, const struct column *, const struct shape *,
			  struct slice, struct value *);
bool convert_variable(struct convert *, struct json *, const struct column *, struct value *);

/* --- convert_time.c --- */
bool convert_time_number(struct convert *, const struct column *, const struct shape *,
			 struct slice, struct value *);
bool convert_time_string(struct convert *, const struct column *, struct slice, struct value *);
bool convert_structured(struct convert *, struct json *, const struct column *, struct value *);

/* --- convert_text.c --- */
bool convert_text(struct convert *, const struct column *, struct slice, struct value *);
bool convert_bytes(struct convert *, const struct column *, const struct shape *, struct slice,
		   struct value *);
bool convert_jsonb(struct convert *, const struct column *, struct slice, struct value *);
bool convert_enum(struct convert *, const struct column *, struct slice, struct value *);

/* --- convert_array.c --- */
bool convert_array(struct convert *, struct json *, const struct column *, const struct shape *,
		   struct value *);

/* convert.c: one value that is no array. `seek`: look for what stands for an unchanged one. */
bool convert_scalar(struct convert *, struct json *, const struct column *, const struct shape *,
		    bool seek, struct value *);

#endif
