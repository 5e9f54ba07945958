/*
 * parse_declare.c - SET and CREATE SERVER: settings, servers and their options.
 */
#include <bsd/stdlib.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "common/log.h"
#include "common/ring.h"
#include "supervisor/environment.h"
#include "supervisor/parse_tree.h"

#define SILENCE_UNSET       (-1)
#define SILENCE_WARNING_MAX 86400000
#define SERVERS_MAX         (BOARD_STAGES_MAX - 2) /* one ingest stage each, beside reduce and egress */

/* --- SET --- */

enum setting {
	SETTING_PIPELINE,
	SETTING_AUTOCOMMIT_DURATION,
	SETTING_COMMIT_INTERVAL,
	SETTING_CHECKPOINT_INTERVAL,
	SETTING_RING_BYTES,
	SETTING_COUNT
};

static const struct setting_row {
	const char *name;
	int64_t min, max; /* of a number; both 0: text */
} settings[SETTING_COUNT] = {
    [SETTING_PIPELINE] = {"pipeline", 0, 0},
    [SETTING_AUTOCOMMIT_DURATION] = {"autocommit_duration_ms", 1, 3600000},
    [SETTING_COMMIT_INTERVAL] = {"commit_interval_ms", 0, 3600000},
    [SETTING_CHECKPOINT_INTERVAL] = {"checkpoint_interval_ms", 1, 3600000},
    [SETTING_RING_BYTES] = {"ring_bytes", RING_BYTES_MIN, RING_BYTES_MAX},
};

/* The text of a constant; a number is written to buf. NULL for anything else. */
static const char *
constant_text(const PgQuery__Node *node, char *buf, size_t size)
{
	const PgQuery__AConst *c;

	if (node->node_case != PG_QUERY__NODE__NODE_A_CONST)
		return NULL;
	c = node->a_const;
	switch (c->val_case) {
	case PG_QUERY__A__CONST__VAL_SVAL:
		return c->sval->sval;
	case PG_QUERY__A__CONST__VAL_FVAL:
		return c->fval->fval;
	case PG_QUERY__A__CONST__VAL_IVAL:
		snprintf(buf, size, "%" PRId32, c->ival->ival);
		return buf;
	default:
		return NULL;
	}
}

static bool
set_name(struct parse *p, const char *text, int location)
{
	size_t len = strlen(text);

	if (len < 1 || len > 63 || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != len)
		return parse_error(
		    p, location,
		    "the pipeline's name must be 1 to 63 characters out of a-z 0-9 _ . -");
	p->pipeline->name = xstrdup(text);
	return true;
}

static bool
set_number(struct parse *p, enum setting setting, const char *text, int location)
{
	const struct setting_row *row = &settings[setting];
	const char *error = NULL;
	int64_t v = strtonum(text, row->min, row->max, &error);

	if (error != NULL || text[strspn(text, "-0123456789")] != '\0')
		return parse_error(p, location,
				   "%s must be a whole number from %" PRId64 " to %" PRId64,
				   row->name, row->min, row->max);
	if (setting == SETTING_AUTOCOMMIT_DURATION) {
		p->pipeline->autocommit_duration_ms = v;
	} else if (setting == SETTING_COMMIT_INTERVAL) {
		p->pipeline->commit_interval_ms = v;
	} else if (setting == SETTING_CHECKPOINT_INTERVAL) {
		p->pipeline->checkpoint_interval_ms = v;
	} else {
		if ((v & (v - 1)) != 0)
			return parse_error(p, location,
					   "ring_bytes must be a power of two, such as 4194304");
		p->pipeline->ring_bytes = (size_t)v;
	}
	return true;
}

static bool
find_setting(struct parse *p, const char *name, int location, enum setting *setting)
{
	for (unsigned i = 0; i < SETTING_COUNT; i++)
		if (strcmp(settings[i].name, name) == 0) {
			*setting = (enum setting)i;
			return true;
		}
	return parse_error(p, location,
			   "unknown setting \"%s\": known are pipeline, autocommit_duration_ms, "
			   "commit_interval_ms, checkpoint_interval_ms and ring_bytes",
			   name);
}

