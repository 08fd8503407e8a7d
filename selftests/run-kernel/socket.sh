# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# In the lab: a daemon for a device, and programs that reach it by vfio-user-run
# and in no other way. For scripts to read in.
#
# The daemon is one unprivileged user, who has been given the device's nodes,
# and the program another, who has an empty /dev and may lock no memory.

daemon_uid=65534
program_uid=65533
memlock=$((3 << 30))

dir=$(mktemp -d) || exit 1
chmod 711 "$dir"
trap 'rm -rf "$dir"' EXIT

# The nodes of the device $1 for the way $2, to be given to the daemon.
nodes()
{
	sysfs=/sys/bus/pci/devices/$1
	case $2 in
	type1)
		echo "/dev/vfio/vfio"
		basename "$(readlink "$sysfs/iommu_group")" |
			sed 's:^:/dev/vfio/:'
		;;
	iommufd)
		echo "/dev/iommu"
		for d in "$sysfs"/vfio-dev/vfio*; do
			echo "/dev/vfio/devices/${d##*/}"
		done
		;;
	esac
}

# Serves the device $1 by $2, type1 or iommufd. Sets $daemon.
start_daemon()
{
	rm -f "$dir/run/socket"
	mkdir -p "$dir/run"
	chown "$daemon_uid" "$dir/run"
	nodes "$1" "$2" | xargs chown "$daemon_uid" || return
	# The socket is for all users.
	(
		umask 0
		exec prlimit --memlock="$memlock" setpriv \
			--reuid="$daemon_uid" --regid="$daemon_uid" \
			--clear-groups --no-new-privs --pdeathsig TERM \
			"$LAB_OUT/vfio-bridge" --device="$1" --iommu="$2" \
			--socket-path="$dir/run/socket"
	) >"$dir/daemon" 2>&1 </dev/null &
	daemon=$!
	for _ in $(seq 200); do
		[ ! -S "$dir/run/socket" ] || return 0
		kill -0 $daemon 2>/dev/null || break
		sleep 0.05
	done
	return 1
}

stop_daemon()
{
	kill "$daemon" 2>/dev/null
	wait "$daemon"
	echo "the daemon ended with status $?" >>"$dir/daemon"
}

# Runs a program with an empty /dev, no privilege and no memory to lock.
confined()
{
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare --mount --propagation private sh -c '
		mount -t tmpfs -o ro,mode=755 none /dev &&
		uid=$1 && shift &&
		exec prlimit --memlock=0 setpriv --reuid="$uid" \
			--regid="$uid" --clear-groups --inh-caps=-all \
			--bounding-set=-all --no-new-privs "$@"
	' confined "$program_uid" "$@"
}

# Runs a program so for $1 seconds at most, on the device $2 of the daemon.
on_socket()
{
	seconds=$1
	bdf=$2
	shift 2
	confined timeout -k 5 "$seconds" "$LAB_OUT/vfio-user-run" \
		--device "$bdf=$dir/run/socket" -- "$@"
}
