/*
 * image.h - what the target knows of the pipeline, handed from egress to reduce in a full recovery.
 *
 * The supervisor makes an empty memfd for each full recovery. Egress fills it in the transaction of
 * its take-over and seals it before it says READY; reduce, started after that, reads it, and both
 * close it: its memory is as large as the stored checkpoint. An egress that is replaced alone finds
 * it sealed and leaves it alone. The order of records: VIEWs, then CHECKPOINT if there is one, then
 * its PARTs in rising (number, part).
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_kind {
	IMAGE_VIEW,       /* number: index of a view that the target knows */
	IMAGE_CHECKPOINT, /* number; batch whose state it is; data: position, JSON text */
	IMAGE_PART,       /* number, part; data */
};

struct image_record {
	enum image_kind kind;
	uint64_t number, batch;
	uint32_t part;
	const void *data; /* reader: borrows the mapping until image_close() */
	size_t len;
};

/* Supervisor: an empty image, close-on-exec. -1 with errno. */
int image_create(void);

/* Egress: append a record. It is on its way at once; 0, or -1 with errno. May write megabytes. */
int image_put(int fd, const struct image_record *);

/* Egress: nothing more will come. 0, or -1 with errno. is_sealed: an earlier egress has said so. */
int image_seal(int fd);
bool image_is_sealed(int fd);

/*
 * Egress, whose take-over is tried again on a new connection: begin anew. 0, or -1 with errno.
 */
int image_reset(int fd);

struct image { /* reader */
	const uint8_t *bytes;
	size_t len, at;
};

/* Reduce. 0, or -1 with errno (EBADMSG: not sealed). Closes nothing. */
int image_open(struct image *, int fd);

/* The next record: 1; 0 at the end; -1 when it is not well formed. */
int image_next(struct image *, struct image_record *);
void image_rewind(struct image *);
void image_close(struct image *);

#endif
