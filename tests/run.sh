#!/usr/bin/env bash
#
# run.sh [fast] - all tests; `fast`: those that need no servers. Called by `make check` and `make
# check-fast` with everything built.
#
# Each suite is a command that ends with a line "N passed, N failed" (or Criterion's synthesis), and
# keeps its output in build/test/NAME.log, shown where it failed. Two suites run at a time.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

logs=build/test
rm -rf "$logs" && mkdir -p "$logs" || exit

# Code is laid out by clang-format, and what is said in one place only is said there.
suite_style()
{
	local passed=0 failed=0 file
	for file in $(git ls-files -co --exclude-standard '*.c' '*.h'); do
		if clang-format --dry-run -Werror "$file"; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
		fi
	done
	# One place each speaks to a library (ARCHITECTURE.md).
	local rule
	for rule in 'librdkafka/rdkafka.h ingest/kafka.c ingest/kafka_config.c ingest/kafka_options.c' \
	    'libpq-fe.h egress/postgres.c' 'msgpack.h common/pack.c' \
	    'gmp.h common/decimal.c common/decimal_arith.c'; do
		if [[ $(git grep -l "#include <${rule%% *}>" -- common ingest reduce egress \
		    supervisor | paste -sd' ') == "${rule#* }" ]]; then
			passed=$((passed + 1))
		else
			echo "only ${rule#* } may include ${rule%% *}"
			failed=$((failed + 1))
		fi
	done
	echo "$passed passed, $failed failed"
	((failed == 0))
}

suite_unit()
{
	build/release/unit-tests --jobs 2
}

# Each test is a process, and under AddressSanitizer the start of one costs a tenth of a second: the
# fast run takes the suites that read foreign bytes, `make check` all. A leak is only printed, and
# the test passes: so any report is a failure.
suite_sanitize_input()
{
	sanitize --filter '@(pack|batch|ring|json|jsonb|inet|interval|position|pipeline|control)/*'
}

suite_sanitize()
{
	sanitize
}

sanitize()
{
	local failed=0 report
	rm -rf build/asan/reports && mkdir -p build/asan/reports
	ASAN_OPTIONS=log_path=$PWD/build/asan/reports/asan:detect_leaks=1 \
	TALLYD_CORE=1 LSAN_OPTIONS=suppressions=$PWD/tests/unit/lsan.supp:print_suppressions=0 \
	UBSAN_OPTIONS=print_stacktrace=1 build/asan/unit-tests --jobs 2 "$@" || failed=1
	for report in $(grep -lsE 'ERROR:|runtime error:' build/asan/reports/*); do
		head -50 "$report"
		failed=1
	done
	return $failed
}

# Every capture damaged in every way, under AddressSanitizer.
suite_mutations()
{
	local report=build/asan/mutations.report
	rm -f "$report".*
	ASAN_OPTIONS=log_path=$report:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
	    build/asan/mutations || {
		head -n 50 "$report".* 2>/dev/null
		return 1
	}
}

suite_golden_pipeline()
{
	tests/golden/run.sh build/release/tallyd
}

suite_golden_changes()
{
	tests/golden/changes/run.sh build/release/golden-changes
}

suite_ring_threads()
{
	build/tsan/ring-threads
}

suite_ring_kill()
{
	build/fault/ring-kill 1000
}

# order and reduce's core under seeded faults; a failing seed is shrunk and printed.
suite_sim_some()
{
	build/release/sim 1 3000
}

suite_sim()
{
	build/release/sim 1 100000
}

# Where little is much already: what waits for many changes, groups or messages, waits for a few.
suite_sim_small()
{
	build/fault/sim 1 10000
}

# No timed test is here: what the chain costs is counted.
suite_instructions()
{
	tests/bench/instructions.sh
}

suite_model()
{
	tests/model/run.sh
}

# Half a minute for each target; `make fuzz SECONDS=3600` looks longer.
suite_fuzz()
{
	# New inputs each day are for `make fuzz`: here a commit is judged, not the luck of a run.
	SEED=1 tests/fuzz/run.sh 30
}

# No Docker engine is needed to read the file: its parser checks it.
suite_compose()
{
	if make -s check-compose; then
		echo '1 passed, 0 failed'
	else
		echo '0 passed, 1 failed'
		return 1
	fi
}

suite_egress()
{
	tests/egress/run.sh
}

suite_stack()
{
	tests/stack/run.sh
}

# run_suite NAME: its counts in build/test/NAME.count.
run_suite()
{
	local name=$1 started=$SECONDS status counts passed failed
	# Criterion's colours are for terminals; the closing lines are read here.
	"suite_$name" >"$logs/$name.log" 2>&1 </dev/null
	status=$?
	counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p
	    s/^.*Synthesis: Tested: [^0-9]*\([0-9]*\).*Passing: [^0-9]*\([0-9]*\).*$/C\1 \2/p' \
	    "$logs/$name.log" | tail -n 1)
	case $counts in
	C*)
		counts=${counts#C}
		passed=${counts#* } failed=$((${counts% *} - ${counts#* }))
		;;
	*' '*)
		passed=${counts% *} failed=${counts#* }
		;;
	*)
		passed=0 failed=0
		;;
	esac
	# No test run, or an end that its own count does not explain, is a failure too.
	if ((passed + failed == 0 || (status != 0 && failed == 0))); then
		failed=$((failed + 1))
	fi
	echo "$passed $failed" >"$logs/$name.count"
	if ((failed > 0)); then
		grep -E 'not ok|FAIL|Assertion' "$logs/$name.log" | sed "s/^/$name: /" | head -n 40
		echo "$name: the whole log is $logs/$name.log; its end:"
		tail -n 30 "$logs/$name.log" | sed "s/^/$name: /"
	fi
	printf '%-16s %5d passed, %d failed (%d s)\n' "$name" "$passed" "$failed" \
	    $((SECONDS - started))
}

suites=(unit style golden_pipeline golden_changes mutations ring_threads ring_kill)
if [[ ${1-} == fast ]]; then
	suites+=(sanitize_input sim_some sim_small)
else
	suites+=(sanitize sim sim_small instructions model compose fuzz egress stack)
fi

running=0
for suite in "${suites[@]}"; do
	# These suites are parallel in themselves.
	if [[ $suite == fuzz || $suite == egress || $suite == stack ]]; then
		wait
		running=0
		run_suite "$suite"
		continue
	fi
	if ((running == 2)); then
		wait -n
		running=1
	fi
	run_suite "$suite" &
	running=$((running + 1))
done
wait

passed=0 failed=0
for suite in "${suites[@]}"; do
	read -r p f <"$logs/$suite.count"
	passed=$((passed + p)) failed=$((failed + f))
done
# Again at the end: of a long log often only that is kept.
for suite in "${suites[@]}"; do
	[[ $(<"$logs/$suite.count") == *' 0' ]] ||
	    grep -E 'not ok|FAIL|Assertion' "$logs/$suite.log" | sort -u | cut -c 1-300 | tail -n 30
done
echo "$passed passed, $failed failed"
((failed == 0))
