#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# How the soak judges what it has counted (../soak/Verdict.pm), and what it exits
# with. The soak itself takes as long as it is told, and isn't run here.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
my $top;
BEGIN { $top = dirname(abs_path($0)) . '/../..' }
use lib "$top/selftests/soak";
use Verdict qw(@SHARED @OWN grown judge status table);

my @bad = ('data errors', 'failures', 'leaks');
my $number = 0;

sub result
{
	my ($ok, $name, @why) = @_;

	$number++;
	print "# $_\n" for $ok ? () : @why;
	print $ok ? '' : 'not ', "ok $number $name\n";
}

sub is
{
	my ($got, $want, $name) = @_;

	result($got eq $want, $name, "got '$got'", "want '$want'");
}

# A good run, but for what is said.
sub counts
{
	my (%but) = @_;
	my %count = map { $_ => 1 } @SHARED, @OWN;

	return {%count, (map { $_ => 0 } @bad), %but};
}

sub said { return join('; ', judge(@_)) }

# What status() prints and returns.
sub printed
{
	my (@args) = @_;
	my $text = '';

	open(my $f, '>', \$text) or die;
	my $old = select($f);
	my $status = status(@args);
	select($old);
	return ($text, $status);
}

# Each rule, for each row that it is about
sub test_rows
{
	my %may = map { $_ => 1 } 'excused failures', @bad;

	is(said(counts(), 300), '', 'a good run is good');
	is(said(counts($_ => 1), 1), "1 $_", "one of $_ is one too many") for @bad;
	for my $row (grep { !$may{$_} } @SHARED, @OWN) {
		my $c = counts($row => 0);

		is(said($c, 300), "nothing has happened: $row",
		   "$row: never, in 300 s");
		is(said($c, 299), '', "$row: never, in less");
	}
	is(said(counts('excused failures' => 0), 1000), '',
	   'excused failures: none is fine');
	is(said(counts(migrations => 0), 1000, 'migrations'), '',
	   'what cannot happen needs not');
	is(said(counts(migrations => 0, unplugs => 0), 1000, 'migrations'),
	   'nothing has happened: unplugs', 'but all else has to');
	is(said(counts(leaks => 2, failures => 3), 10), '3 failures; 2 leaks',
	   'all that is wrong is said');
	is(said(counts(unplugs => undef), 10), 'not counted: unplugs',
	   'what was not counted is not good');
	is(said(counts(leaks => undef), 10), 'not counted: leaks',
	   'nor are leaks');
}

# What conductor exits with
sub test_status
{
	my ($text, $status) = printed(counts(sessions => 1234567), 300);
	my @table = table(counts());

	result($status == 0, 'good: exit with 0', $status);
	result(scalar($text =~ /^sessions +1234567$/m), 'a row is printed', $text);
	result(@table == @SHARED + @OWN, 'all rows are printed', @table);
	is(join(', ', map { s/ +\d+$//r } @table[-3 .. -1]), join(', ', @bad),
	   'those that must be 0 come last');
	for my $row (@bad) {
		($text, $status) = printed(counts($row => 4), 10);
		result($status == 1 && scalar($text =~ /^soak: 4 $row$/m),
		       "$row: said, and exit with 1", $status, $text);
	}
	($text, $status) = printed(counts(unplugs => 0), 300);
	result($status == 1 &&
	       scalar($text =~ /^soak: nothing has happened: unplugs$/m),
	       'a row that stays 0: said, and exit with 1', $status, $text);
}

# What an idle daemon may hold
sub test_grown
{
	my $then = { fds => 9, Threads => 1, VmPin => 0, VmLck => 0,
		     mappings => 3, RssAnon => 600 };

	is(grown($then, $then), '', 'no more than it was');
	is(grown({%$then, fds => 8}, $then), '', 'less than it was');
	for (grep { $_ ne 'RssAnon' } sort keys %$then) {
		my $more = $then->{$_} + 1;

		is(grown({%$then, $_ => $more}, $then),
		   "$_ $then->{$_} -> $more", "one more of $_ is more");
	}
	is(grown({%$then, RssAnon => 760}, $then), '', '160 KiB are allowed');
	is(grown({%$then, RssAnon => 764}, $then), 'RssAnon 600 -> 764',
	   'and not a page more');
	is(grown({}, {fds => 1}), 'fds 1 -> unknown',
	   'what cannot be read is a leak');
}

# The order is C's, and only the order says what a number means.
sub test_counters
{
	open(my $f, '<', "$top/selftests/soak/soak.h") or die "soak.h: $!";
	local $/;
	my ($fields) = <$f> =~ /struct soak_counters \{(.*?)\}/s;
	my @fields = $fields =~ /uint64_t (\w+);/g;
	my %names = ('DMA bytes verified' => 'dma_bytes',
		     'unmaps verified' => 'unreached',
		     'refused clients' => 'refused');

	is(join(' ', @fields),
	   join(' ', map { $names{$_} // tr/ /_/r } @SHARED),
	   'rows are in the order of struct soak_counters');
}

# soak itself, in a lab that only says how it ended: it fails if any kernel does.
sub test_kernels
{
	my $tmp = tempdir(CLEANUP => 1);
	my $lab = "$tmp/lab/run";

	mkdir "$tmp/$_" for 'soak', 'lab';
	copy("$top/selftests/soak/soak", "$tmp/soak/soak") or die "copy: $!";
	open(my $f, '>', $lab) or die "$lab: $!";
	print $f <<'END';
#!/bin/sh
# Ends as the conductor in it would, on this kernel.
echo "ran $1"
case $1 in
--kernel=stock) exit "$STOCK" ;;
--kernel=iommufd) exit "$IOMMUFD" ;;
esac
exit 9
END
	close $f;
	chmod 0755, "$tmp/soak/soak", $lab;
	for ([0, 0, 0], [1, 0, 1], [0, 1, 1], [124, 0, 1], [1, 1, 1]) {
		my ($stock, $iommufd, $want) = @$_;

		local $ENV{STOCK} = $stock;
		local $ENV{IOMMUFD} = $iommufd;
		delete local $ENV{SOAK_KERNELS};
		my $text = qx($tmp/soak/soak 1 2>&1);
		result($? >> 8 == $want && 2 == (() = $text =~ /^ran --kernel/mg),
		       "kernels end with $stock and $iommufd: soak with $want",
		       $?, $text);
	}
}

test_rows();
test_status();
test_grown();
test_counters();
test_kernels();
print "1..$number\n";
