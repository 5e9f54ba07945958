#include "egress/postgres.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <libpq-fe.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/stage.h"

/* Time for libpq to see that the kernel has given an address up, and to go on with the next. */
#define HANDSHAKE_GRACE_MS 500

struct postgres {
	struct stage *stage;
	PGconn *conn;
	PGresult *result; /* of the last statement */
	char *copied;     /* of libpq's heap: what postgres_copy_get() gave */
	bool lost, committing;
	int64_t deadline_ms; /* monotonic, 0: none */
	int64_t stop_ms;     /* monotonic, 0: not asked to stop yet */
	int64_t used_ms;
	char state[6];
	char where[256];
	char *role; /* of libpq's heap; NULL: not connected */
	char error[1024];
};

struct postgres *
postgres_new(struct stage *stage)
{
	struct postgres *pg = xcalloc(1, sizeof(*pg));

	pg->stage = stage;
	strlcpy(pg->where, "?", sizeof(pg->where));
	return pg;
}

void
postgres_free(struct postgres *pg)
{
	if (pg == NULL)
		return;
	postgres_close(pg);
	free(pg);
}

bool
postgres_knows_option(const char *keyword)
{
	PQconninfoOption *all = PQconndefaults();
	bool known = false;

	if (all == NULL)
		return true;
	for (PQconninfoOption *o = all; o->keyword != NULL; o++)
		known = known || strcmp(o->keyword, keyword) == 0;
	PQconninfoFree(all);
	return known;
}

char *
postgres_default_user(void)
{
	PQconninfoOption *all = PQconndefaults();
	char *user = NULL;

	for (PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, "user") == 0 && o->val != NULL)
			user = xstrdup(o->val);
	PQconninfoFree(all);
	return user != NULL ? user : xstrdup("");
}

/* One line out of the server's many: blanks squeezed, and no LOCATION. */
static void
postgres_set_error(struct postgres *pg, const char *text)
{
	size_t n = 0;
	bool blank = false;

	for (const char *s = text; *s != '\0' && n + 2 < sizeof(pg->error); s++) {
		if (strncmp(s, "\nLOCATION:", 10) == 0)
			break;
		if (isspace((unsigned char)*s) || iscntrl((unsigned char)*s)) {
			blank = n > 0;
			continue;
		}
		if (blank)
			pg->error[n++] = ' ';
		blank = false;
		pg->error[n++] = *s;
	}
	pg->error[n] = '\0';
	secret_mask(pg->error);
}

static int
postgres_set_lost(struct postgres *pg, const char *text)
{
	pg->lost = true;
	if (pg->error[0] == '\0')
		postgres_set_error(pg, text);
	if (pg->error[0] == '\0')
		strlcpy(pg->error, "the connection was lost", sizeof(pg->error));
	return -1;
}

static void
postgres_forget(struct postgres *pg)
{
	PQclear(pg->result);
	pg->result = NULL;
	PQfreemem(pg->copied);
	pg->copied = NULL;
	pg->error[0] = pg->state[0] = '\0';
}

/* Milliseconds until the nearest limit: -1 for none, 0 when it has passed. */
static int
postgres_left(struct postgres *pg)
{
	int64_t now = clock_monotonic_ms();
	int64_t until = pg->deadline_ms;

	if (pg->stage->stopping && pg->stop_ms == 0)
		pg->stop_ms = now + POSTGRES_STOP_MS;
	if (pg->stop_ms != 0 && (until == 0 || pg->stop_ms < until))
		until = pg->stop_ms;
	if (until == 0)
		return -1;
	return until <= now ? 0 : (int)(until - now);
}

/* Returns 1 when the socket is ready, 0 when not yet, -1 when it is over. */
static int
postgres_wait(struct postgres *pg, short events)
{
	struct pollfd fd = {.fd = PQsocket(pg->conn), .events = events};
	int left = postgres_left(pg);

	if (fd.fd < 0)
		return postgres_set_lost(pg, PQerrorMessage(pg->conn));
	if (left == 0)
		return postgres_set_lost(pg, "no answer in time");
	return stage_poll(pg->stage, &fd, 1, left) > 0 ? 1 : 0;
}

