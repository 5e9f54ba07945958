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

/*
 * True when this reason of an error of authentication or TLS is an answer, not a handshake that was
 * cut short, as a restarting broker does: waiting cannot cure it. Then `text` says who refuses whom,
 * why, and which options to look at. `certificate`: what OpenSSL last said against a certificate
 * of a broker (X509_V_ERR_...), 0 when nothing.
 */
#define TROUBLE_REFUSAL_SIZE (TROUBLE_SIZE + 256)
bool trouble_is_refusal(const char *reason, int certificate, char text[TROUBLE_REFUSAL_SIZE]);

/* Take librdkafka's reason of a failed attempt. */
void trouble_note(struct trouble *, const char *reason, int64_t now_ms);

/* The server has answered: whatever comes next is new. */
void trouble_clear(struct trouble *);

/*
 * Since when the brokers refuse us, once more now: true when it is to be believed. At once if none has
 * ever accepted us; later only if it goes on, for a broker may learn users after it has come up, and
 * a cluster's certificates are not all renewed at once.
 */
struct refusal {
	bool accepted; /* a broker has answered in this life */
	int64_t first_ms, last_ms;
};
bool refusal_note(struct refusal *, int64_t now_ms);

#endif
