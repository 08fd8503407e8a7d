#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Can every call of the daemon's be made to fail? What its objects refer to and
# don't define is read from them, with and without sanitizers. Each name is
# either one that variants.c and wraps have, or in the list at the end of this
# file, with the reason why it isn't. A new call is in neither, and fails the test
# until it is.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $top = dirname(abs_path($0)) . '/../..';
my $build = $ENV{O} // "$top/build";
my @rooms = qw(bridge vfio pci lib);
my $number = 0;

# Of the compiler's and the sanitizers' making
my $made = qr/^(?:__[au]b?san_|__stack_chk_fail$|_GLOBAL_OFFSET_TABLE_$)/;

sub result
{
	my ($name, @why) = @_;

	$number++;
	print "# $_\n" for @why;
	print @why ? 'not ' : '', "ok $number $name\n";
}

# Names that nm lists with these options
sub names
{
	my @command = @_;

	open(my $pipe, '-|', 'nm', @command) or die "nm: $!\n";
	my @names = map { /^(?:[0-9a-f]+)?\s*\w (\S+)$/ ? $1 : () } <$pipe>;
	close($pipe) or die "nm failed\n";
	return @names;
}

sub outside
{
	my ($dir) = @_;
	my @objects = map {
		my $room = $_;
		map { s{^\Q$top\E/(.*)\.c$}{$dir/$1.o}r }
			glob("$top/$room/*.c");
	} @rooms;
	my %ours = map { $_ => 1 } names('-g', '--defined-only', @objects);

	$ours{sandbox_calls} = 1;
	return grep { !$ours{$_} && !/$made/ } names('-u', @objects);
}

# Without what the C library's headers make of a name
sub plain
{
	my ($name) = @_;

	return $name =~ s/^__(?:isoc\d+_)?(\w+?)(?:_chk)?$/$1/r
		if $name =~ /^__isoc|_chk$/;
	return $name;
}

my %wrapped = map { s/^faulty_//r => 0 }
	grep { /^faulty_/ }
	names('-g', '--defined-only', map { "$build/selftests/faults/$_.o" }
	      qw(variants wraps));
my (%harmless, %used, %called);
while (<DATA>) {
	s/#.*//;
	$harmless{$_} = 0 for split(' ');
}

print "1..4\n";
for my $dir ($build, "$build/san") {
	my @why;

	for my $name (sort { $a cmp $b } outside($dir)) {
		next if $used{$dir . $name}++;
		$called{plain($name)} = 1;
		$harmless{plain($name)}++ if exists $harmless{plain($name)};
		push @why, "$name() is neither made to fail nor harmless"
			if !exists $wrapped{$name} &&
			   !exists $harmless{plain($name)};
	}
	result("calls of the objects in " . $dir =~ s{^\Q$top\E/}{}r, @why);
}
result('variants.c and wraps have nothing that nobody calls',
       grep { !$called{plain($_)} } sort keys %wrapped);
result('the list of what is harmless has nothing that nobody calls',
       map { exists $wrapped{$_} ? "$_ is made to fail" : $_ }
       grep { !$harmless{$_} || exists $wrapped{$_} } sort keys %harmless);

__DATA__
# They look at what they are given, or write to where there is room.
__ctype_b_loc __ctype_tolower_loc __errno_location getenv getopt_long memchr
memcmp memcpy memmove memset optarg optind stdout strchr strcmp strcpy strcspn
strerrordesc_np strerrorname_np strlen strncmp strrchr strspn strstr strtol
strtoul strtoull snprintf sscanf vsnprintf
# They have nothing that could go wrong.
_exit clock_gettime free geteuid getpid gettid mallopt sysconf tdelete tfind
twalk_r umask
# Without memory it sorts all the same.
qsort
# They fail only for arguments that are wrong: a signal, a timer or a thread that
# isn't one, a lock that isn't held.
pthread_attr_destroy pthread_attr_setdetachstate pthread_attr_setstacksize
pthread_cond_broadcast pthread_cond_destroy pthread_cond_init
pthread_condattr_destroy pthread_condattr_init pthread_condattr_setclock
pthread_detach pthread_join pthread_kill pthread_mutex_destroy
pthread_mutex_init pthread_mutex_lock pthread_mutex_unlock pthread_once
pthread_sigmask sigaction sigaddset sigemptyset signal timer_delete
timer_settime
# That time is up is what they are called for.
pthread_clockjoin_np pthread_cond_clockwait
# Mappings are only ever unmapped whole, as they were made, and of these there
# are fewer than there may be (vfio/window.c).
munmap
# Of eventfds of our own that nobody else adds to.
eventfd_write
# Whether somebody lives; either answer will do.
kill
# They close what was read.
closedir fclose
# Names that aren't there are what their failures look like.
getgrnam getpwnam
# What is said on standard output: --help, --check.
fprintf fputc fputs fwrite printf
puts vfprintf
# The mount namespace. The software VFIO refuses unshare(2) before.
chdir getcwd mkdir mount mount_setattr move_mount open_tree umount2
# jansson fails when it can't allocate, which variants.c has it do.
json_array json_array_append_new json_array_get json_array_size json_delete
json_dumpb json_false json_integer json_integer_value json_loadb json_null
json_object json_object_get json_object_seed json_object_set_new json_pack
json_string json_true
# What they do is remembered only; or undone.
capng_clear capng_have_capability capng_update nl_join_groups nl_socket_free
nl_socket_get_fd pci_cleanup pci_set_param seccomp_release
seccomp_syscall_resolve_name
# A name that isn't known is left out.
pci_lookup_name