static int
postgres_flush(struct postgres *pg)
{
	int more;

	while ((more = PQflush(pg->conn)) > 0) {
		if (postgres_wait(pg, POLLIN | POLLOUT) < 0)
			return -1;
		if (!PQconsumeInput(pg->conn))
			return postgres_set_lost(pg, PQerrorMessage(pg->conn));
	}
	return more < 0 ? postgres_set_lost(pg, PQerrorMessage(pg->conn)) : 0;
}

static void
postgres_take_error(struct postgres *pg, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	char text[1024];

	if (pg->state[0] != '\0')
		return;
	strlcpy(pg->state, state != NULL ? state : "", sizeof(pg->state));
	snprintf(text, sizeof(text), "%s%s%s%s%s",
		 message != NULL ? message : PQresultErrorMessage(result),
		 detail != NULL ? "; " : "", detail != NULL ? detail : "",
		 hint != NULL ? "; hint: " : "", hint != NULL ? hint : "");
	postgres_set_error(pg, text);
	/* The server is about to close: what follows would only say so. */
	if (strncmp(pg->state, "57P0", 4) == 0 || strncmp(pg->state, "08", 2) == 0)
		pg->lost = true;
}

/* Keep the last answer, but never let it hide an error. */
static void
postgres_keep(struct postgres *pg, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
		postgres_take_error(pg, result);
		PQclear(result);
		return;
	}
	PQclear(pg->result);
	pg->result = result;
}

/* Collect the answers up to the end of the statement, or to the start of a COPY. */
static int
postgres_collect(struct postgres *pg)
{
	for (;;) {
		PGresult *result;

		while (PQisBusy(pg->conn)) {
			if (postgres_wait(pg, POLLIN) < 0)
				return -1;
			if (!PQconsumeInput(pg->conn))
				return postgres_set_lost(pg, PQerrorMessage(pg->conn));
		}
		result = PQgetResult(pg->conn);
		if (result == NULL)
			break;
		postgres_keep(pg, result);
		if (pg->result == result && (PQresultStatus(result) == PGRES_COPY_IN ||
					     PQresultStatus(result) == PGRES_COPY_OUT))
			return 0;
	}
	pg->used_ms = clock_monotonic_ms();
	if (PQstatus(pg->conn) == CONNECTION_BAD || pg->lost)
		return postgres_set_lost(pg, PQerrorMessage(pg->conn));
	return pg->error[0] != '\0' ? -1 : 0;
}

/* A statement is on its way (or was refused by libpq): send the rest, and take the answer. */
static int
postgres_answer(struct postgres *pg, int sent)
{
	if (!sent)
		return postgres_set_lost(pg, PQerrorMessage(pg->conn));
	if (postgres_flush(pg) < 0)
		return -1;
	if (pg->committing) {
		pg->committing = false;
		if (FAULT("egress.commit_sent"))
			shutdown(PQsocket(pg->conn), SHUT_RDWR);
	}
	return postgres_collect(pg);
}

static bool
postgres_begin(struct postgres *pg)
{
	postgres_forget(pg);
	if (pg->conn == NULL || pg->lost)
		postgres_set_lost(pg, "not connected");
	return !pg->lost;
}

int
postgres_query(struct postgres *pg, const char *sql, const struct postgres_params *p)
{
	if (!postgres_begin(pg))
		return -1;
	return postgres_answer(
	    pg, p == NULL ? PQsendQueryParams(pg->conn, sql, 0, NULL, NULL, NULL, NULL, 0)
			  : PQsendQueryParams(pg->conn, sql, p->count, NULL, p->values, p->lengths,
					      p->formats, 0));
}

