#!/usr/bin/env bash
#
# micro.sh [CASE...] - what one item costs in each part: ring, scanner, decoder, groups, encoder, and the
# whole chain in one process. Writes build/bench/micro.md.
#
#   REPEAT=9 INSTRUCTIONS=1 QUICK= tests/bench/micro.sh
#
# CPU time of the median of REPEAT repetitions (the ring's is wall time: two processes), with the
# spread. INSTRUCTIONS=1: callgrind's count beside it, which no other load on the machine changes;
# of the ring both sides in turn are counted. QUICK=1: a tenth of the items.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

BIN=${BIN:-build/release}
REPEAT=${REPEAT:-9}
INSTRUCTIONS=${INSTRUCTIONS:-}
QUICK=${QUICK:-}
divide=1
[[ -z $QUICK ]] || divide=10
mkdir -p build/bench
out=build/bench/micro.md

# instructions CASE ITEM-DIVIDE: for one item.
instructions()
{
	local counted items
	items=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no \
	    --toggle-collect=micro_counted --log-file="$out.callgrind" \
	    "$BIN/bench-micro" --repeat 1 --divide "$2" "$1" | cut -f 3)
	counted=$(sed -n 's/.*Collected : //p' "$out.callgrind")
	rm -f "$out.callgrind"
	awk "BEGIN { printf \"%.0f\", $counted / $items }"
}

row()
{
	local name=$1 unit=$2 items=$3 median=$4 least=$5 most=$6 counted=''
	if [[ -n $INSTRUCTIONS && $name == ring ]]; then
		counted=' |' # its other side is another process
	elif [[ -n $INSTRUCTIONS ]]; then
		counted=" $(instructions "$name" 50) |"
	fi
	echo "| $name | $unit | $median | $least to $most | $items |$counted"
}

{
	echo '## Microbenchmarks'
	echo
	echo "One item of each part alone: median and spread of $REPEAT repetitions. No goals: these"
	echo 'figures say where time goes. CPU time; of `ring`, with a process on each side, wall time.'
	echo
	echo "| what | one item | ns, median | spread | items a repetition |${INSTRUCTIONS:+ instructions |}"
	echo "|---|---|---:|---:|---:|${INSTRUCTIONS:+---:|}"
} >"$out.new"
"$BIN/bench-micro" --repeat "$REPEAT" --divide "$divide" "$@" >"$out.raw"
while IFS=$'\t' read -r -a fields; do
	row "${fields[@]}" >>"$out.new"
done <"$out.raw"
rm -f "$out.raw"
mv "$out.new" "$out"
cat "$out"
