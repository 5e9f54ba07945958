#!/usr/bin/env bash
#
# instructions.sh [--update] - instructions for each message, counted by callgrind, against the figures in
# tests/bench/instructions.txt. A suite of `make check`: a count does not depend on what else runs.
#
# Two fixed inputs go through the code of all three stages in one process (chain.h): `values`, inserts
# with the schema block, and `orders`, with the block and bare in turns, inserts, updates, deletes
# and tombstones over 2,500 keys. It fails when a count is more than 5 % above its figure, and only
# says so when it is as much below. --update writes the counts of now into the file.
#
# A count is the same in each run. It depends on the compiler and on which of its own routines the C
# library takes, so that is tied to the oldest of them, whatever the processor can do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

BIN=${BIN:-build/release}
figures=tests/bench/instructions.txt
cases=(chain-values chain-orders)
tolerance=5
# So many times fewer messages than micro.sh takes: 2,000.
divide=25

export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-ERMS,-FSRM,-BMI1,-BMI2,-LZCNT,-MOVBE,-FMA,-FMA4,-SSE4_2,-SSE4_1,-SSSE3,-XSAVE,-XSAVEC,-AVX_Fast_Unaligned_Load,-Fast_Unaligned_Copy,-Slow_BSF,-Prefer_ERMS,-Prefer_FSRM

work=$(mktemp -d "${TMPDIR:-/tmp}/tallyd-instructions.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# count CASE: into its file the instructions for one message.
count()
{
	valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no \
	    --toggle-collect=micro_counted "$BIN/bench-micro" --repeat 1 --divide "$divide" "$1" \
	    >"$work/$1.out" 2>"$work/$1.err" || { cat "$work/$1.out" "$work/$1.err" >&2; return 1; }
	awk -F '\t' -v all="$(sed -n 's/.*Collected : //p' "$work/$1.err")" \
	    '{ printf "%.0f\n", all / $3 }' "$work/$1.out" >"$work/$1"
}

pids=()
for name in "${cases[@]}"; do
	count "$name" &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid"
done

if [[ ${1-} == --update ]]; then
	sed -i '/^[^#]/d' "$figures"
	for name in "${cases[@]}"; do
		echo "$name $(<"$work/$name")"
	done | tee -a "$figures"
	exit
fi

passed=0 failed=0
for name in "${cases[@]}"; do
	now=$(<"$work/$name")
	figure=$(sed -n "s/^$name //p" "$figures")
	change=$(awk "BEGIN { printf \"%+.1f\", 100 * ($now - ${figure:?no figure for $name}) / $figure }")
	said="$name: $now instructions a message, $figure in $figures: $change %"
	if ((now * 100 > figure * (100 + tolerance))); then
		failed=$((failed + 1))
		echo "not ok $said; make it cheaper, or say why it costs more and take the new figure up: tests/bench/instructions.sh --update"
		continue
	fi
	passed=$((passed + 1))
	if ((now * 100 < figure * (100 - tolerance))); then
		echo "ok $said; take the new figure down: tests/bench/instructions.sh --update"
	else
		echo "ok $said"
	fi
done
echo "$passed passed, $failed failed"
((failed == 0))
