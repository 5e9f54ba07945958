/* environment.c - which variables a stage inherits. */
#include "supervisor/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

static char **taken; /* names, NULL: none yet */
static size_t taken_count;

/* What libraries look for by themselves, and a file may well name for a path. */
static const char *const common_names[] = {
    "HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER",
};

static bool
name_is_common(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(common_names) / sizeof(*common_names); i++)
		if (strlen(common_names[i]) == len && strncmp(name, common_names[i], len) == 0)
			return true;
	return false;
}

static bool
name_is_taken(const char *name, size_t len)
{
	for (size_t i = 0; i < taken_count; i++)
		if (strncmp(taken[i], name, len) == 0 && taken[i][len] == '\0')
			return true;
	return false;
}

const char *
environment_take(const char *name)
{
	if (!name_is_taken(name, strlen(name))) {
		taken = xreallocarray(taken, taken_count + 1, sizeof(*taken));
		taken[taken_count++] = xstrdup(name);
	}
	return getenv(name);
}

static bool
stage_inherits(enum stage_role role, const char *variable)
{
	size_t len = strcspn(variable, "=");
	if (strncmp(variable, "PG", 2) == 0 && variable[2] != '_')
		return role == ROLE_EGRESS;
	return name_is_common(variable, len) || !name_is_taken(variable, len);
}

/*
 * Reduce's rows lie all over its memory, and with small pages to find where a page is costs as much as to
 * fetch from it. For malloc(3) of glibc 2.35 and later; others do not look.
 */
static char huge_pages[] = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1";

char **
environment_for(enum stage_role role)
{
	size_t n = 0;
	while (environ[n] != NULL)
		n++;
	char **all = xcalloc(n + 2, sizeof(*all));
	n = 0;
	for (char **v = environ; *v != NULL; v++)
		if (stage_inherits(role, *v))
			all[n++] = *v;
	if (role == ROLE_REDUCE && getenv("GLIBC_TUNABLES") == NULL)
		all[n++] = huge_pages;
	return all;
}
