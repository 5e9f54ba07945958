#include "ingest/trouble.h"

#include <bsd/string.h>
#include <stdio.h>
#include <string.h>

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

void
trouble_clear(struct trouble *t)
{
	memset(t, 0, sizeof(*t));
}
