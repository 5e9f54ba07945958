/*
 * parse.c - one pipeline file: PostgreSQL's parser, the order of the checks, errors.
 */
#include "supervisor/parse.h"

#include <pg_query.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"
#include "common/log.h"
#include "supervisor/parse_tree.h"

#define IDENTIFIER_MAX 63 /* PostgreSQL cuts longer ones off */

/*
 * The parser's tree is built, written and read by recursion inside libpg_query, 2 to 6 KiB of stack
 * for each level: what would be deeper is refused before the parser sees it.
 */
#define CHAIN_MAX 1000

#define STATEMENTS_SUPPORTED                                                                       \
	"a pipeline file consists of SET, CREATE SERVER, CREATE FOREIGN TABLE and "                \
	"CREATE MATERIALIZED VIEW"

/* --- errors --- */

struct place
parse_place(const struct parse *p, int location)
{
	if (location < 0)
		return (struct place){0, 0};
	return source_place(p->source, (size_t)location);
}

bool
parse_error(struct parse *p, int location, const char *fmt, ...)
{
	struct place place = parse_place(p, location >= 0 ? location : p->statement);
	char *message = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&message, fmt, args);
	va_end(args);
	source_report(p->source, p->errors, "error", &place, len < 0 ? fmt : message);
	if (len >= 0)
		free(message);
	p->error_count++;
	return false;
}

int
parse_find_token(const struct parse *p, int from, unsigned n)
{
	struct token token = source_token(p->source, (size_t)from);

	while (n-- > 0 && token.kind != TOKEN_END)
		token = source_token(p->source, token.end);
	return token.kind == TOKEN_END ? from : (int)token.start;
}

/* Is the token one of the words, which are separated by single blanks? */
static bool
token_is_among(const struct source *source, const struct token *token, const char *words)
{
	size_t len = token->end - token->start;

	for (const char *s = words; *s != '\0'; s += strspn(s, " ")) {
		size_t n = strcspn(s, " ");

		if (token->kind == TOKEN_WORD && n == len &&
		    strncasecmp(s, source->text + token->start, n) == 0)
			return true;
		s += n;
	}
	return false;
}

int
parse_find_word(const struct parse *p, int from, const char *words)
{
	struct token token = source_token(p->source, (size_t)from);

	while (token.kind != TOKEN_END && !source_token_is(p->source, &token, ";")) {
		if (token_is_among(p->source, &token, words))
			return (int)token.start;
		token = source_token(p->source, token.end);
	}
	return from;
}

/* --- the tree --- */

const char *
parse_string(const PgQuery__Node *node)
{
	return node->node_case == PG_QUERY__NODE__NODE_STRING ? node->string->sval : NULL;
}

static int
location_of_first(PgQuery__Node *const *nodes, size_t count)
{
	return count > 0 ? parse_location(nodes[0]) : -1;
}

int
parse_location(const PgQuery__Node *node)
{
	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_A_CONST:
		return node->a_const->location;
	case PG_QUERY__NODE__NODE_COLUMN_REF:
		return node->column_ref->location;
	case PG_QUERY__NODE__NODE_PARAM_REF:
		return node->param_ref->location;
	case PG_QUERY__NODE__NODE_FUNC_CALL:
		return node->func_call->location;
	case PG_QUERY__NODE__NODE_A_EXPR:
		return node->a_expr->location;
	case PG_QUERY__NODE__NODE_BOOL_EXPR:
		return node->bool_expr->location;
	case PG_QUERY__NODE__NODE_NULL_TEST:
		return node->null_test->location;
	case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
		return node->boolean_test->location;
	case PG_QUERY__NODE__NODE_TYPE_CAST:
		return node->type_cast->location;
	case PG_QUERY__NODE__NODE_SUB_LINK:
		return node->sub_link->location;
	case PG_QUERY__NODE__NODE_CASE_EXPR:
		return node->case_expr->location;
	case PG_QUERY__NODE__NODE_COALESCE_EXPR:
		return node->coalesce_expr->location;
	case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
		return node->min_max_expr->location;
	case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
		return node->sqlvalue_function->location;
	case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
		return node->a_array_expr->location;
	case PG_QUERY__NODE__NODE_ROW_EXPR:
		return node->row_expr->location;
	case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
		return node->collate_clause->location;
	case PG_QUERY__NODE__NODE_GROUPING_SET:
		return node->grouping_set->location;
	case PG_QUERY__NODE__NODE_GROUPING_FUNC:
		return node->grouping_func->location;
	case PG_QUERY__NODE__NODE_RES_TARGET:
		return node->res_target->location;
	case PG_QUERY__NODE__NODE_RANGE_VAR:
		return node->range_var->location;
	case PG_QUERY__NODE__NODE_CONSTRAINT:
		return node->constraint->location;
	case PG_QUERY__NODE__NODE_DEF_ELEM:
		return node->def_elem->location;
	case PG_QUERY__NODE__NODE_LIST:
		return location_of_first(node->list->items, node->list->n_items);
	default:
		return -1;
	}
}

