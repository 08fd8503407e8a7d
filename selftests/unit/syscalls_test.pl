#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Do the comments that the daemon's seccomp filter is made of name what the
# functions call? What a function calls is read from an object file in which
# each function has a section of its own and nothing is inlined: the symbols
# that it refers to, turned into system calls by the table at the end of this
# file. A symbol that is neither ours nor in that table fails the test. Requests
# of ioctl(2), fcntl(2) and the like are looked up in the source.
#
# With --show, prints what each function's comment ought to say.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $top = dirname(abs_path($0)) . '/../..';
my $build = $ENV{O} // "$top/build";
my $show = @ARGV && $ARGV[0] eq '--show';
my @rooms = qw(bridge vfio pci lib);
my $number = 0;
my %table;	# symbol => system calls
my %ours;	# symbols that our objects define

# Those that mean different things by an argument are named with it.
my $bracketed = qr/^(?:ioctl|fcntl|kill|setsockopt|getsockopt|socketpair)$/;

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

# Lines that a command prints.
sub output
{
	open(my $pipe, '-|', @_) or die "$_[0]: $!\n";
	my @lines = <$pipe>;
	close($pipe) or die "$_[0] failed\n";
	return @lines;
}

sub read_table
{
	while (<DATA>) {
		my ($symbols, $calls) = /^([^:#]+):\s*(.*)$/ or next;

		$table{$_} = $calls for split(' ', $symbols);
	}
}

# The functions of an object: name => { symbol => 1 }
sub functions
{
	my ($object) = @_;
	my ($function, %found);

	for (output('objdump', '-r', $object)) {
		$function = $1 if /^RELOCATION RECORDS FOR \[(.*)\]/;
		next if !$function || $function !~ /^\.text\.(.+)/;
		my $name = $1;

		$found{$name} //= {};
		my ($symbol) = /^[0-9a-f]+ +\S+ +([^ +-]+)/ or next;
		# strtol() and its like as C99 and as C23 have them
		$symbol =~ s/^__isoc(?:99|23)_//;
		$found{$name}{$symbol} = 1 if $symbol !~ /^\./;
	}
	return %found;
}

# A function's text and the comment above it, out of a file; nothing if it
# isn't there.
sub definition
{
	my ($source, $name) = @_;

	return if $source !~ m{
		((?:^/\*(?:(?!\*/).)*\*/\n)?)		# comment
		(^(?:static\ |inline\ )*[a-z][^;{}\n/#]*\b\Q$name\E\(
		 [^;{}]*\)\n\{\n.*?^\}\n)		# function
	}msx;
	return ($1, $2);
}

sub named
{
	my ($comment) = @_;
	my @calls;

	while ($comment =~ /Syscalls(?: at start)?: ([^*\n]*)/g) {
		push @calls, split(' ', $1);
	}
	return @calls;
}

# The values in the source that a bracketed call is made with.
sub requests
{
	my ($text, $symbol) = @_;
	my @found;

	$text =~ s{/\*.*?\*/}{}sg;
	$text =~ s/"(?:[^"\\]|\\.)*"/""/g;
	while ($text =~ /\b$symbol\((?=([^;{]*))/g) {
		my $args = $1;

		# Up to the value: no commas within the first argument.
		push @found, $1 if $symbol eq 'socketpair' ?
			$args =~ /^\s*(\w+)/ :
			$symbol =~ /sockopt/ ?
			$args =~ /^[^,]+,\s*\w+,\s*(\w+)/ :
			$args =~ /^[^,]+,\s*(\w+)/;
	}
	return @found;
}

# The system calls of a symbol that a function refers to.
sub calls
{
	my ($text, $symbol) = @_;
	my $calls = $table{$symbol};

	# What threads do is told in seccomp.c for all.
	return if $symbol =~ /^pthread_/;
	return "?$symbol" if !defined $calls;
	return $text =~ /\bSYS_(\w+)/g if $symbol eq 'syscall';
	return $text =~ /_SC_PHYS_PAGES/ ? 'sysinfo' : ()
		if $symbol eq 'sysconf';
	return $calls if $calls !~ $bracketed;
	return map { "$calls($_)" } requests($text, $symbol);
}

sub check_file
{
	my ($path) = @_;
	my $source = slurp("$top/$path");
	my $headers = join('', map { slurp($_) }
			   glob("$top/include/*.h $top/*/*.h"));
	my (%left, @why);
	my %functions = functions("$build/calls/" . $path =~ s/c$/o/r);

	$left{$_}++ for named($source);
	for my $name (sort keys %functions) {
		my @found = definition($source, $name);
		@found = definition($headers, $name) if !@found;
		my ($comment, $text) = @found;
		my (%needs, %says);

		# Not ours: a library's, out of its header.
		($comment, $text) = ('', '') if !defined $text;
		for my $symbol (keys %{$functions{$name}}) {
			next if $ours{$symbol};
			$needs{$_} = 1
				for map { split } calls($text, $symbol);
		}
		$says{$_} = 1 for named($comment);
		$left{$_}-- for keys %says;
		print "$path $name: ", join(' ', sort keys %needs), "\n"
			if $show && %needs;
		push @why, map { "$name() calls $_, and no comment says so" }
			grep { !$says{$_} } sort keys %needs;
		push @why, map { "$name() doesn't call $_, as its comment says" }
			grep { !$needs{$_} } sort keys %says;
	}
	return @why;
}

read_table();
chdir($top) or die "$top: $!\n";
my @sources = map { glob("$_/*.c") } @rooms;
for my $path (@sources) {
	my $object = "$build/calls/" . $path =~ s/c$/o/r;

	$ours{$_} = 1 for map { (split)[-1] }
		output('nm', '--defined-only', $object);
}
$ours{sandbox_calls} = 1;

print '1..', scalar(@sources), "\n" if !$show;
for my $path (@sources) {
	my @why = check_file($path);

	result($path, @why) if !$show;
}

# What the functions of libraries call, a line each: what opens files on the way
# or asks the kernel for memory is told in seccomp.c for all. Those without any
# are known to make none.
__DATA__
accept4: accept4
access: access
bind: bind
capng_apply capng_get_caps_process: capget capset prctl
chdir: chdir
clock_gettime: clock_gettime
close closedir: close
connect: connect
eaccess: faccessat2
epoll_create1: epoll_create1
epoll_ctl: epoll_ctl
epoll_wait: epoll_wait
eventfd: eventfd2
eventfd_read read: read
eventfd_write fwrite write: write
fchownat: fchownat
fclose: close lseek
fcntl: fcntl
fgets: newfstatat read
fopen: openat
fprintf fputc fputs printf puts vfprintf: newfstatat write
fstat lstat stat: newfstatat
ftruncate: ftruncate
getcwd: getcwd
geteuid: geteuid
getrlimit setrlimit: prlimit64
getgrnam getpwnam: socket connect openat newfstatat read lseek close
getsockname: getsockname
getsockopt: getsockopt
ioctl: ioctl
fscanf: newfstatat read
kill: kill
listen: listen
memfd_create: memfd_create
mkdir: mkdir
mount: mount
mount_setattr: mount_setattr
move_mount: move_mount
nl_connect: socket bind setsockopt getsockname
nl_join_groups:
nl_recv: recvmsg
nl_socket_set_buffer_size nl_socket_set_nonblocking: setsockopt fcntl
nl_socket_free: close
open: openat
open_tree: open_tree
opendir: openat newfstatat
pci_lookup_name: openat newfstatat read close lseek
poll: poll
prctl: prctl
qsort: sysinfo
pread: pread64
pwrite: pwrite64
readdir: getdents64
readlink: readlink
realpath: readlink
recv: recvfrom
recvmsg: recvmsg
seccomp_init: seccomp prctl
seccomp_load: seccomp prctl
send: sendto
sendmsg: sendmsg
setsockopt: setsockopt
shutdown: shutdown
sigaction signal: rt_sigaction
signalfd: signalfd4
socket: socket
socketpair: socketpair
statx: statx
sysconf syscall: by its argument
timer_create: timer_create
timer_delete: timer_delete
timer_settime: timer_settime
umask: umask
umount2: umount2
unlink: unlink
unshare: unshare

calloc free malloc mallopt mmap munmap _exit getpid gettid:
sigaddset sigemptyset:

capng_clear capng_have_capability capng_update:
json_array json_array_append_new json_array_get json_array_size json_delete:
json_dumpb json_false json_integer json_integer_value json_loadb json_null:
json_object json_object_get json_object_seed json_object_set_new json_pack:
json_string json_true nl_socket_alloc nl_socket_get_fd:
pci_alloc pci_cleanup pci_set_param:
seccomp_attr_set seccomp_release seccomp_rule_add seccomp_rule_add_array:
seccomp_syscall_resolve_name:

__cmsg_nxthdr __ctype_b_loc __errno_location atoi getenv:
getopt_long memchr memcmp memcpy memmove memset open_memstream optarg optind:
snprintf:
sscanf stdout strchr strcmp strcpy strerrordesc_np strerrorname_np strlen strncmp:
strcspn strrchr strspn strstr strtol strtoul strtoull tdelete tfind tolower:
tsearch twalk_r vsnprintf:
