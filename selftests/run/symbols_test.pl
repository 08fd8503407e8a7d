#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Does the preload library stand in front of everything that a program can be
# compiled to call for the functions that it answers? Each function is compiled
# in all the ways that the headers know: with each level of _FORTIFY_SOURCE, with
# names for large files and without, for two versions of C, and by each compiler
# that is there. Every symbol that the result needs must be the library's.
#
# Programs that were linked with other releases of libc need names that these
# headers don't have any more, or not yet: they are listed.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

my $top = dirname(abs_path($0)) . '/../..';
my $build = $ENV{O} // "$top/build";
my $dir = tempdir(CLEANUP => 1);
my $number = 0;

# libc before 2.33; of all releases; and since 2.43
my @other_names = qw(
	__xstat __lxstat __fxstat __fxstatat
	__xstat64 __lxstat64 __fxstat64 __fxstatat64
	__open __open64 __close __dup2 __fcntl __read __write
	__pread64 __pwrite64 __lseek llseek
	openat2
);
# What the compiler itself adds
my $not_ours = qr/^(?:_GLOBAL_OFFSET_TABLE_|__stack_chk_fail)$/;

sub result
{
	my ($name, @why) = @_;

	$number++;
	print "# $_\n" for @why;
	print @why ? 'not ' : '', "ok $number $name\n";
}

sub output
{
	open(my $pipe, '-|', @_) or die "$_[0]: $!\n";
	my @lines = <$pipe>;
	close($pipe) or die "@_ failed\n";
	return @lines;
}

# Symbols that nm prints, without their versions
sub symbols
{
	return map { /(\S+?)(?:@\S*)?$/ ? $1 : () } output('nm', @_);
}

my %defined = map { $_ => 1 }
	symbols('-D', '--defined-only', "$build/libvfio-user-run.so");

sub missing
{
	return map { "$_ isn't the library's" }
	       grep { !/$not_ours/ && !$defined{$_} } @_;
}

sub has_compiler
{
	my ($cc) = @_;

	return grep { -x "$_/$cc" } split /:/, $ENV{PATH};
}

sub compile
{
	my ($cc, @flags) = @_;

	system($cc, '-O2', '-D_GNU_SOURCE', '-w', @flags, '-c', '-o',
	       "$dir/uses.o", "$dir/uses.c") == 0 or die "$cc failed\n";
	return symbols('-u', "$dir/uses.o");
}

open(my $source, '>', "$dir/uses.c") or die "$dir: $!\n";
print $source <DATA>;
close($source) or die "$dir: $!\n";

my %seen;
for my $cc (grep { has_compiler($_) } qw(gcc clang)) {
	for my $std (qw(gnu11 gnu2x)) {
		for my $level (0 .. 3) {
			my @flags = ("-std=$std", '-U_FORTIFY_SOURCE',
				     "-D_FORTIFY_SOURCE=$level");
			my @narrow = compile($cc, @flags);
			my @wide = compile($cc, @flags,
					   '-D_FILE_OFFSET_BITS=64');

			$seen{$_}++ for @narrow, @wide;
			result("$cc, $std, _FORTIFY_SOURCE=$level",
			       missing(@narrow, @wide));
		}
	}
}
# Were these really other names?
result('the headers give other names',
       map { "$_ wasn't seen" } grep { !$seen{$_} }
       qw(open open64 __open_2 __open64_2 __openat_2 __openat64_2 __read_chk
	  __pread_chk __pread64_chk fcntl64 mmap64 fstat64 preadv64v2 lseek64));
result('names of other releases', missing(@other_names));

