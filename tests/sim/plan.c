#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

uint64_t
sim_mix(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t x = *state;
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t
sim_random(uint64_t *state, uint64_t below)
{
	return sim_mix(state) % below;
}

static const struct {
	const char *name;
	unsigned weight, slow_weight;
} steps[STEP_KINDS] = {
    [STEP_ROUND] = {"round", 300, 300},
    [STEP_APPEAR] = {"appear", 60, 60},
    [STEP_INGEST] = {"ingest", 120, 120},
    [STEP_PUBLISH] = {"publish", 50, 50},
    [STEP_REDUCE] = {"reduce", 120, 120},
    [STEP_EMIT] = {"emit", 80, 80},
    [STEP_EGRESS] = {"egress", 80, 80},
    [STEP_TIME] = {"time", 50, 50},
    [STEP_QUIET] = {"quiet", 8, 8},
    [STEP_JUMP] = {"jump", 0, 40},
    [STEP_KILL_INGEST] = {"kill ingest", 30, 30},
    [STEP_KILL_REDUCE] = {"kill reduce", 12, 12},
    [STEP_KILL_EGRESS] = {"kill egress", 20, 20},
    [STEP_LOST_ANSWER] = {"lost answer", 20, 20},
    [STEP_REWIND] = {"rewind", 10, 10},
    [STEP_SHADOW] = {"shadow", 8, 8},
};

static unsigned
step_draw(uint64_t *random, bool slow)
{
	unsigned total = 0, kind = 0;
	for (unsigned i = 0; i < STEP_KINDS; i++)
		total += slow ? steps[i].slow_weight : steps[i].weight;
	unsigned at = (unsigned)sim_random(random, total);
	for (;; kind++) {
		unsigned weight = slow ? steps[kind].slow_weight : steps[kind].weight;
		if (at < weight)
			return kind;
		at -= weight;
	}
}

static void
server_draw(struct plan *p, struct plan_server *s, uint64_t *random)
{
	unsigned logs = 0, repeats = (unsigned)sim_random(random, 3);
	for (unsigned t = 0; t < SIM_TABLES; t++) {
		s->partitions[t] = s->tables >> t & 1 ? 1 + (unsigned)sim_random(random, 3) : 0;
		if (s->partitions[t] == 3)
			s->partitions[t] = p->servers == 1 ? 2 : SIM_LOGS;
		if (sim_random(random, 3) == 0 && s->partitions[t] > 1)
			s->partitions[t] = 1;
		logs += s->partitions[t];
	}
	s->mode = sim_random(random, 3) > 0 ? ORDER_METADATA
		  : logs == 1               ? ORDER_SEQUENCE
					    : ORDER_NONE;
	s->old = sim_random(random, 5) == 0;
	s->starts_bare = sim_random(random, 4) == 0;
	s->count = 2 + (unsigned)sim_random(random, SIM_ITEMS - 2);
	for (unsigned i = 0; i < s->count; i++) {
		unsigned r = (unsigned)sim_random(random, 24);
		s->item[i] = (struct plan_part){.kind = ITEM_TRANSACTION, .raw = sim_mix(random)};
		if (r == 0)
			s->item[i].kind = ITEM_SNAPSHOT;
		else if (r <= 2 * repeats)
			s->item[i].kind = ITEM_KILL;
	}
}

void
plan_make(struct plan *p, uint64_t seed)
{
	uint64_t random = seed;
	memset(p, 0, sizeof(*p));
	p->seed = seed;
	p->slow = sim_random(&random, 6) == 0;
	p->servers = sim_random(&random, 3) == 0 ? 2 : 1;
	p->out_bytes = sim_random(&random, 3) == 0 ? 8192 : RING_BYTES_MIN;
	p->autocommit_ms = p->slow ? 100 : 100000;
	p->commit_interval_ms = sim_random(&random, 3) == 0 ? 20 : 0;
	p->checkpoint_interval_ms = 1 + (int64_t)sim_random(&random, 60);
	for (unsigned i = 0; i < p->servers; i++) {
		p->server[i].tables = p->servers == 1 ? 3 : 1u << i;
		server_draw(p, &p->server[i], &random);
	}
	/* So small that a batch stops between two rows; but a position must fit into half of it. */
	unsigned logs = 0;
	for (unsigned i = 0; i < p->servers; i++)
		logs += p->server[i].partitions[0] + p->server[i].partitions[1];
	if (p->out_bytes < RING_BYTES_MIN && logs <= 4)
		p->out_bytes = 4096;
	p->steps = 20 + (unsigned)sim_random(&random, SIM_STEPS - 20);
	for (unsigned i = 0; i < p->steps; i++) {
		p->step[i].kind = step_draw(&random, p->slow);
		p->step[i].raw = sim_mix(&random);
	}
}

unsigned
plan_parts(const struct plan *p)
{
	return p->server[0].count + p->server[1].count + p->steps;
}

struct plan_part *
plan_part(struct plan *p, unsigned i)
{
	for (unsigned s = 0; s < SIM_SERVERS; s++) {
		if (i < p->server[s].count)
			return &p->server[s].item[i];
		i -= p->server[s].count;
	}
	return &p->step[i];
}

const char *
plan_step_name(unsigned kind)
{
	return steps[kind].name;
}

void
plan_print(const struct plan *p)
{
	static const char *const modes[] = {"none", "sequence", "metadata"};
	printf("seed %" PRIu64 ": %s, %u server%s, ring %zu, autocommit %" PRId64 " ms, interval "
	       "%" PRId64 " ms\n",
	       p->seed, p->slow ? "slow" : "prompt", p->servers, p->servers == 1 ? "" : "s",
	       p->out_bytes, p->autocommit_ms, p->commit_interval_ms);
	for (unsigned i = 0; i < p->servers; i++) {
		const struct plan_server *s = &p->server[i];
		printf("server %u: mode %s%s, partitions %u keyed, %u keyless%s\n", i,
		       modes[s->mode], s->old ? ", connector 3.4" : "", s->partitions[0],
		       s->partitions[1], s->starts_bare ? ", no snapshot first" : "");
	}
}