/* --- the file --- */

/* Without bytes that are no UTF-8: the parser's words may end amid a character that it does not take. */
static void
keep_utf8(char *text)
{
	char *to = text;

	for (size_t left = strlen(text), n; left > 0; text += n, left -= n) {
		n = (unsigned char)*text < 0x80 ? 1
						: json_sequence((const unsigned char *)text, left);
		memmove(to, text, n);
		to += n;
		n += n == 0;
	}
	*to = '\0';
}

/* PostgreSQL's own complaint, without the text "at or near" which may be a secret. */
static void
report_syntax(const struct source *source, const PgQueryError *error, FILE *errors)
{
	struct parse p = {.source = source, .errors = errors, .statement = -1};
	const char *near = strstr(error->message, " at or near ");
	size_t len = strlen(error->message), offset = 0;

	/* cursorpos counts characters from 1. */
	for (int i = 1; i < error->cursorpos && offset < source->len; i++) {
		offset++;
		while (((unsigned char)source->text[offset] & 0xc0) == 0x80)
			offset++;
	}
	if (near != NULL &&
	    (strncmp(error->message, "unterminated", 12) == 0 || source_is_hidden(source, offset)))
		len = (size_t)(near - error->message);
	char *message = xstrndup(error->message, len);
	keep_utf8(message);
	parse_error(&p, (int)offset, "%s", message);
	free(message);
}

/* A longer name would silently mean another one. */
static void
check_identifiers(struct parse *p)
{
	struct token token = source_token(p->source, 0);

	for (; token.kind != TOKEN_END; token = source_token(p->source, token.end)) {
		size_t quotes = token.kind == TOKEN_QUOTED ? 2 : 0;

		if ((token.kind == TOKEN_WORD || token.kind == TOKEN_QUOTED) &&
		    token.end - token.start - quotes > IDENTIFIER_MAX)
			parse_error(
			    p, (int)token.start,
			    "this name is longer than %d bytes, where PostgreSQL cuts names off",
			    IDENTIFIER_MAX);
	}
}

struct chain { /* words and signs in a row, each of which may be one level of the tree */
	unsigned now;
	unsigned clauses;  /* of the statement, which chain without end, commas or not */
	unsigned brackets; /* open ones */
	unsigned outside[CHAIN_MAX + 1]; /* `now` before each of them */
};

/* Add a token. Lists, and what AND and OR join, lie side by side: each member begins anew. */
static void
chain_add(struct chain *chain, const struct source *source, const struct token *token)
{
	char first = source->text[token->start];
	bool opens = token->kind == TOKEN_OTHER && (first == '(' || first == '[');
	bool closes = token->kind == TOKEN_OTHER && (first == ')' || first == ']');

	if (closes && chain->brackets > 0)
		chain->now = chain->outside[--chain->brackets];
	if (token_is_among(source, token, "AND OR") || source_token_is(source, token, ","))
		chain->now = chain->brackets > 0 ? chain->outside[chain->brackets - 1] + 1 : 0;
	if (token_is_among(source, token, "UNION INTERSECT EXCEPT JOIN CASE"))
		chain->clauses++;
	if (source_token_is(source, token, ";"))
		chain->now = chain->clauses = chain->brackets = 0;
	if (opens)
		chain->outside[chain->brackets++] = chain->now;
	chain->now++;
}

static bool
check_nesting(struct parse *p)
{
	struct token token = source_token(p->source, 0);
	struct chain chain = {0};

	for (; token.kind != TOKEN_END; token = source_token(p->source, token.end)) {
		chain_add(&chain, p->source, &token);
		if (chain.now + chain.clauses > CHAIN_MAX)
			return parse_error(
			    p, (int)token.start,
			    "this is nested too deeply, or too long a chain: more than "
			    "%d words and signs without a comma, AND or OR",
			    CHAIN_MAX);
	}
	return true;
}

