/*
 * main.c - sim [--jobs N] [FIRST COUNT]       run seeds; default 1 100000
 *          sim --seed SEED [--without LIST] [--trace]    one of them, with parts of its plan left out
 *
 * Seeds run in child processes, so that a crash, a hang or a leak is a failure of its seed like any
 * other. The first failing seeds are shrunk: parts of the plan are left out as long as it still
 * fails in the same way. Ends with a line "N passed, N failed".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/sim/sim.h"

enum {
	JOBS_MAX = 16,
	BLOCK = 500, /* seeds of one child process */
	TWICE = 50,  /* every so often a seed is run twice: the same must come out */
	SEED_SECONDS = 20,
	FAILURES_MAX = 5, /* shrunk and shown */
	PARTS_MAX = SIM_SERVERS * SIM_ITEMS + SIM_STEPS,
};

struct report { /* in memory that all processes share: what a child came to */
	uint64_t seed, digest, passed;
	unsigned failure, step;
	char text[512];
	struct totals totals;
};

static struct report *report; /* this process's */
static struct world world;

_Noreturn void
sim_fail(enum failure failure, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(report->text, sizeof(report->text), fmt, args);
	va_end(args);
	report->failure = failure;
	report->step = world.step;
	fflush(stdout);
	_exit(1);
}

static uint64_t
seed_run(uint64_t seed)
{
	report->seed = seed;
	alarm(SEED_SECONDS);
	plan_make(&world.plan, seed);
	world_run(&world);
	return world.digest;
}

static _Noreturn void
block_run(uint64_t first, uint64_t last)
{
	world_init(&world);
	for (uint64_t seed = first; seed < last; seed++) {
		uint64_t digest = seed_run(seed);
		if (seed % TWICE == 0 && seed_run(seed) != digest)
			sim_fail(FAILURE_DIGEST, "run again it does something else");
		report->passed++;
	}
	report->totals = world.totals;
	_exit(0);
}

/* What a child's end means, where it did not say so itself. */
static void
report_end(struct report *r, int status)
{
	if (r->failure != FAILURE_NONE || status == 0)
		return;
	r->failure =
	    WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? FAILURE_HANG : FAILURE_CRASH;
	if (WIFSIGNALED(status))
		snprintf(r->text, sizeof(r->text), "killed by signal %d", WTERMSIG(status));
	else
		snprintf(r->text, sizeof(r->text), "ended with code %d", WEXITSTATUS(status));
}

/* --- one plan, and shrinking it --- */

static bool without[PARTS_MAX];

/* In a child of its own. Returns how it failed, if it did. */
static unsigned
plan_try(uint64_t seed, bool trace)
{
	int status;
	*report = (struct report){.seed = seed};
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		world_init(&world);
		world.trace = trace;
		plan_make(&world.plan, seed);
		for (unsigned i = 0; i < plan_parts(&world.plan); i++)
			plan_part(&world.plan, i)->dropped = without[i];
		if (trace)
			plan_print(&world.plan);
		alarm(SEED_SECONDS);
		world_run(&world);
		report->digest = world.digest;
		fflush(stdout);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	report_end(report, status);
	return report->failure;
}

static void
without_print(unsigned parts)
{
	const char *comma = "";
	for (unsigned i = 0; i < parts; i++) {
		unsigned last = i;
		if (!without[i])
			continue;
		while (last + 1 < parts && without[last + 1])
			last++;
		printf(last > i ? "%s%u-%u" : "%s%u", comma, i, last);
		comma = ",";
		i = last;
	}
}

static bool
without_read(const char *list)
{
	char *end;
	while (*list != '\0') {
		unsigned long first = strtoul(list, &end, 10), last = first;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (end == list || last >= PARTS_MAX)
			return false;
		for (; first <= last; first++)
			without[first] = true;
		list = *end == ',' ? end + 1 : end;
		if (*end != '\0' && *end != ',')
			return false;
	}
	return true;
}

/* Leave out runs of parts, long ones first, as long as it fails in the same way. */
static unsigned
plan_shrink(uint64_t seed, unsigned failure, unsigned parts)
{
	unsigned left = parts;
	for (unsigned size = parts / 2; size > 0; size = size / 2) {
		for (unsigned at = 0; at < parts; at += size) {
			bool before[PARTS_MAX];
			unsigned dropped = 0;
			memcpy(before, without, sizeof(before));
			for (unsigned i = at; i < parts && i < at + size; i++) {
				dropped += !without[i];
				without[i] = true;
			}
			if (dropped > 0 && plan_try(seed, false) == failure)
				left -= dropped;
			else
				memcpy(without, before, sizeof(before));
		}
	}
	return left;
}

static void
failure_show(const char *program, const struct report *failed)
{
	struct plan plan;
	plan_make(&plan, failed->seed);
	unsigned parts = plan_parts(&plan);
	memset(without, 0, sizeof(without));
	printf("FAIL seed %" PRIu64 ", step %u of %u: %s\n", failed->seed, failed->step, plan.steps,
	       failed->text);
	if (plan_try(failed->seed, false) != failed->failure) {
		printf("not again when run alone (%s)\n",
		       report->failure != FAILURE_NONE ? report->text : "it passes");
		return;
	}
	unsigned left = plan_shrink(failed->seed, failed->failure, parts);
	(void)plan_try(failed->seed, false);
	printf("  %u of its %u parts are enough: %s\n  %s --trace --seed %" PRIu64 " --without ",
	       left, parts, report->text, program, failed->seed);
	without_print(parts);
	printf("\n");
}