int
postgres_script(struct postgres *pg, const char *sql)
{
	if (!postgres_begin(pg))
		return -1;
	return postgres_answer(pg, PQsendQuery(pg->conn, sql));
}

int
postgres_prepare(struct postgres *pg, const char *name, const char *sql)
{
	if (!postgres_begin(pg))
		return -1;
	return postgres_answer(pg, PQsendPrepare(pg->conn, name, sql, 0, NULL));
}

int
postgres_execute(struct postgres *pg, const char *name, const struct postgres_params *p)
{
	if (!postgres_begin(pg))
		return -1;
	return postgres_answer(pg, PQsendQueryPrepared(pg->conn, name, p->count, p->values,
						       p->lengths, p->formats, 0));
}

void
postgres_committing(struct postgres *pg)
{
	pg->committing = true;
}

int
postgres_rows(const struct postgres *pg)
{
	return pg->result == NULL ? 0 : PQntuples(pg->result);
}

const char *
postgres_get(const struct postgres *pg, int row, int column)
{
	if (pg->result == NULL || row >= PQntuples(pg->result) || column >= PQnfields(pg->result))
		return NULL;
	if (PQgetisnull(pg->result, row, column))
		return NULL;
	return PQgetvalue(pg->result, row, column);
}

uint64_t
postgres_number(const struct postgres *pg, int column)
{
	const char *text = postgres_get(pg, 0, column);

	return text == NULL ? 0 : strtoull(text, NULL, 10);
}

const char *
postgres_tag(const struct postgres *pg)
{
	return pg->result == NULL ? "" : PQcmdStatus(pg->result);
}

int
postgres_copy_begin(struct postgres *pg, const char *sql)
{
	if (postgres_script(pg, sql) < 0)
		return -1;
	if (pg->result == NULL || PQresultStatus(pg->result) != PGRES_COPY_IN)
		return postgres_set_lost(pg, "the server did not enter COPY");
	return 0;
}

int
postgres_copy_put(struct postgres *pg, const void *data, size_t len)
{
	int done;

	if (pg->conn == NULL || pg->lost)
		return postgres_set_lost(pg, "not connected");
	while ((done = PQputCopyData(pg->conn, data, (int)len)) == 0)
		if (postgres_wait(pg, POLLIN | POLLOUT) < 0 || postgres_flush(pg) < 0)
			return -1;
	if (done < 0)
		return postgres_set_lost(pg, PQerrorMessage(pg->conn));
	/* libpq would buffer without a bound. */
	return postgres_flush(pg);
}

int
postgres_copy_end(struct postgres *pg)
{
	int done;

	postgres_forget(pg);
	if (pg->conn == NULL || pg->lost)
		return postgres_set_lost(pg, "not connected");
	while ((done = PQputCopyEnd(pg->conn, NULL)) == 0)
		if (postgres_wait(pg, POLLIN | POLLOUT) < 0 || postgres_flush(pg) < 0)
			return -1;
	return postgres_answer(pg, done > 0);
}

int
postgres_copy_out(struct postgres *pg, const char *sql)
{
	if (postgres_script(pg, sql) < 0)
		return -1;
	if (pg->result == NULL || PQresultStatus(pg->result) != PGRES_COPY_OUT)
		return postgres_set_lost(pg, "the server did not enter COPY");
	return 0;
}

int
postgres_copy_get(struct postgres *pg, const void **data, size_t *len)
{
	int got;

	PQfreemem(pg->copied);
	pg->copied = NULL;
	if (pg->conn == NULL || pg->lost)
		return postgres_set_lost(pg, "not connected");
	/* A server that sends all at once never makes us wait, so the heartbeat needs this. */
	stage_poll(pg->stage, NULL, 0, 0);
	while ((got = PQgetCopyData(pg->conn, &pg->copied, 1)) == 0) {
		if (postgres_wait(pg, POLLIN) < 0)
			return -1;
		if (!PQconsumeInput(pg->conn))
			return postgres_set_lost(pg, PQerrorMessage(pg->conn));
	}
	if (got > 0) {
		*data = pg->copied;
		*len = (size_t)got;
		return 1;
	}
	if (got < -1)
		return postgres_set_lost(pg, PQerrorMessage(pg->conn));
	return postgres_collect(pg);
}

