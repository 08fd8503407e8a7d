# SPDX-License-Identifier: GPL-2.0-only
#
# Counts the results in one program's output.
#
# What counts is a line that begins in the first column with "ok N" or
# "not ok N", where N is one more than the number of results before it. That
# is what the kselftest harness prints. Everything else is for people: what
# subtests print is indented or behind a '#', and a test may well print "ok"
# on a line of its own. Since such a line can also look just like a result,
# no rule makes an output pass that has anything odd about it:
#
#   - "not ok N" counts whatever N is;
#   - the plan ("1..N", once, anywhere) and the number of results must agree;
#   - "Bail out!" is a failure, and so is an end in any other way than exit 0,
#     1 after a failure that was counted, or KSFT_SKIP when all is skipped;
#   - "# SKIP" is skipped, and so is "# XFAIL" or "# TODO": nothing is proven.
#     Not for "not ok", which is a failure whatever it says.
#
# "1..0 # SKIP reason" skips the program as a whole and counts as one.

package Tap;

use strict;
use warnings;

use constant KSFT_SKIP => 4;

sub new
{
	my ($class) = @_;

	return bless {
		passed => 0, failed => 0, skipped => 0, seen => 0,
		failures => [], skips => [],
	}, $class;
}

# Also for what isn't a result of the program's own.
sub fail
{
	my ($self, $what) = @_;

	$self->{failed}++;
	push @{$self->{failures}}, {what => $what};
}

sub skip
{
	my ($self, $what, $why) = @_;

	$self->{skipped}++;
	push @{$self->{skips}}, [$what, $why eq '' ? 'no reason given' : $why];
}

sub plan
{
	my ($self, $count, $rest) = @_;

	if (defined $self->{plan}) {
		$self->fail("a second plan: 1..$count");
		return;
	}
	$self->{plan} = $count;
	if ($count == 0 && $rest =~ /^#\s*skip\S*\s*(.*)$/i) {
		$self->{skip_all} = 1;
		$self->skip('all of it', $1);
	}
}

sub passed
{
	my ($self, $rest) = @_;

	$self->{seen}++;
	if ($rest =~ /^(.*?)\s*(?<!\\)#\s*(?:skip|xfail|todo)\S*\s*(.*)$/i) {
		$self->skip($1, $2);
	} else {
		$self->{passed}++;
	}
}

# One line of output, without its end. Returns 'pass', 'fail' or '' for what
# it was.
sub line
{
	my ($self, $line) = @_;

	$line =~ s/\s+\z//;
	if ($line =~ /^not ok\b\s*(\d*)[\s-]*(.*)$/) {
		$self->{seen}++;
		$self->fail($2 eq '' ? "test $1" : $2);
		return 'fail';
	}
	if ($line =~ /^ok (\d+)(?:\s+-)?(?:\s+(.*))?$/ &&
	    $1 == $self->{seen} + 1) {
		$self->passed($2 // '');
		return 'pass';
	}
	if ($line =~ /^1\.\.(\d+)\s*(.*)$/) {
		$self->plan($1, $2);
	} elsif ($line =~ /^Bail out!\s*(.*)$/) {
		$self->fail("bailed out: $1");
		return 'fail';
	}
	return '';
}

# Did the program end as the results say?
sub check_status
{
	my ($self, $status) = @_;
	my $signal = $status & 127;
	my $code = $status >> 8;

	if ($signal) {
		$self->fail("killed by signal $signal");
	} elsif ($code == KSFT_SKIP && !$self->{passed} && $self->{skipped}) {
		return;
	} elsif ($code && !($code == 1 && $self->{failed})) {
		$self->fail("exit status $code");
	}
}

# The program has ended with $status, as wait(2) gives it.
sub finish
{
	my ($self, $status) = @_;
	my $plan = $self->{plan};

	$self->check_status($status);
	if (!defined $plan) {
		$self->fail('no plan: not TAP, or it ended before its time');
	} elsif ($plan != $self->{seen}) {
		$self->fail("$plan tests planned, $self->{seen} results");
	} elsif ($plan == 0 && !$self->{skip_all}) {
		$self->fail('no tests');
	}
}

1;
