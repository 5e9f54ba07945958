#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/image.h"

Test(image, gives_back_what_was_put)
{
	struct image image;
	struct image_record r;
	size_t big = 300001;
	char *bytes = malloc(big);
	int fd = image_create();

	memset(bytes, 'x', big);
	cr_assert_eq(image_open(&image, fd), -1);
	cr_assert_eq(errno, EBADMSG);
	cr_assert_eq(image_put(fd, &(struct image_record){.kind = IMAGE_VIEW, .number = 9}), 0);
	cr_assert_eq(image_reset(fd), 0);
	cr_assert_eq(image_put(fd, &(struct image_record){.kind = IMAGE_VIEW, .number = 2}), 0);
	cr_assert_eq(image_put(fd, &(struct image_record){.kind = IMAGE_CHECKPOINT,
							  .number = 7,
							  .batch = 1234567890123,
							  .data = "{}",
							  .len = 2}),
		     0);
	for (uint32_t i = 0; i < 3; i++)
		cr_assert_eq(image_put(fd, &(struct image_record){.kind = IMAGE_PART,
								  .number = 7,
								  .part = i,
								  .data = bytes,
								  .len = big - i}),
			     0);
	cr_assert_not(image_is_sealed(fd));
	cr_assert_eq(image_seal(fd), 0);
	cr_assert(image_is_sealed(fd));
	cr_assert_eq(image_put(fd, &(struct image_record){.kind = IMAGE_VIEW}), -1);
	cr_assert_eq(image_open(&image, fd), 0);
	close(fd);
	for (int again = 0; again < 2; again++) {
		cr_assert_eq(image_next(&image, &r), 1);
		cr_assert(r.kind == IMAGE_VIEW && r.number == 2 && r.len == 0);
		cr_assert_eq(image_next(&image, &r), 1);
		cr_assert(r.kind == IMAGE_CHECKPOINT && r.number == 7 && r.batch == 1234567890123 &&
			  r.len == 2 && memcmp(r.data, "{}", 2) == 0);
		for (uint32_t i = 0; i < 3; i++) {
			cr_assert_eq(image_next(&image, &r), 1);
			cr_assert(r.kind == IMAGE_PART && r.part == i && r.len == big - i);
			cr_assert_eq(memcmp(r.data, bytes, r.len), 0);
		}
		cr_assert_eq(image_next(&image, &r), 0);
		image_rewind(&image);
	}
	image_close(&image);
	free(bytes);
}

Test(image, an_empty_one_has_no_records)
{
	struct image image;
	struct image_record r;
	int fd = image_create();

	cr_assert_eq(image_seal(fd), 0);
	cr_assert_eq(image_open(&image, fd), 0);
	cr_assert_eq(image_next(&image, &r), 0);
	image_close(&image);
	close(fd);
}

Test(image, a_record_that_is_cut_is_refused)
{
	struct image image;
	struct image_record r = {.kind = IMAGE_PART, .number = 1, .data = "12345678", .len = 8};
	int fd = image_create();

	cr_assert_eq(image_put(fd, &r), 0);
	cr_assert_eq(ftruncate(fd, 36), 0);
	cr_assert_eq(image_seal(fd), 0);
	cr_assert_eq(image_open(&image, fd), 0);
	cr_assert_eq(image_next(&image, &r), -1);
	image_close(&image);
	close(fd);
}
