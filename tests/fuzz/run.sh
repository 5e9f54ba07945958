#!/usr/bin/env bash
#
# run.sh [SECONDS [TARGET...]] - each fuzz target for so long (30), two at a time; built by `make
# VARIANT=fuzz tests-fuzz`, which `make fuzz` does.
#
# A run begins with the committed corpus and with what earlier runs have found worth keeping
# (build/fuzz/corpus). An input that breaks something is kept in build/fuzz/findings; once that is
# mended, it belongs into tests/fuzz/corpus. SEED=N for the same inputs again. Ends with a line "N passed,
# N failed".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

seconds=${1:-30}
shift
targets=("$@")
((${#targets[@]} > 0)) || targets=(json debezium order batch ring pipeline)
if [[ ! $seconds =~ ^[0-9]+$ ]]; then
	sed -n '3,10s/^# \{0,1\}//p' "$0" >&2
	exit 64
fi

# What is a seed beside the committed corpus: files that other tests have.
seeds_of()
{
	[[ $1 != pipeline ]] || echo tests/golden/pipeline compose
}

longest_of()
{
	case $1 in
	debezium) echo 16384 ;;
	ring) echo 1024 ;;
	order) echo 2048 ;;
	*) echo 8192 ;;
	esac
}

# The figure of a line "stat::NAME: N" at the end of a log.
figure()
{
	sed -n "s/^stat::$2: *//p" "$1" | tail -n 1
}

fuzz()
{
	local target=$1 log=build/fuzz/$1.log corpus=build/fuzz/corpus/$1 findings=build/fuzz/findings/$1
	local status found options=()
	mkdir -p "$corpus" "$findings"
	find "$findings" -type f -delete
	[[ -z ${SEED-} ]] || options+=("-seed=$SEED")
	[[ ! -e tests/fuzz/$target.dict ]] || options+=("-dict=tests/fuzz/$target.dict")
	# shellcheck disable=SC2046 # folders, none or more
	build/fuzz/fuzz-"$target" "${options[@]}" -max_total_time="$seconds" -timeout=20 \
	    -rss_limit_mb=2048 -max_len="$(longest_of "$target")" -print_final_stats=1 \
	    -artifact_prefix="$findings/" "$corpus" tests/fuzz/corpus/"$target" \
	    $(seeds_of "$target") >"$log" 2>&1
	status=$?
	found=$(find "$findings" -type f | wc -l)
	printf '%-9s %9d executions, %6d/s, corpus %5d inputs, %d findings\n' "$target" \
	    "$(figure "$log" number_of_executed_units)" "$(figure "$log" average_exec_per_sec)" \
	    "$(find "$corpus" -type f | wc -l)" "$found"
	((status == 0)) && return 0
	grep -E 'not true|ERROR|runtime error|Test unit written' "$log" | head -n 5
	echo "not ok $target: the log is $log; again: build/fuzz/fuzz-$target FINDING"
	return 1
}

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
running=0
for target in "${targets[@]}"; do
	if ((running == 2)); then
		wait -n
		running=1
	fi
	{
		fuzz "$target" && touch "$results/$target"
	} &
	running=$((running + 1))
done
wait
passed=$(find "$results" -type f | wc -l)
echo "$passed passed, $((${#targets[@]} - passed)) failed"
((passed == ${#targets[@]}))
