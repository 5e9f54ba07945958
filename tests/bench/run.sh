#!/usr/bin/env bash
#
# run.sh - all parts of the bench, one after the other, and one page of results: build/bench/RESULTS.md.
#
#   [QUICK=1] [PARTS='throughput memory'] tests/bench/run.sh
#
# Each part can also be run alone. QUICK: sizes that only show that the bench itself works; nothing is to be
# read from its figures. Fails when a part could not measure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

PARTS=${PARTS:-throughput memory start latency micro growth egress}
BENCH=build/bench
results=$BENCH/RESULTS.md
failed=()

version_of() # PACKAGE
{
	dpkg-query -W -f='${Version}' "$1" 2>/dev/null || echo unknown
}

kafka_version()
{
	local jar
	jar=$(echo build/jars/kafka-clients-*.jar)
	jar=${jar##*/kafka-clients-}
	echo "${jar%.jar}"
}

revision()
{
	git rev-parse --short=12 HEAD 2>/dev/null || echo unknown
	[[ -z $(git status --porcelain --untracked-files=no 2>/dev/null) ]] || echo ', changed since'
}

# Kafka's, of this run.
java_options()
{
	bash -c '. tests/bench/lib.sh && echo "$STACK_JAVA"'
}

machine()
{
	cat <<-END
		| | |
		|---|---|
		| processor | $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sort | uniq -c | sed 's/^ *\([0-9]*\) /\1 × /' | paste -sd ';') |
		| memory | $(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo) |
		| kernel | $(uname -sr) |
		| system | $(. /etc/os-release && echo "$PRETTY_NAME") |
		| load before the first part | $(cut -d' ' -f1-3 /proc/loadavg) |
		| compiler | $(${CC:-cc} --version | head -1) |
		| librdkafka | $(version_of librdkafka1) |
		| libpq | $(version_of libpq5) |
		| PostgreSQL | $(version_of postgresql-15), fsync on |
		| Kafka | $(kafka_version), one broker |
		| Java | $(java -version 2>&1 | head -1), $(java_options) |
		| tallyd | revision $(revision | paste -sd '') |
		| date | $(date -u '+%Y-%m-%d %H:%M UTC') |
	END
}

head_of_page()
{
	cat <<-END
		# What tallyd's bench measured${QUICK:+: a quick run, whose figures mean nothing}

		All servers and tallyd share this machine:

		$(machine)

		Rates are ratios within one run, for absolute figures are the machine's. A figure with parentheses is a median with the least and
		the most beside it; the goal is held against the median unless the line says otherwise. "reached" is
		what this run says; a line without a goal is there to judge the others by.
	END
}

run_part()
{
	local script=tests/bench/$1.sh begin=$SECONDS
	[[ -f $script ]] || return 0
	echo "--- $1"
	rm -f "$BENCH/$1.md"
	if ! "$script" || [[ ! -s $BENCH/$1.md ]]; then
		failed+=("$1")
		printf '\n## %s\n\nThis part could not measure.\n' "$1" >>"$results"
	else
		{ echo; cat "$BENCH/$1.md"; } >>"$results"
	fi
	echo "--- $1 took $((SECONDS - begin)) s"
}

mkdir -p "$BENCH"
head_of_page >"$results"
for part in $PARTS; do
	run_part "$part"
done
echo "$results: $(grep -c '| yes |$' "$results" || true) goals reached, $(grep -c '| no |$' "$results" || true) not"
((${#failed[@]} == 0)) || { echo "could not measure: ${failed[*]}" >&2; exit 1; }
