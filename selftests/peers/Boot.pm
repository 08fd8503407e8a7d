# SPDX-License-Identifier: GPL-2.0-only
#
# What boot-qemu and boot-linux share: running a program in the lab, with the
# lab's QEMU and a disk of their own, and adding tests of what that left behind
# to those of the program, in one TAP. $O is the build directory.

package Boot;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);

our @EXPORT_OK = qw($selftests result boot finish);

use constant LIMIT => 840;	# seconds for all of it

our $selftests = dirname(dirname(abs_path(__FILE__)));
my $build = abs_path($ENV{O} // "$selftests/../build");
my $tests = 0;
my $failures = 0;

sub result
{
	my ($ok, $what) = @_;

	$tests++;
	$failures++ if !$ok;
	print $ok ? 'ok' : 'not ok', " $tests - $what\n";
}

# Passes on what the lab prints but for the plan, which doesn't count what is
# still to come.
sub follow
{
	my ($fh, $line) = @_;

	while (<$fh>) {
		next if /^1\.\.\d+$/;
		$tests++ if /^(not )?ok /;
		$failures++ if /^not ok /;
		$line->($_) if $line;
		print;
	}
}

# Runs a program of this directory in the lab. Takes
#	kernel	stock or iommufd
#	name	of the caller, for the logs
#	disk	image of the NVMe disk
#	program	its name, and its arguments
#	options	more for the lab
#	env	more variables, as NAME=VALUE
#	line	called with each line that comes
# and returns what the lab's own failure leaves as a status, to be passed on.
sub boot
{
	my (%p) = @_;
	my ($program, @args) = @{$p{program}};
	my ($root, $fh);

	$| = 1;
	chomp($root = `'$selftests/lab/fetch-root'`);
	die "$p{name}: there is no QEMU for the lab\n" if $root eq '';
	open($fh, '-|', "$selftests/lab/run", "--kernel=$p{kernel}",
	     '--timeout=' . LIMIT, "--name=$p{name}-$p{kernel}",
	     "--disk=$p{disk}", "--bind=$root", @{$p{options} // []}, '--',
	     'env', "LAB_QEMU_ROOT=$root", @{$p{env} // []},
	     "$build/selftests/peers/$program", @args) or
		die "$p{name}: $selftests/lab/run: $!\n";
	follow($fh, $p{line});
	close($fh);
	return $? >> 8;
}

# The plan, and the status to exit with.
sub finish
{
	my ($status) = @_;

	print "1..$tests\n";
	return $failures ? 1 : $status;
}

1;