enum phase {
	PHASE_DECLARE, /* SET, CREATE SERVER, and what does not belong here */
	PHASE_TABLES,
	PHASE_VIEWS,
};

static void
parse_statement(struct parse *p, const PgQuery__RawStmt *raw, enum phase phase)
{
	const PgQuery__Node *node = raw->stmt;
	int location = parse_find_token(p, raw->stmt_location, 0);

	p->statement = location;
	switch (node->node_case) {
	case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
		if (phase == PHASE_DECLARE)
			parse_set(p, node->variable_set_stmt, location);
		return;
	case PG_QUERY__NODE__NODE_CREATE_FOREIGN_SERVER_STMT:
		if (phase == PHASE_DECLARE)
			parse_server(p, node->create_foreign_server_stmt, location);
		return;
	case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
		if (phase == PHASE_DECLARE)
			parse_enumeration(p, node->create_enum_stmt, location);
		return;
	case PG_QUERY__NODE__NODE_CREATE_FOREIGN_TABLE_STMT:
		if (phase == PHASE_TABLES)
			parse_table(p, node->create_foreign_table_stmt, location);
		return;
	case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
		if (node->create_table_as_stmt->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW) {
			if (phase == PHASE_VIEWS)
				parse_view(p, node->create_table_as_stmt, location);
			return;
		}
		break;
	default:
		break;
	}
	if (phase == PHASE_DECLARE)
		parse_error(p, location, "this statement is not supported: %s",
			    STATEMENTS_SUPPORTED);
}

static void
check_whole(struct parse *p, enum phase phase)
{
	const struct pipeline *pipeline = p->pipeline;

	if (phase == PHASE_DECLARE && pipeline->name == NULL)
		parse_error(p, -1,
			    "the pipeline has no name: add SET pipeline = 'name'; it is the "
			    "pipeline's identity in the target");
	else if (phase == PHASE_TABLES)
		parse_server_uses(p);
	else if (phase == PHASE_VIEWS && pipeline->view_count == 0)
		parse_error(p, -1, "there is no CREATE MATERIALIZED VIEW: nothing to do");
}

/* Every fault of a phase is printed; a later phase would only report what follows from them. */
static bool
parse_statements(struct parse *p, const PgQuery__ParseResult *tree)
{
	check_identifiers(p);
	for (enum phase phase = PHASE_DECLARE; phase <= PHASE_VIEWS; phase++) {
		for (size_t i = 0; i < tree->n_stmts; i++)
			parse_statement(p, tree->stmts[i], phase);
		p->statement = -1;
		if (p->error_count == 0)
			check_whole(p, phase);
		if (p->error_count > 0)
			return false;
	}
	return true;
}

static struct pipeline *
parse_tree(const struct source *source, const PgQuery__ParseResult *tree, FILE *errors)
{
	struct parse p = {.source = source, .errors = errors, .statement = -1};

	p.pipeline = xcalloc(1, sizeof(*p.pipeline));
	p.pipeline->file = xstrdup(source->path);
	p.pipeline->autocommit_duration_ms = 100;
	p.pipeline->commit_interval_ms = 0;
	p.pipeline->checkpoint_interval_ms = 10000;
	p.pipeline->ring_bytes = 4u << 20;
	if (parse_statements(&p, tree))
		return p.pipeline;
	pipeline_free(p.pipeline);
	return NULL;
}

struct pipeline *
parse_pipeline(const struct source *source, FILE *errors)
{
	struct parse before = {.source = source, .errors = errors, .statement = -1};
	PgQuery__ParseResult *tree = NULL;
	struct pipeline *pipeline = NULL;

	if (!check_nesting(&before))
		return NULL;
	PgQueryProtobufParseResult result = pg_query_parse_protobuf(source->text);
	if (result.error != NULL) {
		report_syntax(source, result.error, errors);
	} else {
		tree = pg_query__parse_result__unpack(NULL, result.parse_tree.len,
						      (const uint8_t *)result.parse_tree.data);
		if (tree == NULL)
			source_report(source, errors, "error", NULL,
				      "the parser's tree cannot be read: is it nested too deeply?");
		else
			pipeline = parse_tree(source, tree, errors);
	}
	if (tree != NULL)
		pg_query__parse_result__free_unpacked(tree, NULL);
	pg_query_free_protobuf_parse_result(result);
	return pipeline;
}
