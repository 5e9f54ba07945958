#include "common/fault.h"

#ifdef TALLYD_FAULTS

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

enum {
	POINTS_MAX = 128,
};

static struct point {
	char name[64];
	unsigned hits;
} points[POINTS_MAX];

static void
fault_list(const char *name)
{
	const char *path = getenv("TALLYD_FAULT_LIST");
	char line[80];
	int fd, n;

	if (path == NULL ||
	    (fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) == -1)
		return;
	n = snprintf(line, sizeof(line), "%s\n", name);
	if (write(fd, line, (size_t)n) != n)
		fprintf(stderr, "fault list: short write\n");
	close(fd);
}

static unsigned
fault_count(const char *name)
{
	for (unsigned i = 0; i < POINTS_MAX; i++) {
		if (points[i].name[0] == '\0') {
			strlcpy(points[i].name, name, sizeof(points[i].name));
			fault_list(name);
		}
		if (strcmp(points[i].name, name) == 0)
			return ++points[i].hits;
	}
	return 0;
}

/* True when this is the first process to fire this rule, or when that does not matter. */
static bool
fault_first(const char *name)
{
	const char *base = getenv("TALLYD_FAULT_ONCE");
	char path[4096];
	int fd;

	if (base == NULL)
		return true;
	snprintf(path, sizeof(path), "%s.%s", base, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd == -1)
		return false;
	close(fd);
	return true;
}

static bool
fault_act(const char *action)
{
	if (strcmp(action, "kill") == 0)
		raise(SIGKILL);
	else if (strcmp(action, "stop") == 0)
		raise(SIGSTOP);
	else if (strcmp(action, "exit") == 0)
		_exit(75);
	return strcmp(action, "error") == 0;
}

bool
fault_hit(const char *name)
{
	const char *rules = getenv("TALLYD_FAULT");
	unsigned hits = fault_count(name);
	char copy[1024], *rule, *next = copy;

	if (rules == NULL || strlcpy(copy, rules, sizeof(copy)) >= sizeof(copy))
		return false;
	while ((rule = strsep(&next, ",")) != NULL) {
		char *at = strsep(&rule, ":"), *hit = strsep(&rule, ":");
		const char *error = NULL;

		if (hit == NULL || rule == NULL || strcmp(at, name) != 0)
			continue;
		if ((unsigned)strtonum(hit, 1, 1000000000, &error) == hits && error == NULL &&
		    fault_first(name))
			return fault_act(rule);
	}
	return false;
}

#else

/* ISO C forbids an empty translation unit. */
typedef int fault_nothing;

#endif
