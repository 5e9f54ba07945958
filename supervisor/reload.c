/* reload.c - check, then swap: never half a pipeline. */
#include "supervisor/reload.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pipeline.h"
#include "common/stage.h"
#include "supervisor/check.h"
#include "supervisor/parse.h"

/* NULL, or a heap sentence that says what cannot be changed while running. */
static char *
reload_obstacle(const struct pipeline *old, const struct pipeline *new)
{
	if (strcmp(old->name, new->name) != 0)
		return xasprintf(
		    "the pipeline's name was \"%s\": another name is another pipeline, "
		    "which is started by its own `tallyd run`",
		    old->name);
	if (old->ring_bytes != new->ring_bytes)
		return xasprintf("ring_bytes was %zu: stop tallyd and start it again to change it",
				 old->ring_bytes);
	char *difference = pipeline_difference(old, new);
	if (difference) {
		char *text =
		    xasprintf("%s: tables and views cannot change under a running pipeline; "
			      "give the changed one a new name (SET pipeline) and target "
			      "tables of its own",
			      difference);
		free(difference);
		return text;
	}
	bool same = old->server_count == new->server_count;
	for (unsigned i = 0; same && i < old->server_count; i++)
		same = strcmp(old->servers[i].name, new->servers[i].name) == 0;
	return same ? NULL
		    : xasprintf(
			  "the servers are others: their number, names and order belong to the "
			  "pipeline; give the changed one a new name (SET pipeline) and "
			  "target tables of its own");
}

int
reload_read(const struct pipeline *running, struct source *source, struct pipeline **pipeline,
	    FILE *errors)
{
	int code = source_read(source, running->file, errors);
	if (code != 0)
		return code;
	*pipeline = parse_pipeline(source, errors);
	if (!*pipeline) {
		source_free(source);
		return EXIT_CONFIG;
	}
	char *obstacle = reload_obstacle(running, *pipeline);
	if (obstacle)
		source_report(source, errors, "error", NULL, obstacle);
	code = obstacle ? EXIT_CONFIG : check_stages(source, *pipeline, true, errors, NULL);
	free(obstacle);
	if (code == 0)
		return 0;
	pipeline_free(*pipeline);
	*pipeline = NULL;
	source_free(source);
	return code;
}
