#include "egress/dead_letter.h"

#include <string.h>

#include "common/batch.h"
#include "common/json.h"
#include "common/pipeline.h"
#include "egress/encode.h"
#include "egress/stream.h"

static void
put_text(struct encode_buffer *b, const char *text, size_t len)
{
	encode_int32(b, (int32_t)len);
	encode_bytes(b, text, len);
}

/* NULL was left out of the letter, or is null: the length beside it tells. */
static void
put_bytes(struct encode_buffer *b, const uint8_t *bytes, uint32_t len)
{
	encode_int32(b, bytes != NULL ? (int32_t)len : -1);
	if (bytes != NULL)
		encode_bytes(b, bytes, len);
}

static void
put_number(struct encode_buffer *b, int64_t number, bool known)
{
	if (known)
		encode_integer(b, ENCODE_INT8, number);
	else
		encode_int32(b, -1);
}

/*
 * The reason quotes the message, whose bytes are anything: what is no UTF-8 or NUL would make the
 * server refuse the batch.
 */
static void
put_reason(struct encode_buffer *b, const struct letter *l)
{
	size_t at = b->len;
	const unsigned char *s;

	put_text(b, l->reason, l->reason_len);
	for (s = b->data + at + 4; s < b->data + b->len;) {
		size_t left = (size_t)(b->data + b->len - s);
		size_t n = *s < 0x80 ? *s != '\0' : json_sequence(s, left);
		if (n == 0)
			b->data[s - b->data] = '?';
		s += n > 0 ? n : 1;
	}
}

void
dead_letter_put(struct stream *stream, const struct pipeline *p, const struct letter *l,
		uint64_t time)
{
	const char *topic = p->tables[l->table].topic;
	struct encode_buffer *b = &stream->buffer;

	encode_int16(b, 11);
	put_text(b, p->name, strlen(p->name));
	put_text(b, topic, strlen(topic));
	encode_integer(b, ENCODE_INT4, l->partition);
	encode_integer(b, ENCODE_INT8, l->offset);
	put_bytes(b, l->key, l->key_len);
	put_bytes(b, l->value, l->value_len);
	put_reason(b, l);
	encode_integer(b, ENCODE_INT8, (int64_t)time);
	put_number(b, l->source_ms, l->source_ms > 0);
	put_number(b, l->key_bytes, l->key_bytes >= 0);
	put_number(b, l->value_bytes, l->value_bytes >= 0);
}