bool
parse_set(struct parse *p, const PgQuery__VariableSetStmt *stmt, int location)
{
	enum setting setting = SETTING_COUNT;
	const char *text;
	char buf[32];
	int value;

	if (stmt->kind != PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE || stmt->is_local)
		return parse_error(p, location, "only SET name = value is supported");
	location = parse_find_token(p, location, 1);
	if (!find_setting(p, stmt->name, location, &setting))
		return false;
	if (p->settings & 1u << setting)
		return parse_error(p, location, "%s is set twice", stmt->name);
	p->settings |= 1u << setting;
	text = stmt->n_args == 1 ? constant_text(stmt->args[0], buf, sizeof(buf)) : NULL;
	if (text == NULL)
		return parse_error(p, location, "%s must be set to one constant", stmt->name);
	value = parse_location(stmt->args[0]);
	return setting == SETTING_PIPELINE ? set_name(p, text, value)
					   : set_number(p, setting, text, value);
}

/* --- ${NAME} in option values --- */

static size_t
variable_name_length(const char *s)
{
	size_t n = 0;

	if (isdigit((unsigned char)s[0]))
		return 0;
	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n;
}

/* Append what the variable at s (behind "${") means; *end is set behind its brace. */
static bool
expand_variable(struct parse *p, int location, const char *s, const char **end, FILE *out)
{
	size_t n = variable_name_length(s);
	const char *close = strchr(s, '}'), *value, *fallback = NULL;
	char *name;

	if (n > 0 && strncmp(s + n, ":-", 2) == 0)
		fallback = s + n + 2;
	if (close == NULL || n == 0 || (fallback == NULL && s[n] != '}'))
		return parse_error(
		    p, location,
		    "a variable is written ${NAME} or ${NAME:-default}; $${ stands for ${ itself");
	*end = close + 1;
	name = xstrndup(s, n);
	value = environment_take(name);
	if (fallback != NULL && (value == NULL || value[0] == '\0'))
		fwrite(fallback, 1, (size_t)(close - fallback), out);
	else if (value != NULL)
		fputs(value, out);
	else
		parse_error(
		    p, location,
		    "the environment variable %s is not set: set it, or write ${%s:-default}", name,
		    name);
	free(name);
	return value != NULL || fallback != NULL;
}

static char *
expand_value(struct parse *p, int location, const char *text)
{
	char *value = NULL;
	size_t len;
	FILE *out = xmemstream(&value, &len);
	bool good = true;

	while (good && *text != '\0') {
		if (strncmp(text, "$${", 3) == 0) {
			fputs("${", out);
			text += 3;
		} else if (strncmp(text, "${", 2) == 0) {
			good = expand_variable(p, location, text + 2, &text, out);
		} else {
			fputc(*text++, out);
		}
	}
	fclose(out);
	if (good)
		return value;
	free(value);
	return NULL;
}

bool
parse_option(struct parse *p, const PgQuery__Node *node, const char **name, char **value,
	     int *location)
{
	const PgQuery__DefElem *def = node->def_elem;
	const char *text = def->arg != NULL ? parse_string(def->arg) : NULL;

	*name = def->defname;
	*location = def->location;
	if (text == NULL)
		return parse_error(p, def->location, "option \"%s\" needs a value in quotes",
				   def->defname);
	*value = expand_value(p, def->location, text);
	return *value != NULL;
}

/* --- options of servers --- */

static bool
option_append(struct parse *p, struct option **options, unsigned *count, const char *name,
	      char *value, int location)
{
	for (unsigned i = 0; i < *count; i++)
		if (strcmp((*options)[i].name, name) == 0) {
			free(value);
			return parse_error(p, location, "option \"%s\" is given twice", name);
		}
	*options = xreallocarray(*options, *count + 1, sizeof(**options));
	(*options)[(*count)++] = (struct option){xstrdup(name), value, parse_place(p, location)};
	return true;
}

