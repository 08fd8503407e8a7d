# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What the lint programs share. Each is run in the top directory, takes a
# list of files and prints a test for each of them: a file is clean when a
# tool says nothing about it and exits with 0.

rooms='include lib vfio pci bridge tools selftests'

# Files in our rooms with names like the patterns.
files()
{
	set -f
	names=
	for pattern; do
		names="$names ${names:+-o} -name $pattern"
	done
	# shellcheck disable=SC2086 # words
	find $rooms -type f \( $names \) | sort
	set +f
}

# tap COMMAND, with the names of files on standard input: COMMAND FILE says
# what is wrong with FILE.
tap()
{
	count=0
	while read -r file; do
		count=$((count + 1))
		if said=$("$@" "$file" 2>&1) && [ -z "$said" ]; then
			echo "ok $count $file"
		else
			echo "${said:-$1 failed}" | sed 's/^/# /'
			echo "not ok $count $file"
		fi
	done
	echo "1..$count"
}
