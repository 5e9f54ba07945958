/*
 * secret.h - what keeps a password inside the process that needs it.
 */
#ifndef SECRET_H
#define SECRET_H

#include <stdbool.h>
#include <stddef.h>

#define SECRET_MAX 4096

/*
 * No core file of this process, and none of the same user may look into it (ptrace, /proc/PID/mem,
 * environ), until it becomes another program. First thing in main(). Not with TALLYD_CORE in the
 * environment, for whoever looks for a mistake in tallyd.
 */
void secret_seal_process(void);

/*
 * The first line of a file, without its end, as a string: true. Else false with errno, EMSGSIZE
 * when it does not fit. The caller zeroes `buf`. Blocks if the file is a pipe.
 */
bool secret_read_line(const char *path, char *buf, size_t size);

/*
 * Hide the passwords of connection strings in a text for people: what stands between "://" and "@",
 * and behind "password=". Never makes it longer.
 */
void secret_mask(char *text);

#endif
