# ask.sh - for tests of what `tallyd check` and `tallyd reload` answer: 69 when a server has not answered within
# five seconds. Where the answer is to be another they are asked again, for a server may stall.

# asked ARGUMENT...: tallyd with these; what it says in $output, its code in $status.
asked()
{
	local _
	for _ in 1 2 3; do
		output=$(timeout $((60 * PATIENCE)) "$BIN/tallyd" "$@" 2>&1)
		status=$?
		((status == 69)) || return 0
	done
}
