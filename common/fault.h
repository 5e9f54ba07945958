/*
 * fault.h - named fault points, compiled in only for tests (-DTALLYD_FAULTS).
 *
 * FAULT("egress.after_commit") is false in a product build. In a test build the environment
 * variable TALLYD_FAULT holds rules separated by commas, each "name:hit:action": at the hit-th
 * time (1 is the first) that this process passes the point, the action happens: `kill` (SIGKILL),
 * `stop` (SIGSTOP), `exit` (status 75), `error` (FAULT is true, and the code takes its error
 * path). With TALLYD_FAULT_ONCE naming a file, a rule fires only if it can create
 * "<file>.<name>": so a restarted stage passes. Names passed are appended to the file that
 * TALLYD_FAULT_LIST names, one a line, once a process.
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
