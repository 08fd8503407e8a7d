#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Is what the documents name there, and do they name all that there is? Only what
# has a form that can be looked for: files, sections, options, targets, fields of
# the monitor's, lines of the log.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $number = 0;

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

# What of the first list isn't in the second.
sub lacking
{
	my ($these, $those) = @_;
	my %there = map { $_ => 1 } @$those;
	my %lacking = map { $_ => 1 } grep { !$there{$_} } @$these;

	return sort keys %lacking;
}

chdir(dirname(abs_path($0)) . '/../..') or die "$!\n";

my @documents = ('README.md', 'SECURITY.md', glob('Documentation/*.rst'));
my %text = map { $_ => slurp($_) } @documents;
my $readme = $text{'README.md'};
my $manual = $text{'Documentation/vfio-bridge.rst'};

# Every string of the daemon's, pieces put together; its names and numbers apart.
sub strings
{
	my $source = join("\n", map { slurp($_) } @_);

	$source =~ s/"\s*\n\s*"//g;
	return $source =~ /"((?:[^"\\\n]|\\.)*)"/g;
}

sub files
{
	my ($document) = @_;
	my @named = $text{$document} =~
		m{(?<![\w/.-])((?:selftests|bridge|vfio|pci|lib|tools|include|Documentation)/[\w./-]*\w)}g;

	# QEMU's, those of /dev and /run, and such as stand for others.
	return grep { !-e && !-e "$_.c" && !m{SUBJECT} } @named;
}

sub links
{
	my ($document) = @_;
	my @named = map { s/\s+/ /gr } $text{$document} =~ /(?<!`)`([^`<]+)`_/g;
	my @titles = $text{$document} =~ /^(\S.*)\n(?:===|---)/mg;

	return lacking(\@named, \@titles);
}

sub rst
{
	my ($document) = @_;

	return grep { !-e "Documentation/$_" }
		$text{$document} =~ m{(?<![\w/.-])([\w-]+\.rst)\b}g;
}

for my $document (@documents) {
	result("$document names files that are there",
	       files($document), rst($document));
	result("$document has the sections that it refers to",
	       links($document));
}

result('README.md names all others',
       grep { $_ ne 'README.md' && index($readme, s{.*/}{}r) < 0 } @documents);

my @options = slurp('bridge/usage.c') =~ /(?<![\w'-])(--[a-z][a-z-]+)/g;
my ($section) = $manual =~ /^Options\n=+\n(.*?)^Exit codes\n=/ms;
my @described = join("\n", $section =~ /^(``-.*)$/mg) =~ /(--[a-z][a-z-]+)/g;
result('--help and vfio-bridge.rst have the same options',
       map { "not in both: $_" } lacking(\@options, \@described),
       lacking(\@described, \@options));

my $makefiles = join("\n", map { slurp($_) } 'Makefile',
		     glob('selftests/*/Makefile.inc'));
my @targets = map { split } $makefiles =~ /^\.PHONY: (.*)$/mg;
my @told = $makefiles =~ /^#H   (\w+)  /mg;
result('make help names all targets, and no others',
       map { "not in both: $_" } lacking(\@targets, [@told, 'help', 'FORCE']),
       lacking(\@told, \@targets));

my @fields = grep { !/^(?:address|size|devices|uid)$/ }
	map { /^\w+$/ ? $_ : () } slurp('bridge/monitor.c') =~
	/(?:set_new\(\w+,\s*|json_pack\("[^"]*",\s*|^\s+|,\s*)"(\w+)",/mg;
($section) = $manual =~ /^What the monitor tells\n=+\n(.*?)^What it needs\n=/ms;
result('vfio-bridge.rst has all fields of the monitor\'s',
       lacking(\@fields, [$section =~ /``(\w+)``/g]));
result('which are more than ten', @fields > 10 ? () : "@fields");

# A word in capitals stands for what differs, or for itself.
my @strings = strings(glob('{bridge,vfio,pci,lib}/*.c'));
($section) = $manual =~ /^Messages\n=+\n(.*)/ms;
my @lines = map { /``([^`]+)``/g } $section =~ /^(``.*)$/mg;
result('the daemon says what vfio-bridge.rst has as its messages', grep {
	my $line = join('.*', map { quotemeta }
			split(/\b[A-Z]+\b/, $_, -1));

	!grep { /$line/ } @strings;
} @lines);
result('which are more than twenty', @lines > 20 ? () : "@lines");
print "1..$number\n";
