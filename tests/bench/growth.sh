#!/usr/bin/env bash
#
# growth.sh - whether costs grow with what is kept, or only with what is done; with plots.
#
#   ROUNDS=5 tests/bench/growth.sh
#
# CPU time in one process without servers (growth.c): of an event from its message to the group, against the number
# of groups and of rows; of a commit, against all groups and against those touched; of a checkpoint,
# against all rows and against those changed. Each point is the median of ROUNDS processes.
. "$(dirname "$0")/lib.sh"

ROUNDS=${ROUNDS:-$(by_size 5 1)}
EVENTS=$(by_size 400000 40000)
# Groups with rows enough that nearly all of them are there; rows with few groups.
groups=($(by_size '1000 10000 100000 1000000' '1000 10000 30000'))
groups_rows=$(by_size 3000000 100000)
rows=($(by_size '10000 100000 1000000 5000000' '10000 100000'))
rows_groups=1000
commit_groups=($(by_size '1000 10000 100000 1000000' '1000 10000 100000'))
commit_touched=1000
touched=($(by_size '100 1000 10000 100000' '100 1000 10000'))
touched_groups=$(by_size 1000000 100000)
checkpoint_rows=($(by_size '500000 1000000 2000000 5000000' '100000 200000'))
checkpoint_dirty=$(by_size 50000 5000)
dirty=($(by_size '5000 20000 50000 200000' '5000 20000'))
dirty_rows=$(by_size 1000000 200000)
points=$BENCH/points
mkdir -p "$points"

# plan: a line for each point: what file it belongs to, and how bench-growth is called.
plan()
{
	local n
	for n in "${groups[@]}"; do echo groups event "$groups_rows" "$n" "$EVENTS"; done
	for n in "${rows[@]}"; do echo rows event "$n" "$rows_groups" "$EVENTS"; done
	for n in "${commit_groups[@]}"; do echo commit commit "$n" "$commit_touched"; done
	for n in "${touched[@]}"; do echo touched commit "$touched_groups" "$n"; done
	for n in "${checkpoint_rows[@]}"; do echo checkpoint checkpoint "$n" "$checkpoint_dirty"; done
	for n in "${dirty[@]}"; do echo dirty checkpoint "$dirty_rows" "$n"; done
}

# medians COUNT: of lines that come round and round for COUNT points, a line of medians for each point.
medians()
{
	awk -F '\t' -v count="$1" '{
		point = (NR - 1) % count
		n = ++seen[point]
		for (i = 1; i <= NF; i++) {
			v[point, i, n] = $i
			for (b = n; b > 1 && v[point, i, b] < v[point, i, b - 1]; b--) {
				t = v[point, i, b]; v[point, i, b] = v[point, i, b - 1]; v[point, i, b - 1] = t
			}
		}
		fields = NF
	} END {
		for (point = 0; point < count; point++)
			for (i = 1; i <= fields; i++)
				printf "%s%s", v[point, i, int((seen[point] + 1) / 2)], i < fields ? "\t" : "\n"
	}'
}

