/*
 * spawn.h - how a stage becomes a process: its executable, its descriptors, its section.
 *
 * The supervisor has one thread and calls neither librdkafka nor libpq, so fork() is safe.
 */
#ifndef SPAWN_H
#define SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/pipeline.h"
#include "common/stage.h"

#define SPAWN_FDS_MAX  (STAGE_FD_RINGS + 3 * (BOARD_STAGES_MAX + 1))
#define SPAWN_PATH_MAX 4096

struct spawn {
	const char *path;
	const char *argv[8]; /* NULL-terminated */
	char **environment;  /* borrowed; NULL: ours */
	/* fds[i] becomes descriptor i of the child, -1: closed there. Borrowed; any may be equal. */
	int fds[SPAWN_FDS_MAX];
	unsigned fd_count;
};

/* "egress", "reduce", "ingest". Static. */
const char *spawn_role_name(enum stage_role);

/*
 * The executable of a stage: beside our own, else in the libexec folder given at build time.
 * False when neither has it; `path` (SPAWN_PATH_MAX bytes) then is where it was looked for last.
 */
bool spawn_locate(enum stage_role, char *path);

/*
 * A section as bytes: *len of them, on the heap, in *size bytes that the caller zeroes (they may hold
 * a password) and frees. NULL with errno EMSGSIZE.
 */
uint8_t *spawn_pack(const struct pipeline *, enum section, unsigned server, size_t *len,
		    size_t *size);

/*
 * A sealed memfd with the section of the pipeline that this stage may see, close-on-exec.
 * The caller closes it. -1 with errno.
 */
int spawn_section(const struct pipeline *, enum stage_role, unsigned server);

/* A sealed memfd with these bytes (none is fine), close-on-exec, read from its start. -1: errno. */
int spawn_sealed_memfd(const char *name, const void *bytes, size_t len);

/*
 * Fork and exec. The child has the given descriptors and no other, default signals, and dies with
 * us. Returns its pid, and in *pidfd a descriptor (close-on-exec) that the caller closes after
 * having reaped it; -1 with errno.
 */
pid_t spawn_process(const struct spawn *, int *pidfd);

#endif
