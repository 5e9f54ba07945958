# As PID 1 of a container, and as an unprivileged user: it runs, reaps what is left to it, and ends
# with 0 when asked.
. "$(dirname "$0")/lib.sh"
own_database
stack_connector "$NAME" public.values >/dev/null || not_ok 'connector'
pipeline <<END
CREATE FOREIGN TABLE "values" (value integer NOT NULL) SERVER kafka OPTIONS (topic '$NAME.public.values');
CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM "values";
END
# A checkout may lie where another user may not look.
mkdir "$WORK/bin"
cp "$BIN"/tallyd "$BIN"/tallyd-* "$WORK/bin"
BIN=$WORK/bin
sum='SELECT sum(value)::real AS sum FROM "values"'
sql 'INSERT INTO "values" VALUES (1), (2)'

# runs TEXT LOG COMMAND...: a tallyd below this command; a stage of it is killed; TERM ends it.
runs()
{
	local text=$1 log=$2 outer status
	shift 2
	"$@" "$BIN/tallyd" run "$WORK/pipeline.sql" >"$WORK/$log.log" 2>&1 </dev/null &
	outer=$!
	await 20 log_has "$log" event=reduce.live || not_ok "$text: goes live"
	tallyd=$outer
	while [[ $(cat "/proc/$tallyd/comm" 2>/dev/null) != tallyd ]]; do
		tallyd=$(cut -d' ' -f1 "/proc/$tallyd/task/$tallyd/children") || break
	done
	tallyds+=("$tallyd")
	sql "INSERT INTO \"values\" VALUES (10)"
	comes_equal "$text" sum_table sum "$sum"
	stage_kill reduce
	sql "INSERT INTO \"values\" VALUES (100)"
	comes_equal "$text, a stage killed" sum_table sum "$sum"
	kill -TERM "$tallyd"
	wait "$outer"
	is "$text: TERM ends it with 0" $? 0
}

namespace=(unshare --pid --fork --mount-proc --kill-child)
if ((EUID == 0)) && ! "${namespace[@]}" true; then
	echo '# no namespaces can be made here (a chroot, a container): PID 1 is not shown'
elif ((EUID == 0)); then
	# In the namespace it is PID 1, and an orphan is left to it.
	cat >"$WORK/init" <<-'END'
		#!/bin/sh
		(sleep 1 &)
		exec "$@"
	END
	chmod +x "$WORK/init"
	runs 'as PID 1' pid1 "${namespace[@]}" "$WORK/init"
	contains 'as PID 1: it is' "$(cat "$WORK/pid1.log")" 'as pid 1"'
fi
if ((EUID == 0)); then
	chmod -R a+rX "$WORK"
	export RUNTIME_DIRECTORY=''
	export XDG_RUNTIME_DIR=$WORK/xdg
	install -d -o nobody "$XDG_RUNTIME_DIR"
	runs 'as nobody' nobody setpriv --reuid=nobody --clear-groups --regid=nogroup
else
	runs 'as this user' user env
fi
obeys sum_table '' sum
