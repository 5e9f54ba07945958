/* control.c - the runtime folder, the lock, and the control socket from both sides. */
#include "supervisor/control.h"

#include <bsd/libutil.h>
#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/stage.h"

#define LOCK_TRIES        100
#define LOCK_TRIES_ALIVE  10
#define LOCK_PAUSE_US     20000
#define CONTROL_CLIENT_MS 5000
#define CONTROL_CONNECT_S 10
#define CONTROL_NAME_MAX  48 /* bytes of a file name before ".sock": longer ones end in a hash */

static void
control_dir(char *dir, size_t size)
{
	const char *given = getenv("RUNTIME_DIRECTORY");
	const char *session = getenv("XDG_RUNTIME_DIR");
	if (given && *given) /* systemd may name several, with colons between */
		snprintf(dir, size, "%.*s", (int)strcspn(given, ":"), given);
	else if (session && *session)
		snprintf(dir, size, "%s/tallyd", session);
	else
		snprintf(dir, size, "/tmp/tallyd-%lu", (unsigned long)getuid());
}

/*
 * Nobody else may place anything there: /tmp belongs to all, and who may write could take our lock
 * or answer in our name. One that others may only look into is as systemd makes it.
 */
static int
control_make_dir(const char *dir)
{
	struct stat st;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		log_error("control.folder",
			  "cannot create the runtime folder %s: %s (set "
			  "RUNTIME_DIRECTORY to a folder of your own)",
			  dir, strerror(errno));
		return EXIT_DENIED;
	}
	if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
		log_error("control.folder",
			  "the runtime folder %s is not a folder of this user (set "
			  "RUNTIME_DIRECTORY to one)",
			  dir);
		return EXIT_DENIED;
	}
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		log_error("control.folder",
			  "others may write to the runtime folder %s (mode %04o): chmod 700 it, or "
			  "set RUNTIME_DIRECTORY to another",
			  dir, (unsigned)st.st_mode & 07777);
		return EXIT_DENIED;
	}
	return 0;
}

/* A file name for a pipeline's name: other bytes than [A-Za-z0-9_.-] become %XX. */
static void
control_encode(const char *name, char *buf, size_t size)
{
	uint64_t hash = 1469598103934665603u;
	size_t n = 0;
	for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
		hash = (hash ^ *c) * 1099511628211u;
		bool plain = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
			     (*c >= 'a' && *c <= 'z') || *c == '_' || *c == '-' ||
			     (*c == '.' && n > 0);
		if (n + 4 <= size)
			n += (size_t)snprintf(buf + n, size - n, plain ? "%c" : "%%%02X", *c);
		else
			n = size;
	}
	if (n > CONTROL_NAME_MAX)
		snprintf(buf + CONTROL_NAME_MAX - 17, size - (CONTROL_NAME_MAX - 17), "-%016llx",
			 (unsigned long long)hash);
}

/* False when the socket's path would be too long for the kernel. */
static bool
control_socket_path(const char *dir, const char *name, char *path)
{
	char file[2 * CONTROL_NAME_MAX];
	control_encode(name, file, sizeof file);
	int n = snprintf(path, CONTROL_PATH_MAX, "%s/%s.sock", dir, file);
	return n > 0 && (size_t)n < CONTROL_PATH_MAX;
}

/* NAME.sock -> NAME.lock */
static void
control_lock_path(const char *socket_path, char *path)
{
	strlcpy(path, socket_path, CONTROL_PATH_MAX);
	memcpy(path + strlen(path) - 4, "lock", 4);
}

