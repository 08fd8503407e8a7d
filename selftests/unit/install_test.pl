#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Does "make install" put everything where DESTDIR and prefix say, and nothing
# anywhere else?

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find qw(find);
use File::Temp qw(tempdir);
use JSON::PP;

my $top = dirname(abs_path($0)) . '/../..';
my $build = $ENV{O} // "$top/build";
my $tmp = tempdir(CLEANUP => 1);
my $root = "$tmp/root";
my $prefix = '/opt/a b';
my $number = 0;

sub result
{
	my ($ok, $name, @why) = @_;

	$number++;
	print "# $_\n" for $ok ? () : @why;
	print $ok ? '' : 'not ', "ok $number $name\n";
}

sub install
{
	my (@args) = @_;
	my @output;
	my $pid = open(my $pipe, '-|') // die "fork: $!\n";

	if (!$pid) {
		open(STDERR, '>&', \*STDOUT);
		exec('make', '-C', $top, "O=$build", 'install', @args);
		exit(127);
	}
	@output = <$pipe>;
	close($pipe);
	chomp(@output);
	return @output;
}

# Mode and name of each file, below the root.
sub installed
{
	my @found;

	find({no_chdir => 1, wanted => sub {
		return if -d;
		push @found, sprintf('%03o %s', (stat)[2] & 0777,
				     substr($_, length($root)));
	}}, $root) if -d $root;
	return sort @found;
}

sub read_file
{
	my ($file) = @_;

	open(my $fh, '<', $file) or return '';
	local $/;
	return <$fh>;
}

sub same_list
{
	my ($got, $due) = @_;

	return join("\n", @$got) eq join("\n", @$due);
}

my @documents = map { s/.*\///r } glob("$top/Documentation/*.rst");
my @due = sort(
	"755 $prefix/bin/vfio-bridge",
	"755 $prefix/bin/vfio-user",
	"755 $prefix/bin/vfio-user-run",
	"644 $prefix/lib/vfio-user-run/libvfio-user-run.so",
	"644 $prefix/share/vfio-user/50-vfio-bridge.json",
	map { "644 $prefix/share/doc/vfio-bridge/$_" }
		'README.md', 'SECURITY.md', 'COPYING', @documents,
);
my ($json, @output, @found);

print "1..7\n";
@output = install("DESTDIR=$root", "prefix=$prefix");
result($? == 0, 'make install', @output);
@found = installed();
result(same_list(\@found, \@due), 'these files with these modes and no others',
       'found:', @found, 'not:', @due);

$json = eval {
	decode_json(read_file(
		"$root$prefix/share/vfio-user/50-vfio-bridge.json"));
} // {};
result(($json->{type} // '') eq 'vfio-user' && $json->{description} &&
       ref($json->{tags}) eq 'ARRAY', 'the description of the backend', $@);
result(($json->{binary} // '') eq "$prefix/bin/vfio-bridge",
       'its binary has the prefix and not DESTDIR', $json->{binary} // 'none');
result(-x $root . ($json->{binary} // '/none'), 'its binary is there');

@output = install("DESTDIR=$root", "prefix=$prefix");
result($? == 0 && same_list([installed()], \@due), 'install again', @output);

$root = "$tmp/default";
install("DESTDIR=$root");
result(-x "$root/usr/local/bin/vfio-bridge",
       'the prefix is /usr/local if not said', installed());