int
postgres_fd(const struct postgres *pg)
{
	return pg->conn == NULL ? -1 : PQsocket(pg->conn);
}

int
postgres_input(struct postgres *pg)
{
	postgres_forget(pg);
	if (pg->conn == NULL || pg->lost)
		return postgres_set_lost(pg, "not connected");
	if (!PQconsumeInput(pg->conn))
		return postgres_set_lost(pg, PQerrorMessage(pg->conn));
	/* Parses what came unasked: notices, or the server's last words. */
	if (!PQisBusy(pg->conn) && PQstatus(pg->conn) != CONNECTION_BAD)
		return 0;
	return postgres_set_lost(pg, PQerrorMessage(pg->conn));
}

int64_t
postgres_used_ms(const struct postgres *pg)
{
	return pg->used_ms;
}

bool
postgres_lost(const struct postgres *pg)
{
	return pg->lost;
}

const char *
postgres_state(const struct postgres *pg)
{
	return pg->state;
}

bool
postgres_state_is(const struct postgres *pg, const char *prefix)
{
	return pg->state[0] != '\0' && strncmp(pg->state, prefix, strlen(prefix)) == 0;
}

const char *
postgres_error(const struct postgres *pg)
{
	return pg->error;
}

void
postgres_set_deadline(struct postgres *pg, int64_t monotonic_ms)
{
	pg->deadline_ms = monotonic_ms;
}

/* Whoever reads the message knows where; with several hosts each one's part stays. */
static const char *
postgres_skip_prefix(const char *text)
{
	static const char prefix[] = "connection to server ";
	const char *reason = strstr(text, " failed: ");

	if (strncmp(text, prefix, sizeof(prefix) - 1) != 0 || reason == NULL ||
	    strstr(reason, prefix) != NULL)
		return text;
	return reason + 9;
}

/*
 * libpq keeps the SQLSTATE of a refused connection to itself, but prints it into the message when
 * asked to be verbose: "FATAL:  28P01: password ...". Found and taken out here.
 */
static void
postgres_take_connect_error(struct postgres *pg)
{
	char text[1024];
	char *found = NULL;

	strlcpy(text, PQerrorMessage(pg->conn), sizeof(text));
	/* The last one counts: with several hosts the messages stand in a row. */
	for (char *s = strstr(text, ":  "); s != NULL; s = strstr(s + 1, ":  ")) {
		size_t n = strspn(s + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

		if (n == 5 && strncmp(s + 8, ": ", 2) == 0)
			found = s;
	}
	if (found != NULL) {
		memcpy(pg->state, found + 3, 5);
		pg->state[5] = '\0';
		memmove(found + 2, found + 10, strlen(found + 10) + 1);
	}
	postgres_set_error(pg, postgres_skip_prefix(text));
}

/*
 * What libpq says of TLS without an SQLSTATE, and what to do. It goes on with no other host after any
 * of these; what is cut short (a reset, an end of file) is none of them.
 */
static const struct answer {
	const char *words, *advice;
	enum postgres_connection how;
} answers[] = {
    {"certificate verify failed",
     "its certificate is signed by nobody that sslrootcert trusts, or has expired",
     POSTGRES_REFUSED},
    {"does not match host name",
     "give as host a name that its certificate holds; hostaddr may hold the address",
     POSTGRES_REFUSED},
    {"alert unknown ca", "it does not trust sslcert", POSTGRES_REFUSED},
    {"alert bad certificate", "it does not trust sslcert", POSTGRES_REFUSED},
    {"alert certificate required", "give sslcert and sslkey", POSTGRES_REFUSED},
    {"root certificate file", "look at sslrootcert", POSTGRES_INVALID},
    {"private key file", "look at sslcert, sslkey and sslpassword", POSTGRES_INVALID},
    {"could not read certificate file", "look at sslcert", POSTGRES_INVALID},
    {"server does not support SSL", "look at sslmode", POSTGRES_INVALID},
};

static const struct answer *
postgres_find_answer(const struct postgres *pg)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++)
		if (pg->state[0] == '\0' && strstr(pg->error, answers[i].words) != NULL)
			return &answers[i];
	return NULL;
}

