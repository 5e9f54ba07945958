#!/usr/bin/env bash
#
# run.sh [NAME...] - the stack tests (all, or those named), two at a time, on one shared stack; those that stop
# servers start one of their own. A test may take 300 s, or what its line "# limit: N s" says, and on a
# busy machine twice that. Ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
. tests/stack/stack.sh
. tests/stack/canaries.sh

logs=build/test/stack
mkdir -p "$logs" || exit

names=("$@")
if ((${#names[@]} == 0)); then
	for file in tests/stack/test_*.sh; do
		name=$(basename "$file" .sh)
		names+=("${name#test_}")
	done
fi

stack_trap
# They live long enough, and with a transaction of a million rows, for Java's better compiler to pay.
STACK_JAVA='-XX:+UseSerialGC -Xmx768m' stack_up "$(mktemp -d "${TMPDIR:-/tmp}/tallyd-stack.XXXXXX")" || {
	echo '0 passed, 1 failed'
	exit 1
}
# Makes the example's role once, before two tests would at the same moment.
stack_database shared
export SHARED_STACK=$STACK

run_test()
{
	local name=$1 started=$SECONDS status limit
	limit=$(sed -n 's/^# limit: \([0-9]*\) s$/\1/p' "tests/stack/test_$name.sh")
	limit=${TEST_LIMIT:-$((2 * ${limit:-300}))}
	rm -f "$logs/$name.log" "$logs/$name.failed" # another run may be writing its own ones beside
	# A shared stack dies with this shell; a test's own stack with the test.
	timeout -k 20 "$limit" bash "tests/stack/test_$name.sh" >"$logs/$name.log" 2>&1 </dev/null
	status=$?
	if ((status != 0)) || ! grep -q '^[0-9]* passed, 0 failed$' "$logs/$name.log"; then
		((status != 124 && status != 137)) ||
		    sed -i "\$a not ok - ends within $limit s" "$logs/$name.log"
		sed "s/^/$name: /" "$logs/$name.log"
		touch "$logs/$name.failed"
	fi
	printf '  %-20s %s (%d s)\n' "$name" "$(tail -n 1 "$logs/$name.log")" $((SECONDS - started))
}

running=0
for name in "${names[@]}"; do
	if ((running == ${JOBS:-2})); then
		wait -n
		running=$((running - 1))
	fi
	run_test "$name" &
	running=$((running + 1))
done
wait

passed=0 failed=0
for name in "${names[@]}"; do
	read -r p f <<<"$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$logs/$name.log" | tail -n 1)"
	# A test that was cut short counts what it had shown, and one failure.
	[[ -n ${f-} ]] || { p=$(grep -c '^ok ' "$logs/$name.log"); f=1; }
	[[ ! -e $logs/$name.failed ]] || ((f > 0)) || f=1
	passed=$((passed + p)) failed=$((failed + f))
done
# Again at the end: of a long log often only that is kept.
for name in "${names[@]}"; do
	[[ ! -e $logs/$name.failed ]] || {
		sed -n "s/^not ok/$name: &/p" "$logs/$name.log"
		grep -E '^connect: |level=(warn|error) ' "$logs/$name.log" | tail -n 8 | cut -c 1-250
	}
done
echo "$passed passed, $failed failed"
((failed == 0))
