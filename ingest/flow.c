#include "ingest/flow.h"

void
flow_saw(struct flow *f, int64_t written_ms)
{
	if (written_ms > f->written_ms)
		f->written_ms = written_ms;
}

void
flow_excuse(struct flow *f, int64_t now_ms)
{
	f->moved_ms = now_ms;
}

enum flow_news
flow_look(struct flow *f, int64_t limit_ms, int64_t now_ms)
{
	bool moved = f->written_ms > f->looked_ms;
	f->looked_ms = f->written_ms;
	if (moved || f->moved_ms == 0)
		f->moved_ms = now_ms;
	if (f->silent && moved) {
		f->silent = false;
		return FLOW_AGAIN;
	}
	if (f->silent || limit_ms == 0 || now_ms - f->moved_ms < limit_ms)
		return FLOW_NOTHING;
	f->silent = true;
	return FLOW_SILENT;
}
