#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Documentation/security.rst says of each claim which tests show it. Are they there,
# and does "make check" run them?
#
# The section "How it is tested" is a list: a claim, and indented below it what
# shows it, in double backquotes:
#	fake/dma_test, unit/calls_test.pl	a program of a ring
#	nvme_test				a program, of the ring named last
#	rule13_..., rule13_*, rule13_all	cases of the program named last
#	fake					all of a ring
# After "lab:" come programs that run in the virtual machine.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);

my $top = dirname(abs_path($0)) . '/../..';
my $build = $ENV{O} // "$top/build";
my $number = 0;
my %sources;	# ring => { program => its source }

sub result
{
	my ($name, @why) = @_;

	$number++;
	print "# $_\n" for @why;
	print @why ? 'not ' : '', "ok $number $name\n";
}

sub slurp
{
	my ($path) = @_;

	open(my $file, '<', $path) or die "$path: $!\n";
	local $/;
	return <$file>;
}

# What $(O)/checks has, and the programs that scripts run in the lab.
sub read_checks
{
	for (split(/\n/, slurp("$build/checks"))) {
		my ($ring, $path) = m{^(\S+) \S*?(selftests/\S+)} or next;

		$ring = 'lab' if $ring eq 'hw';
		$path .= '.c' if !-f $path;
		$sources{$ring}{basename($path) =~ s/\.c$//r} = $path;
		next if $ring ne 'lab' || $path =~ /\.c$/;
		for (slurp($path) =~ m{(selftests/\w+/\w+_test)\b}g) {
			$sources{lab}{basename($_)} //= "$_.c";
		}
	}
}

# Has a program a case of that name? "..." and "*" are what is left out.
sub has_case
{
	my ($source, $name) = @_;
	my $pattern = join('\w+', map { quotemeta } split(/\.\.\.|\*/, $name, -1));

	return grep { /^$pattern$/ }
		slurp($source) =~ /^TEST\w*\((?:\w+,\s*)?(\w+)/mg;
}

# What is wrong with what is said to show a claim.
sub check
{
	my ($text) = @_;
	my ($ring, $source, @why) = '';
	my $tests = 0;

	while ($text =~ /\b(lab):|``(?:(\w+)\/)?([^`]+)``/g) {
		my ($lab, $given, $name) = ($1, $2, $3);

		$ring = $lab // $given // $ring;
		if ($lab) {
			undef $source;
		} elsif ($sources{$ring}{$name}) {
			$source = $sources{$ring}{$name};
			$tests++;
		} elsif (!$given && $sources{$name}) {
			$tests++;
		} elsif (!$source || $given || $name =~ /_(?:test|fuzz)\b/) {
			push @why, "there is no $name in $ring";
		} elsif (!has_case($source, $name)) {
			push @why, "$source has no case $name";
		}
	}
	return $tests || @why ? @why : 'names no test';
}

chdir($top) or die "$top: $!\n";
read_checks();
my ($section) = slurp('Documentation/security.rst') =~
	/^How it is tested\n=+\n(.*)/ms or die "where is the section?\n";
while ($section =~ /^(\S[^\n]*(?:\n\S[^\n]*)*)\n((?:[ ]{4}[^\n]*\n)+)/mg) {
	my ($claim, $text) = ($1, $2);

	result($claim =~ s/\n/ /gr, check($text));
}
print "1..$number\n";