static void
postgres_advise(struct postgres *pg, const char *advice)
{
	strlcat(pg->error, ": ", sizeof(pg->error));
	strlcat(pg->error, advice, sizeof(pg->error));
}

static enum postgres_connection
postgres_refused(struct postgres *pg, bool at_once)
{
	const struct answer *answer;

	pg->lost = true;
	if (pg->error[0] == '\0')
		postgres_take_connect_error(pg);
	if (postgres_state_is(pg, "28P01") || PQconnectionNeedsPassword(pg->conn)) {
		postgres_advise(pg, "look at user, and at password or password_file");
		return POSTGRES_REFUSED;
	}
	if (postgres_state_is(pg, "28") || postgres_state_is(pg, "42501"))
		return POSTGRES_REFUSED;
	answer = postgres_find_answer(pg);
	if (answer != NULL) {
		postgres_advise(pg, answer->advice);
		return answer->how;
	}
	if (at_once && pg->state[0] == '\0' &&
	    (strncmp(pg->error, "invalid ", 8) == 0 ||
	     strncmp(pg->error, "could not match ", 16) == 0 ||
	     strncmp(pg->error, "definition of service", 21) == 0))
		return POSTGRES_INVALID;
	return POSTGRES_AWAY;
}

static void
postgres_notice(void *arg, const char *message)
{
	(void)arg;
	log_debug("postgres.notice", "%.*s", (int)strcspn(message, "\n"), message);
}

static void
postgres_set_where(struct postgres *pg)
{
	const char *host = PQhost(pg->conn);
	const char *port = PQport(pg->conn);

	if (host == NULL || host[0] == '\0')
		host = "localhost";
	if (port == NULL || port[0] == '\0')
		port = "5432";
	snprintf(pg->where, sizeof(pg->where), "%s:%s", host, port);
	secret_mask(pg->where);
}

/* A number among the connection's options; `otherwise` when not given. False: no number. */
static bool
postgres_number_option(const struct postgres *pg, const char *keyword, long long otherwise,
		       long long *number)
{
	PQconninfoOption *all = PQconninfo(pg->conn);
	const char *error = NULL;

	*number = otherwise;
	for (PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0 && o->val != NULL && o->val[0] != '\0')
			*number = strtonum(o->val, INT32_MIN, INT32_MAX, &error);
	PQconninfoFree(all);
	return error == NULL;
}

/*
 * The kernel gives up an address that does not answer at all, and libpq goes on with the next one.
 * 0 is the kernel's own idea. Fails on a Unix socket, which needs none.
 */
static void
postgres_limit_handshake(const struct postgres *pg, long long ms)
{
	int value = ms > INT32_MAX ? INT32_MAX : ms < 0 ? 0 : (int)ms;

	(void)setsockopt(PQsocket(pg->conn), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof(value));
}

/*
 * libpq leaves connect_timeout to whoever polls. As there it counts for each address anew. Returns
 * the last step; the deadline of statements is as before.
 */
