#!/usr/bin/env bash
#
# run.sh [deep] - explore protocol.pml exhaustively: each configuration must hold in all reachable
# states, and each mistake that can be switched on in it must be found. `deep` adds configurations
# that need minutes and up to 6 GB.
#
# For a trace of a mistake in words:
#   cd build/model/CONFIGURATION && TALLYD_MUTANT=NUMBER ./pan && TALLYD_MUTANT=NUMBER ./pan -r
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

model=$PWD/tests/model/protocol.pml
build=build/model
depth=100000 megabytes=1900
passed=0 failed=0 states=0
incomplete='max search depth too small|not completed|out of memory|reached -DMEMLIM'

# Two transactions of three events, and two of two: where three of four are too many.
three='-DN=3 -DENDS=12'
two='-DN=2 -DENDS=6'

ok()
{
	echo "ok      $1: $2"
	passed=$((passed + 1))
}

not_ok()
{
	echo "not ok  $1: $2"
	failed=$((failed + 1))
}

# compile NAME SPIN_FLAGS CC_FLAGS: the program that explores it, in its own folder. -O2 would take
# longer to compile than it saves.
compile()
{
	local name=$1 spin_flags=$2 cc_flags=$3
	rm -rf "${build:?}/$name" && mkdir -p "$build/$name" || return
	# shellcheck disable=SC2086 # flags are words
	(cd "$build/$name" && spin -a $spin_flags "$model" >spin.log &&
	    ${CC:-cc} -O1 -w $cc_flags -DNOREDUCE -DMEMLIM="$megabytes" -o pan pan.c) ||
	    { cat "$build/$name/spin.log"; return 1; }
}

# The number before a word in what pan has printed.
count()
{
	sed -n "s/^ *\([0-9.e+]*\) $1.*/\1/p" "$2" | tail -n 1
}

# judge NAME LOG: no error, and nothing left out.
judge()
{
	local name=$1 log=$2 stored
	stored=$(count 'states, stored' "$log")
	if ! grep -q 'errors: 0$' "$log"; then
		not_ok "$name" "$(grep -m 1 '^pan:' "$log" || tail -n 1 "$log")"
	elif grep -qE "$incomplete" "$log"; then
		not_ok "$name" "not all was explored: $(grep -m 1 -E "$incomplete" "$log")"
	else
		ok "$name" "holds in all $stored states, $(count transitions "$log") transitions"
		states=$((states + stored))
	fi
}

# prove NAME FLAGS: all states.
prove()
{
	local name=$1 log=$build/$1/proof.log
	compile "$name" "$2" -DSAFETY || { not_ok "$name" 'does not compile'; return; }
	(cd "$build/$name" && ./pan -m$depth) >"$log" 2>&1
	judge "$name" "$log"
}

# ends NAME FLAGS: no run goes on for ever. With `calm` and `timeout` that is: it can always finish.
ends()
{
	local name=$1 log=$build/$1/proof.log
	compile "$name" "$2" '-DNP -DNOFAIR' || { not_ok "$name" 'does not compile'; return; }
	(cd "$build/$name" && ./pan -l -m$depth) >"$log" 2>&1
	judge "$name" "$log"
}

# The number of a mistake in the model.
mutant_number()
{
	sed -n '/^	enum {/,/^	};/p' "$model" | grep -n "M_$1,$" | cut -d : -f 1 |
	    awk '{ print $1 - 2 }'
}

# find CONFIGURATION MISTAKE...: each is to be found there.
find_mutants()
{
	local config=$1 mutant log number
	shift
	for mutant; do
		log=$build/$config/$mutant.log
		number=$(mutant_number "$mutant")
		if [[ ! $number =~ ^[1-9][0-9]*$ ]]; then
			not_ok "mutant $mutant" 'is not in the model'
			continue
		fi
		(cd "$build/$config" && TALLYD_MUTANT=$number ./pan -m$depth) >"$log" 2>&1
		if grep -q 'errors: 1$' "$log" && grep -q '^pan:1: assertion violated' "$log"; then
			ok "mutant $mutant" "found after $(count 'states, stored' "$log") states by $(
			    sed -n 's/^pan:1: assertion violated *\(.*\) (at depth.*/\1/p' "$log")"
		else
			not_ok "mutant $mutant" "not found in $config: $(grep -m 1 errors: "$log")"
		fi
	done
}

prove faults "-DLARGE=1 -DFAULTS=3"
prove restore "-DLARGE=1 -DFAULTS=2 -DRESTORES=1"
prove restores "-DLARGE=1 -DFAULTS=1 -DRESTORES=2"
prove checkpoint "-DCHECKPOINT=1 -DFAULTS=1"
prove checkpoint_faults "-DCHECKPOINT=1 -DFAULTS=2 $three"
prove checkpoint_large "-DCHECKPOINT=1 -DLARGE=1 -DFAULTS=1 $three"
prove checkpoint_restore "-DCHECKPOINT=1 -DFAULTS=1 -DRESTORES=1 $three"
prove hosts "-DHOSTS=2 -DFAULTS=2 $three"
prove hosts_restore "-DHOSTS=2 -DFAULTS=1 -DRESTORES=1 $three"
prove hosts_checkpoint "-DHOSTS=2 -DCHECKPOINT=1 -DFAULTS=1 $three"
prove hosts_lock "-DHOSTS=2 -DLOCK=1 -DFAULTS=2"
ends ends "-DLARGE=1 -DFAULTS=2 -DRESTORES=1 $three"
ends ends_checkpoint "-DCHECKPOINT=1 -DFAULTS=1 $three"
ends ends_lock "-DHOSTS=2 -DLOCK=1 -DFAULTS=1 -DRESTORES=1 $two"

# Those of the design, then those of ingest's side, then more.
find_mutants faults no_compare compare_no_epoch select no_flag close_at_end blind_retry cut_speaks
find_mutants checkpoint flip_early flip_position alone_deletes cut_clears forget_early
find_mutants checkpoint keep_unfinished
find_mutants hosts goes_on
find_mutants faults token_first bytes_first from_durable beyond_durable
find_mutants restore no_rewind_check
find_mutants checkpoint_faults old_image

if [[ ${1-} == deep ]]; then
	megabytes=6000
	prove deep_faults "-DLARGE=1 -DFAULTS=3 -DRESTORES=1 $three"
	prove deep_checkpoint "-DCHECKPOINT=1 -DFAULTS=2"
	prove deep_checkpoint_restore "-DCHECKPOINT=1 -DFAULTS=1 -DRESTORES=1"
	prove deep_hosts "-DHOSTS=2 -DFAULTS=2"
	prove deep_hosts_restore "-DHOSTS=2 -DFAULTS=1 -DRESTORES=1"
	prove deep_hosts_faults "-DHOSTS=2 -DCHECKPOINT=1 -DFAULTS=2 $two"
	prove deep_hosts_lock "-DHOSTS=2 -DLOCK=1 -DCHECKPOINT=1 -DFAULTS=2 $three"
fi

# A mistake that nobody looks for is no test.
for mutant in $(sed -n 's/^		M_\(.*\),$/\1/p' "$model"); do
	[[ $mutant == none ]] || grep -qE "^find_mutants .*\b$mutant\b" "$0" ||
	    not_ok "mutant $mutant" 'is in the model, and no configuration looks for it'
done
echo "states counted: $states"
echo "$passed passed, $failed failed"
((failed == 0))