static int
one_run(uint64_t seed, bool trace)
{
	if (plan_try(seed, trace) == FAILURE_NONE) {
		printf("seed %" PRIu64 " passes, digest %016" PRIx64 "\n", seed, report->digest);
		return 0;
	}
	printf("seed %" PRIu64 " fails: %s\n", seed, report->text);
	return 1;
}

/* --- all of them --- */

static void
totals_add(struct totals *sum, const struct totals *one)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)one;
	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

static void
totals_print(const struct totals *t)
{
	printf("commits %" PRIu64 " (%" PRIu64 " rows), full recoveries %" PRIu64
	       ", replays looked into %" PRIu64 "\ncheckpoints %" PRIu64 ", loaded %" PRIu64
	       "; letters %" PRIu64 "\nconnector: killed %" PRIu64 ", snapshots %" PRIu64
	       "; repeats dropped %" PRIu64 ", torn %" PRIu64 ", late %" PRIu64 ", gaps %" PRIu64
	       "\n",
	       t->commits, t->rows, t->recoveries, t->shadows, t->checkpoints, t->loads, t->letters,
	       t->connector_kills, t->snapshots, t->repeats, t->torn, t->late, t->gaps);
	for (unsigned i = STEP_KILL_INGEST; i < STEP_KINDS; i++)
		printf("%s%s %" PRIu64, i > STEP_KILL_INGEST ? ", " : "faults: ", plan_step_name(i),
		       t->faults[i]);
	printf("\n");
}

struct runner {
	struct report *reports; /* shared, one for each job */
	pid_t pids[JOBS_MAX];
	uint64_t ends[JOBS_MAX]; /* of the blocks that run */
	struct report failures[FAILURES_MAX];
	unsigned failed;
	uint64_t passed;
	struct totals totals;
};

static void
runner_start(struct runner *r, unsigned job, uint64_t first, uint64_t end)
{
	r->reports[job] = (struct report){.seed = first};
	r->ends[job] = end;
	fflush(stdout);
	r->pids[job] = fork();
	if (r->pids[job] == 0) {
		report = &r->reports[job];
		block_run(first, end);
	}
}

/* A block that failed goes on behind the seed that did. Returns the job that is free. */
static unsigned
runner_reap(struct runner *r, unsigned jobs)
{
	int status;
	unsigned job = 0;
	pid_t pid;
	do
		pid = wait(&status);
	while (pid == -1 && errno == EINTR);
	while (job < jobs && r->pids[job] != pid)
		job++;
	struct report *one = &r->reports[job];
	r->pids[job] = 0;
	report_end(one, status);
	r->passed += one->passed;
	totals_add(&r->totals, &one->totals);
	if (one->failure == FAILURE_NONE)
		return job;
	if (r->failed < FAILURES_MAX)
		r->failures[r->failed] = *one;
	if (++r->failed < 100 && one->seed + 1 < r->ends[job])
		runner_start(r, job, one->seed + 1, r->ends[job]);
	return job;
}

static int
all_run(const char *program, unsigned jobs, uint64_t first, uint64_t count)
{
	static struct runner r;
	uint64_t next = first, end = first + count;
	unsigned running = 0;
	r.reports = mmap(NULL, JOBS_MAX * sizeof(*r.reports), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (unsigned job = 0; job < jobs && next < end; job++, running++) {
		uint64_t to = next + BLOCK < end ? next + BLOCK : end;
		runner_start(&r, job, next, to);
		next = to;
	}
	while (running > 0) {
		unsigned job = runner_reap(&r, jobs);
		if (r.pids[job] != 0)
			continue;
		if (next >= end || r.failed >= 100) {
			running--;
			continue;
		}
		uint64_t to = next + BLOCK < end ? next + BLOCK : end;
		runner_start(&r, job, next, to);
		next = to;
	}
	totals_print(&r.totals);
	for (unsigned i = 0; i < r.failed && i < FAILURES_MAX; i++)
		failure_show(program, &r.failures[i]);
	printf("%" PRIu64 " passed, %u failed\n", r.passed, r.failed);
	return r.failed > 0;
}

static uint64_t
number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);
	if (*text == '\0' || *end != '\0') {
		fprintf(stderr, "not a number: %s\n", text);
		exit(64);
	}
	return n;
}

int
main(int argc, char **argv)
{
	uint64_t range[2] = {1, 100000}, seed = 0;
	unsigned numbers = 0, jobs = 2;
	bool trace = false, one = false;
	report =
	    mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			trace = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			one = true, seed = number(argv[++i]);
		else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc)
			jobs = (unsigned)number(argv[++i]);
		else if (strcmp(argv[i], "--without") == 0 && i + 1 < argc &&
			 without_read(argv[i + 1]))
			i++;
		else if (argv[i][0] != '-' && numbers < 2)
			range[numbers++] = number(argv[i]);
		else
			return fprintf(stderr, "see the head of tests/sim/main.c\n"), 64;
	}
	if (one)
		return one_run(seed, trace);
	return all_run(argv[0],
		       jobs < 1          ? 1
		       : jobs > JOBS_MAX ? JOBS_MAX
					 : jobs,
		       range[0], range[1]);
}
