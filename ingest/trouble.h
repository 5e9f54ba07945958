/*
 * trouble.h - what is wrong with the connection, in words that do not flap.
 *
 * librdkafka tells each failed attempt, and one fault may have several wordings in turn (TLS to a
 * plaintext port: a failed handshake, then a disconnection). The one shown stays while the others
 * only come again. No clock and no librdkafka: reasons and time are handed in.
 */
#ifndef TROUBLE_H
#define TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TROUBLE_MAX  4u
#define TROUBLE_SIZE 384u

struct trouble {
	char text[TROUBLE_SIZE]; /* "": nothing is wrong */
	struct {
		char text[TROUBLE_SIZE];
		int64_t seen_ms; /* 0: unused */
	} known[TROUBLE_MAX];
};

/* Room for one sentence: "127.0.0.1:9092: Connection refused". Returns buf. */
const char *trouble_shorten(const char *reason, char buf[TROUBLE_SIZE]);

/* Take librdkafka's reason of a failed attempt. */
void trouble_note(struct trouble *, const char *reason, int64_t now_ms);

/* The server has answered: whatever comes next is new. */
void trouble_clear(struct trouble *);

#endif