# All points in each round: a machine that is slower for a minute spoils one round of a few points, not all of one.
measure()
{
	local round file arguments
	plan >"$points/plan"
	rm -f "$points"/*.rounds
	for ((round = 0; round < ROUNDS; round++)); do
		while read -r file arguments; do
			# As the supervisor starts reduce.
			GLIBC_TUNABLES=glibc.malloc.hugetlb=1 "$BIN/bench-growth" $arguments >>"$points/$file.rounds"
		done <"$points/plan"
	done
	for file in $(cut -d' ' -f1 "$points/plan" | uniq); do
		medians "$(grep -c "^$file " "$points/plan")" <"$points/$file.rounds" >"$points/$file"
	done
}

# column FILE NUMBER
column()
{
	cut -f "$2" "$points/$1"
}

# range FILE COLUMN: "first to last".
range()
{
	echo "$(column "$1" "$2" | head -n 1) to $(column "$1" "$2" | tail -n 1)"
}

# goal WHAT FILE COLUMN UNIT [MOST]: the dearest point of the range by the cheapest.
goal()
{
	local least most ratio
	least=$(column "$2" "$3" | sort -n | head -n 1)
	most=$(column "$2" "$3" | sort -n | tail -n 1)
	ratio=$(calculate "$most / $least" '%.2f')
	bench_goal "$1" "$least to $most $4: $ratio ×" "${5:+within $5 ×}" "${5:+$ratio <= $5}"
}

# per_one FILE COLUMN BY UNIT-FACTOR: that column for one of what column BY counts; least and most.
per_one()
{
	awk -F '\t' -v c="$2" -v by="$3" -v f="$4" '{ printf "%.3f\n", $c * f / $by }' "$points/$1" | sort -n |
	    sed -n '1p;$p' | paste -sd' ' | sed 's/ / to /'
}

# table FILE HEADING...
table()
{
	local file=$1
	shift
	printf '| %s |\n' "$(sed 's/\t/ | /g' <<<"$(printf '%s\t' "$@" | sed 's/\t$//')")"
	printf '|%s\n' "$(printf -- '---:|%.0s' "$@")"
	sed 's/\t/ | /g; s/^/| /; s/$/ |/' "$points/$file"
	echo
}

# plot NAME TITLE X-LABEL Y-LABEL Y-COMMAND CURVE...: growth-NAME.svg. A middle grey on nothing: it can be read
# on white and on black.
plot()
{
	local name=$1 title=$2 x=$3 y=$4 scale=$5 curves
	shift 5
	curves=$(printf ', %s' "$@")
	gnuplot <<-END
		set terminal svg size 640,420 dynamic font 'sans-serif,13'
		set output '$BENCH/growth-$name.svg'
		set border 3 linecolor rgb '#808080'
		set tics nomirror textcolor rgb '#808080'
		set title '$title' textcolor rgb '#808080'
		set xlabel '$x' textcolor rgb '#808080'
		set ylabel '$y' textcolor rgb '#808080'
		set key outside bottom center horizontal Left reverse textcolor rgb '#808080'
		set grid linecolor rgb '#808080' linewidth 0.3
		set format x '%.0s%c'
		set logscale x
		set linetype 1 linecolor rgb '#d95f02' linewidth 2 pointtype 7 pointsize 0.7
		set linetype 2 linecolor rgb '#1b9e77' linewidth 2 pointtype 5 pointsize 0.7
		set linetype 3 linecolor rgb '#7570f0' linewidth 2 pointtype 9 pointsize 0.7
		$scale
		plot ${curves#, }
	END
}

plots()
{
	local kind
	for kind in groups rows; do
		plot "$kind" "CPU time of an event against $kind" "$kind" 'ns an event' 'set yrange [0:*]' \
		    "'$points/$kind' using $([[ $kind == rows ]] && echo 1 || echo 2):5 with linespoints title 'message to group'" \
		    "'' using $([[ $kind == rows ]] && echo 1 || echo 2):3 with linespoints title 'ingest'" \
		    "'' using $([[ $kind == rows ]] && echo 1 || echo 2):4 with linespoints title 'reduce'"
	done
	plot commit 'CPU time of reduce to emit a batch' 'groups' 'µs a batch' 'set logscale y; set yrange [1:*]' \
	    "'$points/commit' using 1:3 with linespoints title '$commit_touched groups touched, against all groups'" \
	    "'$points/touched' using 2:3 with linespoints title '$touched_groups groups, against those touched'"
	plot checkpoint 'CPU time of a checkpoint' 'rows' 'ms a checkpoint' 'set logscale y' \
	    "'$points/checkpoint' using 1:3 with linespoints title '$checkpoint_dirty rows changed, against all rows'" \
	    "'$points/dirty' using 2:3 with linespoints title '$dirty_rows rows, against those changed'"
}

measure
bench_section 'Growth'
goal "event, $(range groups 2) groups" groups 5 'ns CPU an event' 1.5
goal "event, $(range rows 1) keyed rows" rows 5 'ns CPU an event' 1.5
goal "the same of reduce alone, $(range groups 2) groups" groups 4 'ns CPU an event'
goal "the same of reduce alone, $(range rows 1) keyed rows" rows 4 'ns CPU an event'
goal "commit of $commit_touched touched groups among $(range commit 1)" commit 3 'µs CPU of reduce' 1.5
bench_goal "commit of $(range touched 2) touched groups among $touched_groups" \
    "$(per_one touched 3 2 1) µs CPU a touched group" ''
goal "checkpoint of $checkpoint_dirty changed rows among $(range checkpoint 1)" checkpoint 3 'ms CPU of reduce' 1.5
bench_goal "checkpoint of $(range dirty 2) changed rows among $dirty_rows" \
    "$(per_one dirty 3 2 1000) µs CPU a changed row" ''
plots
{
	cat <<-END
		An event is an update of the orders workload, bare JSON, keys at random: its CPU time goes from the message in
		memory to the group, and has no Kafka and no PostgreSQL in it. The range of a goal is its dearest point by its
		cheapest. A checkpoint also writes 1/1024 of the state in full each time.

	END
	table groups rows groups 'ingest, ns an event' 'reduce, ns an event' 'both, ns an event' \
	    'emitted and encoded, µs a changed group'
	table rows rows groups 'ingest, ns an event' 'reduce, ns an event' 'both, ns an event' \
	    'emitted and encoded, µs a changed group'
	table commit groups touched 'µs a batch'
	table touched groups touched 'µs a batch'
	table checkpoint rows changed 'ms a checkpoint' 'of it the pause, ms' 'KB written'
	table dirty rows changed 'ms a checkpoint' 'of it the pause, ms' 'KB written'
	for kind in groups rows commit checkpoint; do
		echo "![${kind^}](growth-$kind.svg)"
	done
} | bench_text
