#include "common/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define IMAGE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define IMAGE_ALIGN 8

struct image_head { /* before each record's data, which is padded to 8 bytes */
	uint32_t kind, part;
	uint64_t number, batch, len;
};

_Static_assert(sizeof(struct image_head) == 32, "written as it is");

int
image_create(void)
{
	return memfd_create("tallyd-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static size_t
image_padding(size_t len)
{
	return (IMAGE_ALIGN - len % IMAGE_ALIGN) % IMAGE_ALIGN;
}

/* Step over what was written. Returns whether anything is left. */
static bool
image_advance(struct iovec *parts, unsigned count, size_t written)
{
	size_t left = 0;

	for (unsigned i = 0; i < count; i++) {
		size_t n = written < parts[i].iov_len ? written : parts[i].iov_len;
		parts[i].iov_base = (char *)parts[i].iov_base + n;
		parts[i].iov_len -= n;
		written -= n;
		left += parts[i].iov_len;
	}
	return left > 0;
}

int
image_put(int fd, const struct image_record *r)
{
	static const uint8_t zeros[IMAGE_ALIGN];
	struct image_head head = {.kind = r->kind,
				  .part = r->part,
				  .number = r->number,
				  .batch = r->batch,
				  .len = r->len};
	struct iovec parts[3] = {
	    {.iov_base = &head, .iov_len = sizeof(head)},
	    {.iov_base = (void *)(uintptr_t)r->data, .iov_len = r->len},
	    {.iov_base = (void *)(uintptr_t)zeros, .iov_len = image_padding(r->len)},
	};
	ssize_t n;

	do {
		n = writev(fd, parts, 3);
		if (n < 0 && errno != EINTR)
			return -1;
	} while (image_advance(parts, 3, n > 0 ? (size_t)n : 0));
	return 0;
}

int
image_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, IMAGE_SEALS) == -1 ? -1 : 0;
}

bool
image_is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
}

int
image_reset(int fd)
{
	return ftruncate(fd, 0) == -1 || lseek(fd, 0, SEEK_SET) == -1 ? -1 : 0;
}

int
image_open(struct image *image, int fd)
{
	struct stat st;
	void *bytes;

	*image = (struct image){.bytes = NULL};
	if (!image_is_sealed(fd)) {
		errno = EBADMSG;
		return -1;
	}
	if (fstat(fd, &st) == -1)
		return -1;
	if (st.st_size == 0)
		return 0;
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return -1;
	image->bytes = bytes;
	image->len = (size_t)st.st_size;
	return 0;
}

int
image_next(struct image *image, struct image_record *r)
{
	struct image_head head;
	size_t left = image->len - image->at;

	if (left == 0)
		return 0;
	if (left < sizeof(head))
		return -1;
	memcpy(&head, image->bytes + image->at, sizeof(head));
	left -= sizeof(head);
	if (head.kind > IMAGE_PART || head.len > left ||
	    image_padding(head.len) > left - (size_t)head.len)
		return -1;
	*r = (struct image_record){
	    .kind = (enum image_kind)head.kind,
	    .number = head.number,
	    .batch = head.batch,
	    .part = head.part,
	    .data = image->bytes + image->at + sizeof(head),
	    .len = head.len,
	};
	image->at += sizeof(head) + head.len + image_padding(head.len);
	return 1;
}

void
image_rewind(struct image *image)
{
	image->at = 0;
}

void
image_close(struct image *image)
{
	if (image->bytes != NULL)
		munmap((void *)(uintptr_t)image->bytes, image->len);
	*image = (struct image){.bytes = NULL};
}
