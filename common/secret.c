#include "common/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void
secret_seal_process(void)
{
	if (getenv("TALLYD_CORE") == NULL)
		prctl(PR_SET_DUMPABLE, 0);
}

/* Up to the end of the line, of the file or of the room. False with errno. */
static bool
read_some(int fd, char *buf, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size && memchr(buf, '\n', *len) == NULL) {
		ssize_t n = read(fd, buf + *len, size - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	return true;
}

bool
secret_read_line(const char *path, char *buf, size_t size)
{
	size_t len;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool good = read_some(fd, buf, size, &len);
	int saved = errno;
	close(fd);
	errno = saved;
	if (!good)
		return false;
	if (len == size && memchr(buf, '\n', len) == NULL) {
		errno = EMSGSIZE;
		return false;
	}
	if (len < size)
		buf[len] = '\0';
	buf[strcspn(buf, "\r\n")] = '\0';
	return true;
}

/* Put '*' in place of the bytes from..to. */
static void
mask(char *from, char *to)
{
	if (to - from < 1)
		return;
	*from = '*';
	memmove(from + 1, to, strlen(to) + 1);
}

void
secret_mask(char *text)
{
	static const char ends[] = " \t\"',;&";
	for (char *s = text; (s = strstr(s, "://")) != NULL;) {
		char *at;
		s += 3;
		/* A password that holds one itself ends at the last of the word. */
		size_t len = strcspn(s, " \t\"'");
		for (at = s + len; at > s && *at != '@';)
			at--;
		if (at > s)
			mask(s, at);
	}
	for (char *s = text; (s = strcasestr(s, "password")) != NULL;) {
		s += 8;
		s += strspn(s, " ");
		if (*s != '=')
			continue;
		s += 1 + strspn(s + 1, " ");
		bool quoted = *s == '\'';
		char *end = s + quoted + strcspn(s + quoted, quoted ? "'" : ends);
		mask(s, end + (quoted && *end != '\0'));
	}
}
