#include "ingest/trouble.h"

#include <bsd/string.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/stage.h"

#define TROUBLE_KNOWN_MS  30000 /* how long a wording is remembered */
#define TROUBLE_STEADY_MS 5000  /* how long the one shown outlives its last sight */

/* What is most often behind it, where librdkafka does not say so itself. */
static const char *
trouble_cause(const char *why)
{
	if (strstr(why, "unexpected eof while reading") != NULL ||
	    strstr(why, "wrong version number") != NULL)
		return " (a listener without TLS? look at security.protocol)";
	return "";
}

/*
 * From "sasl_ssl://h:1/bootstrap: Connect to ipv4#h:1 failed: REASON (after 0ms in state X)"; the
 * connection to the group's coordinator has its own name before it.
 */
const char *
trouble_shorten(const char *reason, char buf[TROUBLE_SIZE])
{
	static const char coordinator[] = "GroupCoordinator: ", connect[] = ": Connect to ";
	static const char handshake[] = "SSL handshake failed: ";
	const char *name = reason, *why, *end;
	if (strncmp(name, coordinator, sizeof(coordinator) - 1) == 0)
		name += sizeof(coordinator) - 1;
	const char *scheme = strstr(name, "://");
	if (scheme != NULL && scheme == strchr(name, ':'))
		name = scheme + 3;
	why = strstr(name, ": ");
	if (why == NULL) {
		strlcpy(buf, name, TROUBLE_SIZE);
		return buf;
	}
	int name_len = (int)strcspn(name, "/");
	if (name_len > why - name)
		name_len = (int)(why - name);
	const char *failed = strstr(why, " failed: ");
	why = strncmp(why, connect, sizeof(connect) - 1) == 0 && failed != NULL ? failed + 9
										: why + 2;
	if (strncmp(why, handshake, sizeof(handshake) - 1) == 0)
		why += sizeof(handshake) - 1;
	end = strstr(why, " (after ");
	snprintf(buf, TROUBLE_SIZE, "%.*s: %.*s%s", name_len, name,
		 end != NULL ? (int)(end - why) : (int)strlen(why), why, trouble_cause(why));
	return buf;
}

/* The numbers are OpenSSL's X509_V_ERR_..., which do not change. */
static const struct certificate_error {
	int first, last;
	const char *what, *look;
} certificate_errors[] = {
    {2, 2, "its issuer is not known", "ssl.ca.location"},
    {9, 9, "it is not valid yet", "the clocks"},
    {10, 10, "it has expired", "the broker's certificate"},
    {18, 21, "it is signed by nobody that ssl.ca.location trusts", "ssl.ca.location"},
    {23, 23, "it was revoked", "ssl.crl.location"},
    {62, 64, "it is for another host", "bootstrap.servers and the brokers' advertised.listeners"},
    {0, INT_MAX, "OpenSSL cannot verify it", "ssl.ca.location"},
};

/* Words of a refusal, and what to look at. The first that fits. */
static const struct refusal_words {
	const char *words, *look;
} refusals[] = {
    {"mechanism handshake failed", "sasl.mechanism"},
    {"SASL", "sasl.username and sasl.password"},
    {"alert certificate required", "ssl.certificate.location and ssl.key.location"},
    {"alert bad certificate", "ssl.certificate.location and ssl.key.location"},
    {"alert unknown ca", "ssl.certificate.location and ssl.key.location"},
    {"", "security.protocol, ssl.* and sasl.*"},
};

static bool
trouble_is_cut(const char *reason)
{
	static const char *const cut[] = {
	    "Disconnected", "reset by peer", "transport failure",
	    "imed out",     "Broken pipe",   "unexpected eof",
	};
	for (size_t i = 0; i < sizeof(cut) / sizeof(*cut); i++)
		if (strstr(reason, cut[i]) != NULL)
			return true;
	return false;
}

/* The exit code, and the sentence in t->verdict; 0: it is an outage. */
static int
trouble_sentence(struct trouble *t, const char *reason, bool about_login, int certificate)
{
	const struct certificate_error *c = certificate_errors;
	const struct refusal_words *r = refusals;
	char brief[TROUBLE_SIZE];
	trouble_shorten(reason, brief);
	/* In another state it may be no broker that has answered. */
	if (strstr(reason, "increase receive.message.max.bytes") != NULL &&
	    strstr(reason, "in state UP") != NULL) {
		snprintf(t->verdict, TROUBLE_VERDICT_SIZE,
			 "a message is larger than receive.message.max.bytes: %s", brief);
		return EXIT_CONFIG;
	}
	if (!about_login || trouble_is_cut(reason))
		return 0;
	if (strstr(reason, "certificate verify failed") != NULL) {
		while (certificate < c->first || certificate > c->last)
			c++;
		snprintf(t->verdict, TROUBLE_VERDICT_SIZE,
			 "the certificate of Kafka at %.*s is refused: %s: look at %s",
			 (int)strcspn(brief, " ") - 1, brief, c->what, c->look);
		return EXIT_DENIED;
	}
	while (strstr(reason, r->words) == NULL)
		r++;
	snprintf(t->verdict, TROUBLE_VERDICT_SIZE, "Kafka refuses the connection: %s: look at %s",
		 brief, r->look);
	return EXIT_DENIED;
}

/* The slot of a wording, or the one that is longest out of use. */
static unsigned
trouble_slot(const struct trouble *t, const char *text)
{
	unsigned oldest = 0;
	for (unsigned i = 0; i < TROUBLE_MAX; i++) {
		if (strcmp(t->known[i].text, text) == 0)
			return i;
		if (t->known[i].seen_ms < t->known[oldest].seen_ms)
			oldest = i;
	}
	return oldest;
}

static bool
trouble_seen_since(const struct trouble *t, const char *text, int64_t since_ms)
{
	unsigned i = trouble_slot(t, text);
	return strcmp(t->known[i].text, text) == 0 && t->known[i].seen_ms > since_ms;
}

void
trouble_note(struct trouble *t, const char *reason, int64_t now_ms)
{
	char text[TROUBLE_SIZE];
	trouble_shorten(reason, text);
	bool again = trouble_seen_since(t, text, now_ms - TROUBLE_KNOWN_MS);
	unsigned slot = trouble_slot(t, text);
	strlcpy(t->known[slot].text, text, TROUBLE_SIZE);
	t->known[slot].seen_ms = now_ms;
	if (!again || t->text[0] == '\0' ||
	    !trouble_seen_since(t, t->text, now_ms - TROUBLE_STEADY_MS))
		strlcpy(t->text, text, TROUBLE_SIZE);
}

int
trouble_judge(struct trouble *t, const char *reason, bool about_login, int certificate,
	      int64_t now_ms)
{
	trouble_note(t, reason, now_ms);
	int code = trouble_sentence(t, reason, about_login, certificate);
	/* librdkafka tells the same again only after half a minute: so each other reason counts. */
	if (code != EXIT_DENIED)
		t->refused_ms = 0;
	else if (t->refused_ms == 0)
		t->refused_ms = now_ms;
	return code == EXIT_DENIED && t->accepted ? 0 : code;
}

bool
trouble_is_meant(const struct trouble *t, int64_t now_ms)
{
	return t->refused_ms != 0 && now_ms - t->refused_ms >= TROUBLE_MEANT_MS;
}

void
trouble_clear(struct trouble *t)
{
	memset(t, 0, sizeof(*t));
	t->accepted = true;
}