static PostgresPollingStatusType
postgres_poll_connection(struct postgres *pg, long long limit_ms)
{
	PostgresPollingStatusType step = PGRES_POLLING_WRITING;
	const int64_t overall = pg->deadline_ms;
	char address[sizeof(pg->where) + 64] = "", now[sizeof(address)];
	int ready;

	while (step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED) {
		const char *ip = PQhostaddr(pg->conn);

		postgres_set_where(pg);
		snprintf(now, sizeof(now), "%s %.60s", pg->where, ip != NULL ? ip : "");
		if (limit_ms > 0 && strcmp(now, address) != 0) {
			strlcpy(address, now, sizeof(address));
			pg->deadline_ms = clock_monotonic_ms() + limit_ms + HANDSHAKE_GRACE_MS;
			if (overall != 0 && overall < pg->deadline_ms)
				pg->deadline_ms = overall;
			postgres_limit_handshake(pg, limit_ms);
		}
		/* Asked too early, libpq takes a handshake that goes on for one that is done. */
		ready = postgres_wait(pg, step == PGRES_POLLING_READING ? POLLIN : POLLOUT);
		if (ready < 0)
			break;
		if (ready > 0)
			step = PQconnectPoll(pg->conn);
	}
	postgres_set_where(pg);
	pg->deadline_ms = overall;
	return step;
}

enum postgres_connection
postgres_connect(struct postgres *pg, const char *const *keywords, const char *const *values,
		 int timeout_ms)
{
	long long limit_s, user_timeout_ms;

	postgres_close(pg);
	postgres_forget(pg);
	pg->conn = PQconnectStartParams(keywords, values, 0);
	if (pg->conn == NULL)
		return POSTGRES_AWAY;
	PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE);
	PQsetNoticeProcessor(pg->conn, postgres_notice, NULL);
	postgres_set_where(pg);
	if (PQstatus(pg->conn) == CONNECTION_BAD)
		return postgres_refused(pg, true);
	if (!postgres_number_option(pg, "connect_timeout", -1, &limit_s) ||
	    !postgres_number_option(pg, "tcp_user_timeout", 0, &user_timeout_ms)) {
		postgres_set_error(pg, "connect_timeout and tcp_user_timeout must be numbers");
		pg->lost = true;
		return POSTGRES_INVALID;
	}
	if (postgres_poll_connection(pg, limit_s < 0 ? timeout_ms : limit_s * 1000) !=
	    PGRES_POLLING_OK)
		return postgres_refused(pg, false);
	postgres_limit_handshake(pg, user_timeout_ms);
	if (PQsetnonblocking(pg->conn, 1) != 0)
		return postgres_refused(pg, false);
	PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
	pg->role = PQescapeIdentifier(pg->conn, PQuser(pg->conn), strlen(PQuser(pg->conn)));
	pg->used_ms = clock_monotonic_ms();
	return POSTGRES_CONNECTED;
}

void
postgres_close(struct postgres *pg)
{
	PQclear(pg->result);
	pg->result = NULL;
	PQfreemem(pg->copied);
	pg->copied = NULL;
	PQfreemem(pg->role);
	pg->role = NULL;
	PQfinish(pg->conn);
	pg->conn = NULL;
	pg->lost = pg->committing = false;
}

bool
postgres_is_open(const struct postgres *pg)
{
	return pg->conn != NULL && !pg->lost;
}

const char *
postgres_where(const struct postgres *pg)
{
	return pg->where;
}

const char *
postgres_user(const struct postgres *pg)
{
	return pg->conn == NULL ? "" : PQuser(pg->conn);
}

const char *
postgres_role(const struct postgres *pg)
{
	return pg->role == NULL ? "" : pg->role;
}

const char *
postgres_database(const struct postgres *pg)
{
	return pg->conn == NULL ? "" : PQdb(pg->conn);
}

int
postgres_version(const struct postgres *pg)
{
	return pg->conn == NULL ? 0 : PQserverVersion(pg->conn);
}

int
postgres_handshake_pid(const struct postgres *pg)
{
	return pg->conn == NULL ? 0 : PQbackendPID(pg->conn);
}

bool
postgres_uses_ssl(const struct postgres *pg)
{
	return pg->conn != NULL && PQsslInUse(pg->conn) != 0;
}
