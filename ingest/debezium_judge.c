#include "ingest/debezium_state.h"

#include "ingest/envelope.h"

/* A message without "op": something that changes no row, or no envelope at all. */
static bool
decoder_judge_other(struct decoder *d, struct json start, const struct envelope *e,
		    struct event_place *p)
{
	bool has_row = e->has_before || e->has_after;
	char names[200];

	if (e->members & MEMBER_CLOUD)
		return convert_fail(&d->convert, "the message is a CloudEvent: set the connector's "
						 "value.converter to JsonConverter");
	if (e->members & MEMBER_FLATTENED)
		return convert_fail(&d->convert,
				    "the message was flattened by ExtractNewRecordState: remove "
				    "that transform from "
				    "the connector, the whole envelope is needed");
	if (!has_row && ((e->members == MEMBER_TIME && !e->has_source) ||
			 (e->members & MEMBER_SCHEMA_CHANGE))) {
		p->kind = EVENT_NOTHING;
		if (e->members == MEMBER_TIME)
			p->source_ms = e->time_ms;
		return true;
	}
	envelope_list_members(start, names, sizeof(names));
	return convert_fail(
	    &d->convert,
	    "the message is no Debezium envelope, it has no \"op\" but: %s (if the transform "
	    "ExtractNewRecordState flattened it, remove that from the connector)",
	    names[0] ? names : "nothing");
}

static bool
decoder_is_key(const struct decoder *d, unsigned column)
{
	for (unsigned i = 0; i < d->table->key_count; i++)
		if (d->table->key[i] == column)
			return true;
	return false;
}

/* Unchanged TOASTed values can be filled in only from a kept row. */
bool
decoder_judge_unchanged(struct decoder *d, char op)
{
	bool keyless = d->table->key_count == 0;

	for (unsigned i = 0; i < d->row.count; i++) {
		const struct column *column = d->row.columns[i];
		enum value_kind kind = d->row.values[i].kind;
		if (kind == VALUE_UNCHANGED && (keyless || op != 'u') && !decoder_is_key(d, i))
			return convert_fail(&d->convert,
					    "column \"%s\" was not sent (its TOASTed value is "
					    "unchanged): ALTER TABLE "
					    "%s REPLICA IDENTITY FULL%s",
					    column->name, d->table->source,
					    keyless ? ", or declare its PRIMARY KEY" : "");
		if (kind == VALUE_NULL && column->not_null)
			return convert_fail(&d->convert,
					    "column \"%s\" is declared NOT NULL, but the message "
					    "has null: declare it "
					    "as in the source",
					    column->name);
	}
	return true;
}

bool
decoder_judge_before(struct decoder *d, const struct envelope *e, bool has_key)
{
	const char *verb = e->op == 'u' ? "UPDATE" : "DELETE";

	/* With a key, an old row may be made up of defaults: nothing in it tells. */
	if (e->whole_before && has_key)
		return convert_fail(
		    &d->convert,
		    "%s on table \"%s\", which declares no PRIMARY KEY while its messages have "
		    "a key: whether the old row is whole cannot be told; declare the PRIMARY KEY",
		    verb, d->table->name);
	for (unsigned i = 0; e->whole_before && i < d->row.count; i++)
		if (d->before[i].kind == VALUE_UNCHANGED)
			return convert_fail(
			    &d->convert,
			    "%s on keyless table \"%s\": its old row lacks column \"%s\"", verb,
			    d->table->name, d->row.columns[i]->name);
	return e->whole_before ||
	       convert_fail(
		   &d->convert,
		   "%s on keyless table \"%s\" needs REPLICA IDENTITY FULL: ALTER TABLE %s REPLICA "
		   "IDENTITY FULL, or declare its PRIMARY KEY",
		   verb, d->table->name, d->table->source);
}

static bool
decoder_refuse_sourceless(struct decoder *d, const struct envelope *e)
{
	return convert_fail(&d->convert,
			    "the message has op \"%c\" but no \"source\": only whole Debezium "
			    "envelopes can be read",
			    e->op);
}

/* What all that change rows have in common. */
static bool
decoder_judge_place(struct decoder *d, const struct envelope *e, struct event *ev)
{
	ev->place.kind = EVENT_CHANGE;
	ev->op = e->op;
	/* 3.7, after a death in a snapshot that it was asked for, marks all that it streams so too. */
	if (e->op != 'r')
		ev->place.snapshot = SNAPSHOT_FALSE;
	/* Without it a repeat could not be told from a new event. */
	if (!e->has_source)
		return decoder_refuse_sourceless(d, e);
	if (e->missing || (e->op != 'r' && !ev->place.has_lsn))
		return convert_fail(&d->convert,
				    "the message's \"source\" has no \"%s\": only events of "
				    "Debezium's PostgreSQL connector can be read",
				    e->missing ? e->missing : "lsn");
	return true;
}

static bool
decoder_judge_truncate(struct decoder *d, const struct envelope *e, struct event *ev)
{
	if (!decoder_judge_place(d, e, ev))
		return false;
	if (d->table->truncate == TRUNCATE_REFUSE)
		return convert_fail(&d->convert,
				    "TRUNCATE of %s, and the option truncate of table \"%s\" is "
				    "'refuse': take the option out to let its rows go",
				    d->table->source, d->table->name);
	ev->place.truncate = true;
	return true;
}

bool
decoder_judge_change(struct decoder *d, const struct envelope *e, bool has_key, struct event *ev)
{
	bool keyless = d->table->key_count == 0;

	if (!decoder_judge_place(d, e, ev))
		return false;
	if (e->op != 'd') {
		if (!e->has_after)
			return convert_fail(&d->convert,
					    "the message has op \"%c\" but no \"after\"", e->op);
		if (!decoder_judge_unchanged(d, e->op))
			return false;
		ev->has_after = true;
	}
	if (keyless && (e->op == 'u' || e->op == 'd')) {
		if (!decoder_judge_before(d, e, has_key))
			return false;
		ev->has_before = true;
	}
	return true;
}

bool
decoder_judge(struct decoder *d, struct json start, const struct envelope *e, bool has_key,
	      struct event *ev)
{
	switch (e->op) {
	case 'c':
	case 'r':
	case 'u':
	case 'd':
		return decoder_judge_change(d, e, has_key, ev);
	case 'm':
		ev->place.kind = EVENT_NOTHING;
		return e->has_source || decoder_refuse_sourceless(d, e);
	case 't':
		return decoder_judge_truncate(d, e, ev);
	case '\0':
		return decoder_judge_other(d, start, e, &ev->place);
	default:
		return convert_fail(&d->convert, "the message's op \"%c\" is unknown",
				    e->op >= ' ' && e->op <= '~' ? e->op : '?');
	}
}
