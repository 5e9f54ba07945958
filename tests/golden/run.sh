#!/bin/sh
# Golden tests of the pipeline file.
#
#   run.sh [--update] TALLYD
#
# Runs `TALLYD explain NAME.sql` on each file in pipeline/ and compares what it prints (standard
# output, then standard error) with NAME.out. A line "-- env NAME=value" in the file sets a variable
# for it. What was printed for a good file is read again and must print the same; a bad file must
# end with exit code 78 and print nothing but errors. --update rewrites the .out files instead.
set -u

update=
if [ "${1:-}" = --update ]; then
	update=1
	shift
fi
if [ $# -ne 1 ] || [ ! -x "$1" ]; then
	echo "usage: run.sh [--update] TALLYD" >&2
	exit 64
fi
case $1 in
/*) tallyd=$1 ;;
*) tallyd=$PWD/$1 ;;
esac
cd "$(dirname "$0")/pipeline" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

passed=0
failed=0

# explain FILE: fills $work/out and $work/err, returns the exit code.
explain() {
	sed -n 's/^-- env //p' "$source" >"$work/env"
	set -- "$1"
	(
		while read -r line; do
			export "${line?}"
		done <"$work/env"
		exec "$tallyd" explain "$1" >"$work/out" 2>"$work/err"
	)
}

# One case; prints what is wrong and fails, or prints nothing.
run_case() {
	explain "$source"
	status=$?
	cat "$work/out" "$work/err" >"$work/both"
	if [ -n "$update" ]; then
		cp "$work/both" "$expected"
	fi
	if ! diff -u "$expected" "$work/both"; then
		return 1
	fi
	case $status in
	0)
		if [ -s "$work/err" ]; then
			echo "$source: exit code 0 with errors"
			return 1
		fi
		cp "$work/out" "$work/again.sql"
		explain "$work/again.sql"
		cat "$work/out" "$work/err" | diff -u "$expected" - || return 1
		;;
	78)
		if [ -s "$work/out" ]; then
			echo "$source: refused, but something was printed"
			return 1
		fi
		;;
	*)
		echo "$source: exit code $status"
		return 1
		;;
	esac
}

for source in *.sql; do
	[ -e "$source" ] || continue
	expected=${source%.sql}.out
	if run_case; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
