#include "tests/unit/answers.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 4

unsigned
answers_each(const char *name, unsigned fields, void (*check)(char **field))
{
	char path[128], line[4096], *field[FIELDS_MAX + 1], *rest;
	unsigned checked = 0, n;

	(void)snprintf(path, sizeof(path), "tests/data/postgres/%s", name);
	FILE *file = fopen(path, "re");
	cr_assert_not_null(file, "%s is missing: run the tests from the project's folder", path);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = '\0';
		for (rest = line, n = 0; rest != NULL && n <= FIELDS_MAX; n++)
			field[n] = strsep(&rest, "\t");
		cr_assert_eq(n, fields, "%s has a line of %u fields: %s", path, n, line);
		check(field);
		checked++;
	}
	fclose(file);
	return checked;
}