/* The pid and the pipeline file that the owner of a lock wrote into it. */
static bool
control_read_lock(const char *lock_path, long *pid, char *file)
{
	char text[PATH_MAX + 32];
	int fd = open(lock_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	char *end;
	*pid = strtol(text, &end, 10);
	if (*end != '\n')
		return false;
	end[strcspn(end + 1, "\n") + 1] = '\0';
	strlcpy(file, end + 1, PATH_MAX);
	return true;
}

static void
control_write_lock(int fd, const char *file)
{
	char real[PATH_MAX];
	if (ftruncate(fd, 0) < 0 ||
	    dprintf(fd, "%ld\n%s\n", (long)getpid(), realpath(file, real) ? real : file) < 0)
		log_warn("control.lock", "cannot write the lock file: %s", strerror(errno));
}

/*
 * One that was killed in the instant between fork() and exec() leaves a child that still holds its
 * lock, and is about to die with it: worth a moment, when the one who took the lock is gone.
 */
static int
control_flopen(const char *path)
{
	char file[PATH_MAX];
	for (int tries = 0;; tries++) {
		long pid = 0;
		int fd = flopen(path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW,
				(mode_t)0600);
		if (fd >= 0 || errno != EWOULDBLOCK || tries == LOCK_TRIES)
			return fd;
		control_read_lock(path, &pid, file);
		bool gone = pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
		if (!gone && tries >= LOCK_TRIES_ALIVE) { /* or killed and not reaped yet */
			errno = EWOULDBLOCK;
			return -1;
		}
		usleep(LOCK_PAUSE_US);
	}
}

static int
control_lock(struct control *c, const char *pipeline, const char *file)
{
	char path[CONTROL_PATH_MAX], other[PATH_MAX];
	long pid = 0;
	control_lock_path(c->socket_path, path);
	c->lock_fd = control_flopen(path);
	if (c->lock_fd >= 0) {
		control_write_lock(c->lock_fd, file);
		return 0;
	}
	if (errno != EWOULDBLOCK) {
		log_error("control.lock", "cannot lock %s: %s", path, strerror(errno));
		return EXIT_DENIED;
	}
	control_read_lock(path, &pid, other);
	log_error("control.lock",
		  "another tallyd runs this pipeline here (pid %ld, pipeline \"%s\")", pid,
		  pipeline);
	return EXIT_TEMPORARY;
}

static bool
control_address(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	return strlcpy(address->sun_path, path, CONTROL_PATH_MAX) < CONTROL_PATH_MAX;
}

static int
control_listen(struct control *c)
{
	struct sockaddr_un address;
	unlink(c->socket_path); /* of one that was killed: the lock is ours */
	c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0177); /* whoever may write to the socket may ask */
	bool bound = c->listen_fd >= 0 && control_address(c->socket_path, &address) &&
		     bind(c->listen_fd, (struct sockaddr *)&address, sizeof address) == 0;
	umask(mask);
	if (bound && listen(c->listen_fd, CONTROL_CLIENTS_MAX) == 0)
		return 0;
	log_error("control.socket", "cannot listen at %s: %s", c->socket_path, strerror(errno));
	return EXIT_DENIED;
}

int
control_open(struct control *c, const char *pipeline, const char *file)
{
	char dir[PATH_MAX];
	memset(c, 0, sizeof *c);
	c->lock_fd = c->listen_fd = -1;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		c->clients[i].fd = -1;
	control_dir(dir, sizeof dir);
	if (!control_socket_path(dir, pipeline, c->socket_path)) {
		c->socket_path[0] = '\0';
		log_error("control.folder",
			  "the path of the runtime folder %s is too long for a "
			  "socket (set RUNTIME_DIRECTORY to a shorter one)",
			  dir);
		return EXIT_CONFIG;
	}
	int code = control_make_dir(dir);
	if (code == 0)
		code = control_lock(c, pipeline, file);
	if (code == 0)
		code = control_listen(c);
	return code;
}

static void
control_drop(struct control_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	free(client->answer);
	memset(client, 0, sizeof *client);
	client->fd = -1;
}

void
control_close(struct control *c)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control_drop(&c->clients[i]);
	if (c->listen_fd >= 0) {
		unlink(c->socket_path);
		close(c->listen_fd);
	}
	/* The lock file stays: removing it would let two hold "the" lock, on two files. */
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	c->listen_fd = c->lock_fd = -1;
}

unsigned
control_poll_fds(const struct control *c, struct pollfd *fds)
{
	unsigned n = 0;
	fds[n++] = (struct pollfd){.fd = c->listen_fd, .events = POLLIN};
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		const struct control_client *client = &c->clients[i];
		if (client->fd >= 0)
			fds[n++] = (struct pollfd){.fd = client->fd,
						   .events = client->waiting  ? 0
							     : client->answer ? POLLOUT
									      : POLLIN};
	}
	return n;
}

static void
control_accept(struct control *c, int64_t now_ms)
{
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &c->clients[i];
		if (client->fd >= 0)
			continue;
		client->fd = fd;
		client->deadline_ms = now_ms + CONTROL_CLIENT_MS;
		return;
	}
	close(fd);
}

static void
control_give(struct control_client *client, int code, const char *text, int64_t now_ms)
{
	client->waiting = false;
	client->deadline_ms = now_ms + CONTROL_CLIENT_MS;
	client->answer = xasprintf("%d\n%s", code, text);
	client->answer_len = strlen(client->answer);
}

void
control_answer_waiting(struct control *c, int code, const char *text)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (c->clients[i].fd >= 0 && c->clients[i].waiting)
			control_give(&c->clients[i], code, text, clock_monotonic_ms());
}

static void
control_reply(struct control_client *client, control_answer *answer, void *context, int64_t now_ms)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = xmemstream(&text, &len);
	int code = answer(context, client->request, out);
	fclose(out);
	if (code == CONTROL_LATER) {
		client->waiting = true;
		client->deadline_ms = INT64_MAX; /* a replay may take hours */
	} else {
		control_give(client, code, text, now_ms);
	}
	free(text);
}

static void
control_read(struct control_client *client, control_answer *answer, void *context, int64_t now_ms)
{
	size_t room = sizeof client->request - 1 - client->have;
	ssize_t n = recv(client->fd, client->request + client->have, room, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* gone, or a line longer than any of ours */
		control_drop(client);
		return;
	}
	client->have += (size_t)n;
	client->request[client->have] = '\0';
	char *end = strchr(client->request, '\n');
	if (!end)
		return;
	*end = '\0';
	control_reply(client, answer, context, now_ms);
}

