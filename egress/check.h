/*
 * check.h - `tallyd check`, egress's side: all that a start checks, changing nothing.
 */
#ifndef EGRESS_CHECK_H
#define EGRESS_CHECK_H

#include "common/stage.h"

/*
 * Prints its findings by stage_report(); returns the exit code. Takes some seconds at most, longer
 * only when connect_timeout says so. With stage->ddl no server is asked, and unless there are
 * findings the script for the target's owner is printed. With stage->drop nothing is checked: the
 * pipeline's rows in schema tallyd are deleted, unless a tallyd holds it (75) or it is not there
 * (78). Otherwise a pipeline that has committed gets one line more, for the supervisor: "position",
 * 0, 0, its position as JSON, tabs between.
 */
enum exit_code egress_check(struct stage *);

#endif
