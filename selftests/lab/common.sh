# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the lab's scripts share: messages, the cache, and a private view of
# Debian's archive.
#
# The cache holds what is costly to come by: an unpacked kernel package, the
# kernel's source, a built kernel, initramfs images.  Whatever is put there
# is made beside its final name, in a directory called *.tmp.*, and renamed
# when it is complete: a name without ".tmp." is never half made.  Makers of
# one thing take turns on a lock named after it; a lock's holder may remove
# leftovers of makers that were killed.
#
# Packages of another suite than the host's are looked up and downloaded with
# lists, sources and a package database of the lab's own.  The system's apt
# state is read for one thing only, the mirror that the host uses, and never
# written.  Signatures are checked against Debian's own keyring.

# The release that kernels come from, whichever the host has.
# shellcheck disable=SC2034 # for who reads this file
LAB_STABLE=trixie

lab_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_top=$(cd "$lab_dir/../.." && pwd)
lab_cache=${VFIO_BRIDGE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/vfio-bridge}

# depmod and the like, which not every user's path has
PATH=$PATH:/usr/sbin:/sbin

say()
{
	printf 'lab: %s\n' "$*" >&2
}

die()
{
	say "$*"
	exit 1
}

# A command that is there, or the set of packages that brings it.
need()
{
	command -v "$1" >/dev/null ||
		die "$1 is missing: run $lab_dir/deps $2"
}

# Makes the cache and its absolute name.
cache_init()
{
	mkdir -p "$lab_cache" ||
		die "cannot create the cache $lab_cache: name another with VFIO_BRIDGE_CACHE"
	lab_cache=$(cd "$lab_cache" && pwd)
	: "$lab_dir" "$lab_top"
}

# Waits for the lock NAME, which this process then holds until it ends.
# Programs that may outlive the script are to be started with 9>&-.
cache_lock()
{
	exec 9>"$lab_cache/$1.lock"
	if ! flock -n 9; then
		say "waiting for another process that prepares $1"
		flock 9
	fi
	rm -rf "$lab_cache/$1"-*.tmp.*
}

# Sleeps without a process of its own that could outlive the caller.
nap()
{
	local fd
	exec {fd}<> <(:)
	read -rt "$1" -u "$fd" || :
	exec {fd}>&-
}

# Runs a command; when it takes longer than two seconds, says what is being
# waited for, and again every ten seconds.
with_progress()
{
	local what=$1 ticker rc=0 start=$SECONDS
	shift
	(
		exec 9>&- >/dev/null
		nap 2
		say "$what ..."
		while nap 10; do
			say "$what ... $((SECONDS - start)) s"
		done
	) &
	ticker=$!
	"$@" || rc=$?
	kill "$ticker" 2>/dev/null || :
	wait "$ticker" 2>/dev/null || :
	return $rc
}

# The mirror of Debian's main archive that the host's own apt is set up with.
debian_mirror()
{
	local site release component origin label codename all

	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
	# $(SITE) and its like are apt's, not the shell's.
	# shellcheck disable=SC2016
	all=$(apt-get indextargets --format \
		'$(SITE) $(RELEASE) $(COMPONENT) $(ORIGIN) $(LABEL)' \
		'Created-By: Packages')
	while read -r site release component origin label; do
		[ "$component" = main ] || continue
		case $release in
		"$codename" | stable | oldstable | testing | unstable) ;;
		*) continue ;;
		esac
		case $origin/$label in
		Debian/Debian | /) echo "$site"; return 0 ;;
		esac
	done <<<"$all"
	die "no Debian mirror found in apt's configuration: add one for $codename main"
}

debian_keyring()
{
	local f
	for f in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
		if [ -e "$f" ]; then
			echo "$f"
			return 0
		fi
	done
	die "no Debian keyring: install debian-archive-keyring"
}

# Writes the sources list for SUITE to FILE. Here and below, several suites may
# be named as one, joined with '+'.
debian_sources()
{
	local mirror keyring suite

	mirror=$(debian_mirror) && keyring=$(debian_keyring) || exit 1
	for suite in ${1//+/ }; do
		printf 'deb [signed-by=%s] %s %s main\n' \
			"$keyring" "$mirror" "$suite"
	done >"$2"
}

# Writes the apt configuration for SUITE: the host's ways of fetching (proxies
# and the like), none of its hooks and preferences, and a state of its own.
apt_suite_config()
{
	local d=$lab_cache/apt/$1

	mkdir -p "$d/lists/partial" "$d/state" "$d/cache/archives/partial"
	debian_sources "$1" "$d/sources.list" || exit 1
	{
		apt-config dump | grep '^Acquire::'
		cat <<-END
		Dir::Etc::main "/dev/null";
		Dir::Etc::parts "/dev/null";
		Dir::Etc::sourcelist "$d/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State "$d/state";
		Dir::State::lists "$d/lists";
		Dir::State::status "/dev/null";
		Dir::Cache "$d/cache";
		Dir::Cache::pkgcache "";
		Dir::Cache::srcpkgcache "";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::Retries "2";
		END
	} >"$d/apt.conf"
}

# Runs an apt program (first argument after the suite) with a state of the
# lab's own that knows SUITE and nothing else.
apt_suite()
{
	local suite=$1 program=$2
	shift 2
	APT_CONFIG=$lab_cache/apt/$suite/apt.conf "$program" -qq "$@"
}

# Brings the private lists of SUITE up to date.
apt_suite_update()
{
	apt_suite_config "$1"
	with_progress "reading the package lists of $1" \
		apt_suite "$1" apt-get update ||
		die "cannot read the package lists of $1: is the mirror of the host's apt reachable?"
}

# The versioned package that the metapackage PACKAGE of SUITE stands for.
apt_suite_resolve()
{
	local name

	name=$(apt_suite "$1" apt-cache depends --important "$2" |
		sed -n "s/^ *Depends: \($2.*\|${2%-*}-[0-9].*\)/\1/p" | head -n 1)
	[ -n "$name" ] || die "$2 of $1 depends on no versioned package"
	echo "$name"
}

# The version of PACKAGE in SUITE.
apt_suite_version()
{
	apt_suite "$1" apt-cache show --no-all-versions "$2" |
		sed -n 's/^Version: //p'
}

# Downloads PACKAGE of SUITE into DIR.
apt_suite_download()
{
	(cd "$3" && with_progress "downloading $2" \
		apt_suite "$1" apt-get download "$2") ||
		die "cannot download $2 of $1"
}

# Removes what else is in the cache under NAME-*, and keeps the rest of the
# arguments.
remove_others()
{
	local name=$1 f keep
	shift
	for f in "$lab_cache/$name"-*; do
		for keep in "$@"; do
			[ "$f" = "$keep" ] && continue 2
		done
		rm -rf "$f"
	done
}
