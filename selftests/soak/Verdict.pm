# SPDX-License-Identifier: GPL-2.0-only
#
# The soak's table and what it says of a run. conductor counts; here is judged,
# so that the rules can be tested without the lab (unit/soak_test.pl).
#
#	data errors, failures, leaks	must be 0
#	excused failures		may be
#	all others			must not be, after EXERCISED_S seconds: what
#					never happened wasn't tested
#
# A daemon's holdings are numbers by name. While idle it may have no more of any
# than it had, but for its memory, see MEMORY.

package Verdict;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT_OK = qw(@SHARED @OWN grown judge status table);

use constant {
	EXERCISED_S	=> 300,
	# KiB of RssAnon. All threads of a daemon share a heap (bridge/main.c), of
	# which a session gives back all that it had: in 6144 sessions one after the
	# other it doesn't rise by a page (protocol/growth_test). Those of several
	# devices end in any order, and libc cuts the end of the heap off when more
	# than 128 KiB of it are free. The rest is for stacks of threads that have
	# ended, which are deeper one day than on another; the level is taken when
	# there have been as many threads as there can be.
	MEMORY		=> 160,
};

# What clients count, in the order of struct soak_counters.
our @SHARED = ('sessions', 'maps', 'DMA bytes verified', 'unmaps verified',
	       'interrupts', 'resets', 'refused clients', 'wrong messages',
	       'migrations', 'data errors');
# What the conductor does.
our @OWN = ('killed clients', 'unplugs', 'unbinds', 'PCIe errors',
	    'daemons ended', 'daemons killed', 'shadowed rounds',
	    'programs on VFIO itself', 'excused failures', 'failures', 'leaks');
my @bad = ('data errors', 'failures', 'leaks');
my @may = ('excused failures');

# What is more than it was, as text, or ''. What can't be read is more, too.
sub grown
{
	my ($now, $then) = @_;
	my @more;

	for (sort keys %$then) {
		my $slack = $_ eq 'RssAnon' ? MEMORY : 0;

		push @more, "$_ $then->{$_} -> " . ($now->{$_} // 'unknown')
			if !defined($now->{$_}) ||
			   $now->{$_} > $then->{$_} + $slack;
	}
	return join(', ', @more);
}

sub rows
{
	my %bad = map { $_ => 1 } @bad;

	return ((grep { !$bad{$_} } @SHARED, @OWN), @bad);
}

# The table's lines.
sub table
{
	my ($count) = @_;

	return map { sprintf "%-26s %14s", $_, $count->{$_} // 'unknown' } rows();
}

# $cannot: rows that can't happen on this machine. Returns what is wrong, a line
# each, and nothing if all is well.
sub judge
{
	my ($count, $seconds, @cannot) = @_;
	my %bad = map { $_ => 1 } @bad;
	my %may = map { $_ => 1 } @may, @cannot;
	my @wrong;

	for (rows()) {
		my $n = $count->{$_};

		if (!defined $n) {
			push @wrong, "not counted: $_";
		} elsif ($bad{$_}) {
			push @wrong, "$n $_" if $n;
		} elsif (!$n && !$may{$_} && $seconds >= EXERCISED_S) {
			push @wrong, "nothing has happened: $_";
		}
	}
	return @wrong;
}

# Prints both. Returns what to exit with.
sub status
{
	my ($count, $seconds, @cannot) = @_;
	my @wrong = judge($count, $seconds, @cannot);

	print "\n", map { "$_\n" } table($count);
	print map { "soak: $_\n" } @wrong;
	return @wrong ? 1 : 0;
}

1;
