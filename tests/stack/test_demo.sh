# The demo ends equal, shows a killed stage and its successor, and leaves nothing behind, even when
# it is interrupted.
. "$(dirname "$0")/lib.sh"
export TMPDIR=$WORK/demo
mkdir -m 755 "$TMPDIR"

# Processes that were started in that folder, by their command line.
left()
{
	pgrep -cf "$TMPDIR"
}

# A process that was killed may need a moment to leave the table.
none_left()
{
	[[ $(left) == 0 ]]
}

output=$(ROWS=12 INTERVAL=0.05 STAGE=reduce tests/stack/demo.sh 2>"$WORK/demo.log")
is 'the demo ends with 0' $? 0
echo "$output" >>"$WORK/demo.log"
contains 'it shows the sum as it moves' "$output" 'seen after'
contains 'it kills a stage and shows its successor' "$output" 'ms from the kill to the next committed row'
contains 'it ends equal' "$output" 'equal'
is 'its folder is gone' "$(ls -A "$TMPDIR")" ''
await 5 none_left && ok 'its processes are gone' || not_ok "its processes are gone: $(left) left"

ROWS=1000 setsid tests/stack/demo.sh >"$WORK/interrupted.log" 2>&1 &
demo=$!
await 60 grep -q 'seen after' "$WORK/interrupted.log" || not_ok 'the second demo runs'
kill -INT -- "-$demo" 2>/dev/null || kill -INT "$demo"
kill -TERM "$demo"
wait "$demo"
((status = $?, status > 0)) && ok "interrupted it says so ($status)" || not_ok 'interrupted it says so'
is 'interrupted: its folder is gone' "$(ls -A "$TMPDIR")" ''
await 5 none_left && ok 'interrupted: its processes are gone' ||
    not_ok "interrupted: its processes are gone: $(left) left"