static const struct option *
option_find(const struct option *options, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static const struct forbidden {
	const char *name, *why;
} forbidden_kafka[] = {
    {"enable.auto.commit", "tallyd commits offsets itself, after they are durable in the target"},
    {"auto.commit.enable", "tallyd commits offsets itself, after they are durable in the target"},
    {"enable.auto.offset.store",
     "tallyd commits offsets itself, after they are durable in the target"},
    {"auto.offset.reset", "tallyd never guesses where to begin; use the option start "
			  "('earliest', 'committed' or 'latest')"},
    {"enable.partition.eof", "tallyd needs to see the end of a partition"},
    {NULL, NULL},
};

static const struct forbidden forbidden_postgres[] = {
    {"client_encoding", "tallyd always speaks UTF-8"},
    {"replication", "tallyd needs an ordinary connection"},
    {NULL, NULL},
};

static bool
check_forbidden(struct parse *p, const struct forbidden *rows, const char *name, int location)
{
	for (; rows->name != NULL; rows++)
		if (strcmp(rows->name, name) == 0)
			return parse_error(p, location, "option \"%s\" cannot be set: %s", name,
					   rows->why);
	return true;
}

bool
parse_topic(struct parse *p, const char *name, const char *topic, int location)
{
	size_t len = strlen(topic);

	for (const char *s = topic; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("._-", *s) == NULL)
			len = 0;
	if (len < 1 || len > 249)
		return parse_error(
		    p, location,
		    "option \"%s\" must name a Kafka topic: 1 to 249 characters out of "
		    "a-z A-Z 0-9 . _ -",
		    name);
	return true;
}

static bool
parse_start(struct parse *p, struct server *server, const char *value, int location)
{
	if (strcmp(value, "earliest") == 0)
		server->start = START_EARLIEST;
	else if (strcmp(value, "committed") == 0)
		server->start = START_COMMITTED;
	else if (strcmp(value, "latest") == 0)
		server->start = START_LATEST;
	else
		return parse_error(p, location,
				   "option \"start\" must be 'earliest', 'committed' or 'latest'");
	return true;
}

static bool
parse_silence(struct parse *p, struct server *server, const char *value, int location)
{
	const char *error = NULL;

	server->silence_warning_ms = strtonum(value, 0, SILENCE_WARNING_MAX, &error);
	if (error != NULL || value[strspn(value, "0123456789")] != '\0')
		return parse_error(p, location,
				   "option \"silence_warning_ms\" must be a whole number from 0 to "
				   "%d; 0: never",
				   SILENCE_WARNING_MAX);
	return true;
}

/* An option that names a topic of the connector's own; takes the value. */
static bool
own_topic(struct parse *p, char **topic, struct place *place, const char *name, char *value,
	  int location)
{
	if (*topic != NULL) {
		free(value);
		return parse_error(p, location, "option \"%s\" is given twice", name);
	}
	*topic = value;
	*place = parse_place(p, location);
	return parse_topic(p, name, value, location);
}

/* The words of an option, for a sentence; heap. */
static char *
list_modes(enum connector_option option)
{
	char *text = xasprintf("'%s'", connector_mode_name(option, 1));

	for (unsigned i = 2; connector_mode_name(option, i) != NULL; i++) {
		bool last = connector_mode_name(option, i + 1) == NULL;
		char *longer = xasprintf("%s%s'%s'", text, last ? " or " : ", ",
					 connector_mode_name(option, i));
		free(text);
		text = longer;
	}
	return text;
}

static bool
parse_mode(struct parse *p, struct server *server, enum connector_option option, const char *value,
	   int location)
{
	unsigned mode = connector_mode_find(option, value);

	if (server->connector.mode[option] != 0)
		return parse_error(p, location, "option \"%s\" is given twice",
				   connector_option_name(option));
	server->connector.mode[option] = mode;
	if (mode != 0)
		return true;
	char *modes = list_modes(option);
	parse_error(p, location, "option \"%s\" must be %s, as the connector has it",
		    connector_option_name(option), modes);
	free(modes);
	return false;
}

static bool
parse_unavailable(struct parse *p, struct server *server, const char *value, int location)
{
	if (server->connector.unavailable != NULL)
		return parse_error(p, location, "option \"%s\" is given twice",
				   CONNECTOR_UNAVAILABLE);
	if (value[0] == '\0')
		return parse_error(p, location, "option \"%s\" is empty", CONNECTOR_UNAVAILABLE);
	server->connector.unavailable = xstrdup(value);
	return true;
}

/* One option of a debezium server; takes the value. */
static bool
debezium_option(struct parse *p, struct server *server, const char *name, char *value, int location)
{
	enum connector_option mode = connector_option_find(name);
	bool good;

	if (strcmp(name, "transaction_topic") == 0)
		return own_topic(p, &server->transaction_topic, &server->transaction_place, name,
				 value, location);
	if (strcmp(name, "heartbeat_topic") == 0)
		return own_topic(p, &server->heartbeat_topic, &server->heartbeat_place, name, value,
				 location);
	if (strcmp(name, CONNECTOR_UNAVAILABLE) == 0) {
		good = parse_unavailable(p, server, value, location);
	} else if (mode != CONNECTOR_OPTIONS) {
		good = parse_mode(p, server, mode, value, location);
	} else if (strcmp(name, "start") == 0) {
		good = server->start == START_CHECKED
			   ? parse_start(p, server, value, location)
			   : parse_error(p, location, "option \"start\" is given twice");
	} else if (strcmp(name, "silence_warning_ms") == 0) {
		good =
		    server->silence_warning_ms == SILENCE_UNSET
			? parse_silence(p, server, value, location)
			: parse_error(p, location, "option \"silence_warning_ms\" is given twice");
	} else if (check_forbidden(p, forbidden_kafka, name, location)) {
		return option_append(p, &server->options, &server->option_count, name, value,
				     location);
	} else {
		good = false;
	}
	free(value);
	return good;
}

/* What two options of one server mean together. */
static bool
check_own_topics(struct parse *p, struct server *server, int location)
{
	bool set = server->silence_warning_ms != SILENCE_UNSET;

	if (!set)
		server->silence_warning_ms =
		    server->heartbeat_topic != NULL ? SILENCE_WARNING_MS : 0;
	if (set && server->heartbeat_topic == NULL)
		return parse_error(
		    p, location,
		    "server \"%s\" has silence_warning_ms, but no heartbeat_topic: "
		    "without heartbeats an idle table is as silent as a connector that "
		    "does not work",
		    server->name);
	if (server->heartbeat_topic != NULL && server->transaction_topic != NULL &&
	    strcmp(server->heartbeat_topic, server->transaction_topic) == 0)
		return parse_error(
		    p, location,
		    "server \"%s\": heartbeat_topic and transaction_topic are the same "
		    "topic",
		    server->name);
	return true;
}

static bool
check_brokers(struct parse *p, const struct server *server, int location)
{
	const struct option *option =
	    option_find(server->options, server->option_count, "bootstrap.servers");

	if (option == NULL)
		option = option_find(server->options, server->option_count, "metadata.broker.list");
	if (option == NULL || option->value[0] == '\0')
		return parse_error(
		    p, location,
		    "server \"%s\" needs the option \"bootstrap.servers\" 'host:port,...'",
		    server->name);
	return true;
}

static bool
debezium_server(struct parse *p, const PgQuery__CreateForeignServerStmt *stmt, int location)
{
	struct pipeline *pipeline = p->pipeline;
	struct server *server;
	bool good = true;

	if (pipeline->server_count >= SERVERS_MAX)
		return parse_error(p, location, "more than %d debezium servers are not supported",
				   SERVERS_MAX);
	pipeline->servers = xreallocarray(pipeline->servers, pipeline->server_count + 1,
					  sizeof(*pipeline->servers));
	server = &pipeline->servers[pipeline->server_count++];
	*server = (struct server){.name = xstrdup(stmt->servername),
				  .silence_warning_ms = SILENCE_UNSET,
				  .place = parse_place(p, location)};
	for (size_t i = 0; i < stmt->n_options; i++) {
		const char *name;
		char *value;
		int at;

		good = parse_option(p, stmt->options[i], &name, &value, &at) &&
		       debezium_option(p, server, name, value, at) && good;
	}
	good = good && check_own_topics(p, server, location);
	return good && check_brokers(p, server, location);
}

static bool
postgres_server(struct parse *p, const PgQuery__CreateForeignServerStmt *stmt, int location)
{
	struct pipeline *pipeline = p->pipeline;
	const struct option *file;
	bool good = true;

	if (pipeline->target_name != NULL)
		return parse_error(
		    p, location,
		    "a second target: a pipeline has exactly one; two targets are two pipelines");
	pipeline->target_name = xstrdup(stmt->servername);
	pipeline->target_place = parse_place(p, location);
	for (size_t i = 0; i < stmt->n_options; i++) {
		const char *name;
		char *value;
		int at;

		if (!parse_option(p, stmt->options[i], &name, &value, &at)) {
			good = false;
		} else if (!check_forbidden(p, forbidden_postgres, name, at)) {
			free(value);
			good = false;
		} else {
			good &= option_append(p, &pipeline->target, &pipeline->target_count, name,
					      value, at);
		}
	}
	file = option_find(pipeline->target, pipeline->target_count, "password_file");
	if (file != NULL && option_find(pipeline->target, pipeline->target_count, "password"))
		return parse_error(p, location, "give either \"password\" or \"password_file\"");
	return good;
}

static bool
is_server_name_free(const struct pipeline *pipeline, const char *name)
{
	for (unsigned i = 0; i < pipeline->server_count; i++)
		if (strcmp(pipeline->servers[i].name, name) == 0)
			return false;
	return pipeline->target_name == NULL || strcmp(pipeline->target_name, name) != 0;
}

bool
parse_server(struct parse *p, const PgQuery__CreateForeignServerStmt *stmt, int location)
{
	int name = parse_find_token(p, location, 2);

	if (stmt->if_not_exists)
		return parse_error(p, name, "IF NOT EXISTS has no meaning in a pipeline file");
	if (stmt->servertype[0] != '\0' || stmt->version[0] != '\0')
		return parse_error(p, parse_find_word(p, name, "TYPE VERSION"),
				   "TYPE and VERSION of a server are not supported");
	if (!is_server_name_free(p->pipeline, stmt->servername))
		return parse_error(p, name, "server \"%s\" is declared twice", stmt->servername);
	if (strcmp(stmt->fdwname, "debezium") == 0)
		return debezium_server(p, stmt, name);
	if (strcmp(stmt->fdwname, "postgres") == 0)
		return postgres_server(p, stmt, name);
	return parse_error(
	    p, parse_find_token(p, parse_find_word(p, name, "WRAPPER"), 1),
	    "unknown kind of server \"%s\": known are debezium (a source) and postgres (the "
	    "target)",
	    stmt->fdwname);
}

static void
report_at(struct parse *p, const struct place *place, const char *message)
{
	source_report(p->source, p->errors, "error", place, message);
	p->error_count++;
}

bool
parse_server_uses(struct parse *p)
{
	const struct pipeline *pipeline = p->pipeline;

	for (unsigned i = 0; i < pipeline->server_count; i++) {
		bool used = false;

		for (unsigned t = 0; t < pipeline->table_count; t++)
			used |= pipeline->tables[t].server == i;
		if (!used)
			report_at(p, &pipeline->servers[i].place,
				  "no foreign table is read from this server: remove it, or add a "
				  "CREATE FOREIGN TABLE");
	}
	if (pipeline->server_count == 0)
		parse_error(
		    p, -1,
		    "there is no source: add CREATE SERVER ... FOREIGN DATA WRAPPER debezium");
	if (pipeline->target_name == NULL)
		parse_error(
		    p, -1,
		    "there is no target: add CREATE SERVER ... FOREIGN DATA WRAPPER postgres");
	return p->error_count == 0;
}