static void
control_write(struct control_client *client)
{
	ssize_t n = send(client->fd, client->answer + client->sent,
			 client->answer_len - client->sent, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		client->sent += (size_t)n;
	if (n <= 0 || client->sent == client->answer_len)
		control_drop(client);
}

static short
control_revents(const struct pollfd *fds, unsigned count, int fd)
{
	for (unsigned i = 0; i < count; i++)
		if (fds[i].fd == fd)
			return fds[i].revents;
	return 0;
}

void
control_serve(struct control *c, const struct pollfd *fds, unsigned count, control_answer *answer,
	      void *context, int64_t now_ms)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &c->clients[i];
		if (client->fd < 0)
			continue;
		if (now_ms >= client->deadline_ms) {
			control_drop(client);
			continue;
		}
		short revents = control_revents(fds, count, client->fd);
		if (revents == 0)
			continue;
		if (client->waiting) { /* it has nothing more to say, so it has gone */
			control_drop(client);
			continue;
		}
		if (!client->answer)
			control_read(client, answer, context, now_ms);
		if (client->answer)
			control_write(client);
	}
	if (c->listen_fd >= 0 && control_revents(fds, count, c->listen_fd))
		control_accept(c, now_ms);
}

int64_t
control_deadline(const struct control *c)
{
	int64_t first = INT64_MAX;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (c->clients[i].fd >= 0 && c->clients[i].deadline_ms < first)
			first = c->clients[i].deadline_ms;
	return first;
}

/* -1 when nobody listens there. */
static int
control_connect(const char *path)
{
	struct sockaddr_un address;
	struct timeval limit = {.tv_sec = CONTROL_CONNECT_S};
	if (!control_address(path, &address))
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

/*
 * The live sockets of the folder: all of them (real NULL), or the one that runs the file `real`.
 * Connects to the first that fits and counts the rest; their names are listed on `names`.
 */
static int
control_scan(const char *dir, const char *real, unsigned *count, FILE *names)
{
	int found = -1;
	DIR *d = opendir(dir);
	*count = 0;
	for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
		char path[CONTROL_PATH_MAX], lock[CONTROL_PATH_MAX], file[PATH_MAX];
		size_t len = strlen(e->d_name);
		long pid;
		if (len < 6 || strcmp(e->d_name + len - 5, ".sock") != 0)
			continue;
		if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, e->d_name) >= sizeof path)
			continue;
		control_lock_path(path, lock);
		if (real && (!control_read_lock(lock, &pid, file) || strcmp(file, real) != 0))
			continue;
		int fd = control_connect(path);
		if (fd < 0)
			continue;
		fprintf(names, " %.*s", (int)(len - 5), e->d_name);
		if ((*count)++ == 0)
			found = fd;
		else
			close(fd);
	}
	if (d)
		closedir(d);
	return found;
}

/* A connection to the tallyd that is meant, or -1 with *code and a sentence on `errors`. */
static int
control_select(const char *which, int *code, FILE *errors)
{
	char dir[PATH_MAX], path[CONTROL_PATH_MAX], real[PATH_MAX];
	char *names = NULL;
	size_t names_len;
	unsigned count = 0;
	int fd = -1;
	control_dir(dir, sizeof dir);
	if (which && control_socket_path(dir, which, path) && (fd = control_connect(path)) >= 0)
		return fd;
	FILE *list = xmemstream(&names, &names_len);
	if (!which || realpath(which, real))
		fd = control_scan(dir, which ? real : NULL, &count, list);
	fclose(list);
	*code = EXIT_UNAVAILABLE;
	if (count == 0 && which)
		fprintf(errors, "tallyd: no running tallyd for \"%s\" in %s\n", which, dir);
	else if (count == 0)
		fprintf(errors, "tallyd: no running tallyd in %s\n", dir);
	if (count > 1 && !which) {
		fprintf(errors, "tallyd: several are running, name one of:%s\n", names);
		close(fd);
		fd = -1;
		*code = EXIT_USAGE;
	}
	free(names);
	return fd;
}

bool
control_is_running(const char *which)
{
	int code;
	FILE *nowhere = fopen("/dev/null", "we");
	int fd = nowhere ? control_select(which, &code, nowhere) : -1;
	if (nowhere)
		fclose(nowhere);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int
control_ask(const char *which, const char *request, unsigned limit_s, FILE *out)
{
	int code = EXIT_UNAVAILABLE;
	int fd = control_select(which, &code, stderr);
	struct timeval limit = {.tv_sec = limit_s};
	if (fd < 0)
		return code;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	FILE *answer = fdopen(fd, "r");
	if (!answer || dprintf(fd, "%s\n", request) < 0 ||
	    fscanf(answer, "%d%*1[\n]", &code) != 1) {
		fprintf(stderr, "tallyd: the running tallyd did not answer: %s\n", strerror(errno));
		code = EXIT_UNAVAILABLE;
	} else {
		char buf[4096];
		for (size_t n; (n = fread(buf, 1, sizeof buf, answer)) > 0;)
			fwrite(buf, 1, n, out);
	}
	if (answer)
		fclose(answer);
	else
		close(fd);
	return code;
}
