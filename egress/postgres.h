/*
 * postgres.h - one connection to PostgreSQL; the only file that knows libpq.
 *
 * Every call that waits does so in stage_poll(): the heartbeat goes on, and the end of the
 * supervisor ends the process. Calls return 0, or -1 when the statement failed: then
 * postgres_lost() says whether the connection is gone (its result, a COMMIT's above all, is then
 * unknown), postgres_state() gives the SQLSTATE ("" when the server said nothing) and
 * postgres_error() one line of text. Once asked to stop, nothing waits longer than
 * POSTGRES_STOP_MS in all: what is late then counts as lost.
 */
#ifndef EGRESS_POSTGRES_H
#define EGRESS_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct postgres;
struct stage;

#define POSTGRES_STOP_MS 7000

enum postgres_connection {
	POSTGRES_CONNECTED,
	POSTGRES_AWAY, /* not reachable, starting, no such database yet: try again */
	POSTGRES_REFUSED, /* password, pg_hba.conf, role, CONNECT privilege; a certificate, either side */
	POSTGRES_INVALID, /* an option's value that libpq does not take, a file that is not as it must be */
};

struct postgres_params { /* text when lengths is NULL; binary where formats[i] is 1 */
	int count;
	const char *const *values;
	const int *lengths;
	const int *formats;
};

/* Borrows the stage. Fatal when out of memory. */
struct postgres *postgres_new(struct stage *);
void postgres_free(struct postgres *);

/* True when libpq knows a connection keyword of this name. */
bool postgres_knows_option(const char *keyword);

/* Who logs in when no option says so: PGUSER, the service file, else the user's own name. Heap. */
char *postgres_default_user(void);

/*
 * Connect; NULL-terminated arrays as for PQconnectStartParams(). Blocks at most timeout_ms for
 * each address, or as long as connect_timeout says where that is given, and for the resolver,
 * during which the heart stands still. The arrays are not kept.
 */
enum postgres_connection postgres_connect(struct postgres *, const char *const *keywords,
					  const char *const *values, int timeout_ms);
void postgres_close(struct postgres *);
bool postgres_is_open(const struct postgres *);

/* "host:port", for messages; valid until the next connect. And more of the same kind. */
const char *postgres_where(const struct postgres *);
const char *postgres_user(const struct postgres *);
const char *postgres_role(const struct postgres *); /* the user, quoted for SQL */
const char *postgres_database(const struct postgres *);
int postgres_version(const struct postgres *);       /* 150020 */
int postgres_handshake_pid(const struct postgres *); /* of the backend, or a pooler's invention */
bool postgres_uses_ssl(const struct postgres *);

/* Statements that follow end by this monotonic time or count as lost; 0: no limit. */
void postgres_set_deadline(struct postgres *, int64_t monotonic_ms);

/* One statement with parameters (may be NULL); or several, separated by semicolons, without. */
int postgres_query(struct postgres *, const char *sql, const struct postgres_params *);
int postgres_script(struct postgres *, const char *sql);
int postgres_prepare(struct postgres *, const char *name, const char *sql);
int postgres_execute(struct postgres *, const char *name, const struct postgres_params *);

/* Mark the next statement as the one that commits: the fault point of a lost answer is in it. */
void postgres_committing(struct postgres *);

/* Result of the last statement: borrowed until the next one. NULL for SQL NULL or no such row. */
int postgres_rows(const struct postgres *);
const char *postgres_get(const struct postgres *, int row, int column);
uint64_t postgres_number(const struct postgres *, int column); /* of the first row; NULL is 0 */
const char *postgres_tag(const struct postgres *);             /* "COMMIT", "UPDATE 1" */

/* COPY ... FROM STDIN: begin, any number of puts, end. An error of the server shows at the end. */
int postgres_copy_begin(struct postgres *, const char *sql);
int postgres_copy_put(struct postgres *, const void *data, size_t len);
int postgres_copy_end(struct postgres *);

/*
 * COPY ... TO STDOUT: begin, then get until it says 0. get: 1 with bytes that are borrowed until the
 * next call, -1 as above. Never more than one message of the server is held (a row, as PostgreSQL
 * sends them), and the heart beats however fast they come.
 */
int postgres_copy_out(struct postgres *, const char *sql);
int postgres_copy_get(struct postgres *, const void **data, size_t *len);

/* While idle: the descriptor to poll for POLLIN, and what to do when it is readable. */
int postgres_fd(const struct postgres *);
int postgres_input(struct postgres *);
int64_t postgres_used_ms(const struct postgres *); /* monotonic time of the last answer */

bool postgres_lost(const struct postgres *);
const char *postgres_state(const struct postgres *);
bool postgres_state_is(const struct postgres *, const char *prefix); /* "23", "42P01" */
const char *postgres_error(const struct postgres *);

#endif
