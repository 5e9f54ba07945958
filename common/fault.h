/*
 * fault.h - named fault points, compiled in only for tests (-DTALLYD_FAULTS).
 *
 * FAULT("egress.after_commit") is false in a product build. In a test build the environment
 * variable TALLYD_FAULT holds rules separated by commas, each "name:hit:action": at the hit-th
 * time (1 is the first) that this process passes the point, the action happens: `kill` (SIGKILL),
 * `stop` (SIGSTOP), `exit` (status 75), `error` (FAULT is true, and the code takes its error
 * path). "egress/ring.after_commit:1:kill" is for tallyd-egress alone. Where the call cannot fail,
 * the value is cast to void: there `error` has no meaning.
 *
 * With TALLYD_FAULT_ONCE naming a file, a rule fires only if it can create
 * "<file>.<name>.<hit>.<action>": so a restarted stage passes; `error*` fires in every process. Of
 * two rules for one hit the first that may fire does. Points passed are appended to the file that
 * TALLYD_FAULT_LIST names, "egress/ring.after_commit", one a line, once a process.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

#ifdef TALLYD_FAULTS
bool fault_hit(const char *name);
#define FAULT(name) fault_hit(name)
#else
#define FAULT(name) ((void)(name), false)
#endif

#endif
