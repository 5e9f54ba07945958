/*
 * handover.h - what the target knows, handed to reduce: the image of a full recovery (image.h).
 */
#ifndef EGRESS_HANDOVER_H
#define EGRESS_HANDOVER_H

#include "egress/inspect.h"

struct target;

/*
 * In the transaction of a take-over, after its UPDATE: delete the parts of an unfinished
 * checkpoint, then fill and seal the image. Streams: memory is that of one part. From then on only
 * that very take-over may count, so the target is `taken`: if its COMMIT's answer is lost, the row
 * must have our owner, or a full recovery follows. INSPECT_REFUSED: what stands in the pipeline's
 * row cannot be, and was reported.
 */
enum inspect_result handover_write(struct target *);

/* The image is done, or not ours to write. */
void handover_close(struct target *);

#endif
