#!/bin/sh
# Golden tests of the decoder: see ../changes.c.
#
#   run.sh [--update] GOLDEN-CHANGES
set -eu

update=
if [ "${1:-}" = --update ]; then
	update=--update
	shift
fi
if [ $# -ne 1 ]; then
	echo "usage: run.sh [--update] GOLDEN-CHANGES" >&2
	exit 64
fi
program=$(readlink -f "$1")
cd "$(dirname "$0")/../../.."
exec "$program" ${update:+"$update"} tests/golden/changes
