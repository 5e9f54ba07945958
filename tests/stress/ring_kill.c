/*
 * ring_kill - either side of a ring is killed by SIGKILL again and again; its successor goes on
 * from position and token.
 *
 * The producer's token is the next number it will write. The consumer's token is the count and the
 * sum of what it has read, so state and position are committed together. At the end every number
 * must have been read exactly once: count and sum are exact, and no record may ever be out of
 * order. Half of the deaths fall at random instants; the other half exactly between the writing of
 * a token and the store that publishes it, or right after that store (fault.h).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bsd/stdlib.h>

#include "common/ring.h"

static struct ring_fds fds;
static bool faults = true;
static volatile uint64_t *stop; /* shared: the producer ends at its next commit */

struct tally {
	uint64_t count, sum;
};

static void
ring_wait(struct ring *r, size_t room)
{
	struct pollfd p = {.fd = ring_fd(r), .events = POLLIN};

	if (ring_sleep(r, room))
		poll(&p, 1, 1000);
	ring_awake(r);
}

_Noreturn static void
producer_main(void)
{
	struct ring r;
	uint64_t next = 0;
	uint8_t *room;

	if (ring_attach(&r, &fds, RING_PRODUCER) == -1)
		_exit(1);
	ring_token(&r, &next, sizeof(next));
	for (;;) {
		size_t len = 8 + (size_t)(next * 2654435761u % 300);

		if ((room = ring_reserve(&r, len)) == NULL) {
			ring_commit(&r, &next, sizeof(next));
			ring_wait(&r, len + 16);
			continue;
		}
		memset(room, (int)(next & 0x7f), len);
		memcpy(room, &next, sizeof(next));
		ring_append(&r, len, 1, 0);
		next++;
		if (next % 19 == 0) {
			ring_commit(&r, &next, sizeof(next));
			if (*stop != 0)
				_exit(0);
		}
	}
}

_Noreturn static void
consumer_main(void)
{
	struct tally t = {0, 0};
	struct ring_record rec;
	struct ring r;
	uint64_t number;
	int n;

	if (ring_attach(&r, &fds, RING_CONSUMER) == -1)
		_exit(1);
	ring_token(&r, &t, sizeof(t));
	for (;;) {
		n = ring_next(&r, &rec);
		if (n == -1)
			_exit(2);
		if (n == 0) {
			ring_commit(&r, &t, sizeof(t));
			if (*stop == 2)
				_exit(0);
			ring_wait(&r, 0);
			continue;
		}
		memcpy(&number, rec.data, sizeof(number));
		if (number != t.count || (rec.len > 8 && rec.data[rec.len - 1] != (number & 0x7f)))
			_exit(3);
		t.count++;
		t.sum += number;
		if (t.count % 23 == 0)
			ring_commit(&r, &t, sizeof(t));
	}
}

/* Every second life ends at a fault point, within its first hundred commits. */
static void
arm_fault(void)
{
	const char *point = rand() % 2 == 0 ? "before" : "after";
	char rule[64];

	snprintf(rule, sizeof(rule), "ring.%s_commit:%d:kill", point, 1 + rand() % 100);
	if (faults && rand() % 2 == 0)
		setenv("TALLYD_FAULT", rule, 1);
	else
		unsetenv("TALLYD_FAULT");
}

static pid_t
start(enum ring_end end)
{
	pid_t pid;

	arm_fault();
	pid = fork();
	if (pid == 0) {
		alarm(
		    60); /* a successor that waits for ever is a failure, not a hang of the test */
		if (end == RING_PRODUCER)
			producer_main();
		consumer_main();
	}
	return pid;
}

int
main(int argc, char **argv)
{
	unsigned kills = argc > 1 ? (unsigned)strtonum(argv[1], 1, 1000000, NULL) : 400, bad = 0;
	pid_t pid[2];
	int status;
	struct ring end;
	uint64_t written = 0;
	struct tally read_ = {0, 0};

	stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stop == MAP_FAILED || ring_create(&fds, RING_BYTES_MIN) == -1) {
		perror("ring");
		return 1;
	}
	srand(7);
	pid[0] = start(RING_PRODUCER);
	pid[1] = start(RING_CONSUMER);
	for (unsigned i = 0; i < kills && bad == 0; i++) {
		int victim = rand() % 2;
		struct timespec t = {0, 200000 + rand() % 3000000};

		nanosleep(&t, NULL);
		kill(pid[victim], SIGKILL);
		waitpid(pid[victim], &status, 0);
		if (!WIFSIGNALED(status))
			bad++;
		pid[victim] = start(victim == 0 ? RING_PRODUCER : RING_CONSUMER);
		ring_wake_both(&fds);
	}
	faults = false; /* the last two lives end by themselves */
	for (int i = 0; i < 2; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], &status, 0);
		pid[i] = start(i == 0 ? RING_PRODUCER : RING_CONSUMER);
	}
	*stop = 1;
	ring_wake_both(&fds);
	waitpid(pid[0], &status, 0);
	bad += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	*stop = 2;
	ring_wake_both(&fds);
	waitpid(pid[1], &status, 0);
	bad += !WIFEXITED(status) || WEXITSTATUS(status) != 0;

	if (ring_attach(&end, &fds, RING_PRODUCER) == 0)
		ring_token(&end, &written, sizeof(written));
	ring_detach(&end);
	if (ring_attach(&end, &fds, RING_CONSUMER) == 0)
		ring_token(&end, &read_, sizeof(read_));
	bad +=
	    written < kills || read_.count != written || read_.sum != written * (written - 1) / 2;
	printf("ring_kill: %u kills, %llu written, %llu read, %s\n", kills,
	       (unsigned long long)written, (unsigned long long)read_.count,
	       bad == 0 ? "sum exact" : "WRONG");
	printf("%d passed, %d failed\n", bad == 0, bad != 0);
	return bad != 0;
}
