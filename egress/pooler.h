/*
 * pooler.h - is there a connection pooler between us and PostgreSQL that cannot keep a session?
 *
 * In session mode a pooler only passes on. In transaction (or statement) mode each transaction may
 * go to another backend: the advisory lock, the settings and the prepared statements of a session
 * would be another's.
 */
#ifndef EGRESS_POOLER_H
#define EGRESS_POOLER_H

#include <stdbool.h>

struct target;

/*
 * The session of t->pg is idle, outside any transaction. A pooler shows itself by the process that
 * it names in the handshake, which is none of the server's; whether it shares sessions, by a second
 * connection, which is opened only then. Blocks a few seconds at most. False when it cannot be
 * told: every ping looks again whether the session is the same.
 */
bool pooler_shares_sessions(struct target *);

#endif
