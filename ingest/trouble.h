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

#define TROUBLE_VERDICT_SIZE (TROUBLE_SIZE + 256)

struct trouble {
	char text[TROUBLE_SIZE]; /* "": nothing is wrong */
	struct {
		char text[TROUBLE_SIZE];
		int64_t seen_ms; /* 0: unused */
	} known[TROUBLE_MAX];
	bool accepted;                      /* the server has answered in this life */
	int64_t refused_ms;                 /* since when nothing but refusals came; 0: none */
	char verdict[TROUBLE_VERDICT_SIZE]; /* what cannot be cured by waiting */
};

/* Room for one sentence: "127.0.0.1:9092: Connection refused". Returns buf. */
const char *trouble_shorten(const char *reason, char buf[TROUBLE_SIZE]);

/* Take librdkafka's reason of a failed attempt. */
void trouble_note(struct trouble *, const char *reason, int64_t now_ms);

/*
 * The same, and is it one that waiting cannot cure? Then the exit code; `verdict` says who refuses what,
 * why, and which options to look at. Else 0. An error of authentication or TLS (about_login) is a
 * refusal unless the handshake was cut short, as a restarting broker does. `certificate`: what
 * OpenSSL last said against a certificate of a broker (X509_V_ERR_...), 0 when nothing.
 *
 * Who was accepted before is not refused at once, for a broker may learn its users after it has come up,
 * and not all certificates of a cluster are renewed at the same moment: see trouble_is_meant().
 */
int trouble_judge(struct trouble *, const char *reason, bool about_login, int certificate,
		  int64_t now_ms);

/* While all brokers are away: true once refusals alone have come for TROUBLE_MEANT_MS. */
#define TROUBLE_MEANT_MS 10000
bool trouble_is_meant(const struct trouble *, int64_t now_ms);

/* The server has answered: whatever comes next is new. */
void trouble_clear(struct trouble *);

#endif
