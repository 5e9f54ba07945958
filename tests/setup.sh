#!/usr/bin/env bash
#
# setup.sh [build] [check] [fuzz] [bench] [demo] [jars] [jars-old] [peers] - install what is missing on Debian 12, and nothing else.
#
#   build   the compiler and the libraries that tallyd is linked with
#   check   what the tests need beside that
#   fuzz    what the fuzz targets need beside that
#   bench   what measuring needs beside build and demo
#   demo    the servers of the local stack
#   jars    Kafka and Debezium from Maven Central, kept in build/jars (needs demo)
#   jars-old    the same with older Debeziums, kept in build/jars-VERSION
#   peers   Pathway from PyPI, kept in build/peers
#
# Says what it will fetch and how much before it does. Without root it asks sudo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages_build=(gcc libc6-dev make libpg-query-dev libprotobuf-c-dev librdkafka-dev libpq-dev
    libbsd-dev libmsgpack-dev libgmp-dev)
packages_check=(libcriterion-dev zstd clang-format docker-compose procps spin strace pgbouncer
    openssl libyajl-dev valgrind)
packages_fuzz=(clang libclang-rt-14-dev)
packages_bench=(gnuplot-nox valgrind)
packages_demo=(postgresql-15 openjdk-17-jre-headless maven kcat curl ca-certificates)
packages_peers=(python3-venv)

as_root()
{
	if ((EUID == 0)); then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "setup: neither root nor sudo; as root, run: tests/setup.sh ${groups[*]}" >&2
		exit 77
	fi
}

apt_get()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
	    -o Dpkg::Use-Pty=0 "$@"
}

# Those of the packages that are not installed.
missing()
{
	local package
	for package in "$@"; do
		dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null |
		    grep -qx installed || echo "$package"
	done
}

# Megabytes to download for these packages, with all that they bring.
download_megabytes()
{
	apt-get install -qq --print-uris --no-install-recommends "$@" 2>/dev/null |
	    awk '{ bytes += $3 } END { printf "%d", bytes / 1e6 + 1 }'
}

update_lists()
{
	echo 'setup: fetching the package lists' >&2
	apt_get update >/dev/null
}

# PostgreSQL's package would make a database cluster of its own and start it, pgbouncer's would start
# one. They are told otherwise only while they are installed.
cluster_configuration=/etc/postgresql-common/createcluster.d/tallyd-setup.conf
start_policy=/usr/sbin/policy-rc.d
forbid_servers()
{
	trap allow_servers EXIT
	as_root mkdir -p "${cluster_configuration%/*}"
	echo 'create_main_cluster = false' | as_root tee "$cluster_configuration" >/dev/null
	[[ ! -e $start_policy ]] || return 0
	our_policy=1
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$start_policy" >/dev/null
	as_root chmod 755 "$start_policy"
}

allow_servers()
{
	as_root rm -f "$cluster_configuration"
	[[ -z ${our_policy-} ]] || as_root rm -f "$start_policy"
	trap - EXIT
}

install_packages()
{
	local attempt
	apt-cache show "$@" >/dev/null 2>&1 || update_lists
	echo "setup: $(download_megabytes "$@") MB of packages, for: $*" >&2
	forbid_servers
	for attempt in once again; do
		if apt_get install --no-install-recommends "$@" >"$log" 2>&1; then
			break
		elif [[ $attempt == again ]]; then
			tail -20 "$log" >&2
			exit 69
		fi
		update_lists
	done
	allow_servers
	echo 'setup: packages installed' >&2
}

setup_packages()
{
	local -n list="packages_$1"
	wanted+=("${list[@]}")
}

# setup_jars FOLDER DEBEZIUM WHAT: all jars or none. They are gathered aside and appear under their name when
# complete.
setup_jars()
{
	local folder=$1 aside=$PWD/$1.$$ maven
	[[ ! $folder/complete -nt tests/stack/jars.xml ]] || return 0
	echo "setup: $3 (less if Maven has them already)" >&2
	. tests/stack/stack.sh
	mvn -B -q -f tests/stack/jars.xml dependency:copy-dependencies -DincludeScope=runtime \
	    -Ddebezium="$2" -DoutputDirectory="$aside" >"$log" 2>&1 &
	maven=$!
	# shellcheck disable=SC2064 # the values of now
	trap "kill $maven 2>/dev/null; rm -rf '$aside'" EXIT
	while [[ -e /proc/$maven ]]; do
		progress 'fetching jars'
		sleep 0.2
	done
	if ! wait "$maven"; then
		progress_end 'setup: Maven could not fetch the jars:'
		tail -20 "$log" >&2
		exit 69
	fi
	progress_end "setup: jars are in $folder"
	touch "$aside/complete"
	rm -rf "$folder"
	mv "$aside" "$folder"
	trap - EXIT
}

# setup_pathway VERSION: in a Python of its own, that of Debian, and so removed with build.
setup_pathway()
{
	local folder=build/peers
	[[ $(cat "$folder/complete" 2>/dev/null) != "$1" ]] || return 0
	echo "setup: Pathway $1 from PyPI, 404 MB with what it needs, 1.6 GB unpacked" >&2
	rm -rf "$folder"
	if ! { /usr/bin/python3 -m venv "$folder" && "$folder/bin/python" -m pip install --disable-pip-version-check \
	    --no-input "pathway==$1"; } >"$log" 2>&1; then
		echo "setup: pip could not install Pathway $1 in $folder:" >&2
		tail -20 "$log" >&2
		exit 69
	fi
	echo "$1" >"$folder/complete"
	echo "setup: Pathway is in $folder" >&2
}

groups=("$@")
wanted=()
mkdir -p build
log=build/setup.log
for group in "${groups[@]:-build}"; do
	case $group in
	build | check | fuzz | bench | demo | peers) setup_packages "$group" ;;
	jars | jars-old) ;;
	*) sed -n '3,13s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
	esac
done
mapfile -t lacking < <(missing "${wanted[@]}")
((${#lacking[@]} == 0)) || install_packages "${lacking[@]}"
if [[ " ${groups[*]} " == *' jars '* ]]; then
	setup_jars build/jars 3.7.0.Final '62 MB of jars, Kafka 3.9.1 and Debezium 3.7.0'
fi
if [[ " ${groups[*]} " == *' jars-old '* ]]; then
	setup_jars build/jars-1.4.2 1.4.2.Final '7 MB of jars beside build/jars, Debezium 1.4.2'
	setup_jars build/jars-2.7.4 2.7.4.Final '4 MB of jars beside build/jars, Debezium 2.7.4'
fi
if [[ " ${groups[*]} " == *' peers '* ]]; then
	setup_pathway 0.33.0
fi
