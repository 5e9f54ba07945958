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
	RULES_MAX = 256,
	RULES_BYTES = 32 * 1024,
};

static struct point {
	char name[64];
	unsigned hits;
} points[POINTS_MAX];

static struct rule {
	const char *name, *action; /* in rules_text */
	unsigned hit;
} rules[RULES_MAX];

static char rules_text[RULES_BYTES];
static unsigned rules_count;
static bool rules_read;
static const char *rules_from; /* the variable's value as it was read */
static char role[64];          /* "egress" in tallyd-egress, "tallyd" in tallyd */

static void
fault_read_role(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	const char *base;

	path[n > 0 ? n : 0] = '\0';
	base = strrchr(path, '/');
	base = base != NULL ? base + 1 : path;
	strlcpy(role, strncmp(base, "tallyd-", 7) == 0 ? base + 7 : base, sizeof(role));
}

/* A rule for another role than this process's is none of ours. */
static void
fault_read_rule(char *text)
{
	char *name = strsep(&text, ":"), *hit = strsep(&text, ":"), *slash = strchr(name, '/');
	const char *error = NULL;
	struct rule *rule = &rules[rules_count];

	if (hit == NULL || text == NULL)
		return;
	if (slash != NULL) {
		*slash = '\0';
		if (strcmp(name, role) != 0)
			return;
		name = slash + 1;
	}
	*rule = (struct rule){.name = name, .action = text};
	rule->hit = (unsigned)strtonum(hit, 1, 1000000000, &error);
	if (error == NULL)
		rules_count++;
}

/* Once for each value of the variable: a test may set it anew. */
static void
fault_read_rules(void)
{
	const char *value = getenv("TALLYD_FAULT");
	char *next = rules_text, *rule;

	if (rules_read && value == rules_from)
		return;
	rules_read = true;
	rules_from = value;
	rules_count = 0;
	if (role[0] == '\0')
		fault_read_role();
	if (value == NULL)
		return;
	if (strlcpy(rules_text, value, sizeof(rules_text)) >= sizeof(rules_text)) {
		fprintf(stderr, "TALLYD_FAULT is longer than %d bytes\n", RULES_BYTES);
		abort();
	}
	while ((rule = strsep(&next, ",")) != NULL && rules_count < RULES_MAX)
		fault_read_rule(rule);
}

static void
fault_list(const char *name)
{
	const char *path = getenv("TALLYD_FAULT_LIST");
	char line[160];
	int fd, n;

	if (path == NULL ||
	    (fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) == -1)
		return;
	n = snprintf(line, sizeof(line), "%s/%s\n", role, name);
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
fault_first(const struct rule *rule)
{
	const char *base = getenv("TALLYD_FAULT_ONCE");
	char path[4096];
	int fd;

	if (base == NULL || strchr(rule->action, '*') != NULL)
		return true;
	snprintf(path, sizeof(path), "%s.%s.%u.%s", base, rule->name, rule->hit, rule->action);
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
	return strncmp(action, "error", 5) == 0;
}

bool
fault_hit(const char *name)
{
	unsigned hits;

	fault_read_rules();
	hits = fault_count(name);
	for (unsigned i = 0; i < rules_count; i++)
		if (rules[i].hit == hits && strcmp(rules[i].name, name) == 0 &&
		    fault_first(&rules[i]))
			return fault_act(rules[i].action);
	return false;
}

#else

/* ISO C forbids an empty translation unit. */
typedef int fault_nothing;

#endif
