/*
 * inexact.h - what a target column may lose of the results that go into it. Pure.
 */
#ifndef EGRESS_INEXACT_H
#define EGRESS_INEXACT_H

#include "egress/encode.h"

struct column;
struct output;

/*
 * One line for the warning, static; NULL: it loses nothing. `declared` is the source column whose
 * values the results are, NULL when they are counted or summed up; typmod the target column's.
 */
const char *inexact_loss(const struct output *, const struct column *declared,
			 const struct encode_column *, int typmod);

#endif