# Are the programs that stand for old ones what those are?
sub looks_old
{
	my ($program, @names) = @_;
	my ($needed, %version) = ('');

	for (output('objdump', '-p', '-T', $program)) {
		$needed .= " $1 " if /^\s+NEEDED\s+(\S+)/;
		$version{$2} = $1 if /\*UND\*.*?\(?GLIBC_([\d.]+)\)?\s+(\S+)$/;
	}
	return map({ $needed =~ / \Q$_\E / ? () : "$program doesn't need $_" }
		   qw(libpthread.so.0 libdl.so.2)),
	       map({ ($version{$_} // '') =~ /^2\.(?:2\.5|4)$/ ? () :
		     "$program has $_ of version " . ($version{$_} // 'none') }
		   @names),
	       map({ "$program has $_, which is new" }
		   grep { $version{$_} } qw(stat fstat lstat fstatat fcntl64));
}

my @threads = qw(pthread_create pthread_join);
my @stats = map { ("__$_", "__${_}64") } qw(xstat lxstat fxstat fxstatat);
result('old_process_test is old',
       looks_old("$build/selftests/run/old_process_test", @threads, 'fcntl',
		 @stats));
result('old_ioctl_test is old',
       looks_old("$build/selftests/run/old_ioctl_test"));

my ($linker) = map { /interpreter: (\S+?)\]/ } output('readelf', '-l',
		"$build/selftests/run/new_process_test");
result('new_process_test has a libc of its own',
       ($linker // '') =~ m{/libc-root-[^/]+/} ? () : "its linker is $linker");
print "1..$number\n";

__DATA__
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <threads.h>
#include <unistd.h>

long files(int fd, const char *path, int flags, mode_t mode)
{
	return open(path, flags) + open(path, flags, mode) +
	       openat(fd, path, flags) + openat(fd, path, flags, mode) +
	       open64(path, flags) + open64(path, flags, mode) +
	       openat64(fd, path, flags) + openat64(fd, path, flags, mode) +
	       creat(path, mode) + creat64(path, mode) +
	       dup(fd) + dup2(fd, flags) + dup3(fd, flags, O_CLOEXEC) +
	       fcntl(fd, F_DUPFD_CLOEXEC, 3) + fcntl(fd, F_GETFD) +
	       ioctl(fd, flags, path) + close(fd) +
	       close_range(fd, flags, 0);
}

long numbers(int fd)
{
	closefrom(fd);
	return 0;
}

long reads(int fd, size_t n, off_t at, struct iovec *iov)
{
	char buf[16];

	return read(fd, buf, n) + pread(fd, buf, n, at) +
	       pread64(fd, buf, n, at) + write(fd, buf, n) +
	       pwrite(fd, buf, n, at) + pwrite64(fd, buf, n, at) +
	       readv(fd, iov, n) + writev(fd, iov, n) +
	       preadv(fd, iov, n, at) + pwritev(fd, iov, n, at) +
	       preadv64(fd, iov, n, at) + pwritev64(fd, iov, n, at) +
	       preadv2(fd, iov, n, at, 0) + pwritev2(fd, iov, n, at, 0) +
	       preadv64v2(fd, iov, n, at, 0) + pwritev64v2(fd, iov, n, at, 0) +
	       lseek(fd, at, SEEK_SET) + lseek64(fd, at, SEEK_SET);
}

long stats(int fd, const char *path, struct stat *st, struct stat64 *st64,
	   struct statx *stx)
{
	return stat(path, st) + lstat(path, st) + fstat(fd, st) +
	       fstatat(fd, path, st, 0) + stat64(path, st64) +
	       lstat64(path, st64) + fstat64(fd, st64) +
	       fstatat64(fd, path, st64, 0) +
	       statx(fd, path, 0, STATX_ALL, stx) + access(path, R_OK) +
	       faccessat(fd, path, R_OK, 0) + euidaccess(path, R_OK) +
	       eaccess(path, R_OK);
}

void *memory(void *at, size_t n, int fd)
{
	madvise(at, n, MADV_DONTNEED);
	mlock(at, n);
	mlock2(at, n, 0);
	munlock(at, n);
	mlockall(MCL_CURRENT);
	munlockall();
	munmap(at, n);
	at = mmap(at, n, PROT_READ, MAP_SHARED, fd, 0);
	at = mmap64(at, n, PROT_READ, MAP_SHARED, fd, 0);
	return mremap(at, n, 2 * n, MREMAP_MAYMOVE);
}

int threads(pthread_t *p, thrd_t *t, void *(*fn)(void *), thrd_start_t c11)
{
	return pthread_create(p, NULL, fn, p) + thrd_create(t, c11, p);
}
