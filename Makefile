# SPDX-License-Identifier: GPL-2.0-only
#
# vfio-bridge. "make help" lists the targets.
#
# Every program exists twice: $(O)/... is what gets installed, $(O)/san/... is
# the same compiled with AddressSanitizer and UndefinedBehaviorSanitizer, for
# the tests.  An object depends on its source, on the headers that it read
# (-MMD) and on the text of its compiler flags ($(O)/.flags and its like are
# rewritten only when that text changes).  All of our objects go into one
# archive, $(O)/rooms.a, from which a test links what it calls.
#
# selftests/*/Makefile.inc may add rules, and programs for "make check" to
#	unit-progs	run on the host
#	fake-progs	run on the host, against the software VFIO
#	hw-progs	run in the lab
#	lab-progs	run on the host, boot the lab: called with a kernel's name
# and whatever else is to be built with the tests to
#	test-extra

MAKEFLAGS	+= -rR --no-print-directory
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:

O		?= build
V		?= 0
C		?= 0
prefix		?= /usr/local
bindir		?= $(prefix)/bin
libdir		?= $(prefix)/lib
preloaddir	= $(libdir)/vfio-user-run
datadir		?= $(prefix)/share
docdir		?= $(datadir)/doc/vfio-bridge
DESTDIR		?=

ifeq ($(V),0)
Q	:= @
say	= @printf '  %-7s %s\n' '$(1)' '$(2:$(O)/%=%)'
else
Q	:=
say	= @:
endif

CC		:= $(if $(filter default undefined,$(origin CC)),gcc,$(CC))
AR		:= $(if $(filter default undefined,$(origin AR)),ar,$(AR))
INSTALL		?= install
PKG_CONFIG	?= pkg-config
SPARSE		?= sparse
PACKAGES	:= libpci libnl-3.0 jansson libseccomp libcap-ng

# Asked once, and only when something is compiled.
pkg-cflags	= $(eval pkg-cflags := $(shell $(PKG_CONFIG) --cflags \
		  $(PACKAGES)))$(pkg-cflags)
pkg-libs	= $(eval pkg-libs := $(shell $(PKG_CONFIG) --libs \
		  $(PACKAGES)))$(pkg-libs)

# The last two are for clang: tables leave out what is 0, and the structures of the
# kernel's that end in data[] are followed by that in one of ours.
WARN	:= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	   -Wdeclaration-after-statement -Wvla -Wno-unused-parameter \
	   -Wno-sign-compare -Wno-missing-field-initializers \
	   -Wno-gnu-variable-sized-type-not-at-end
CFLAGS	?= -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
SAN	:= -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	   -fno-sanitize-recover=all

cppflags	= -D_GNU_SOURCE -Iinclude -Ilib -I. $(pkg-cflags) $(CPPFLAGS)
cflags		= -std=gnu11 $(WARN) -pthread $(EXTRA_CFLAGS)
libs		= $(pkg-libs) $(LDLIBS) -pthread

lib-src		:= $(wildcard lib/*.c)
vfio-src	:= $(wildcard vfio/*.c)
pci-src		:= $(wildcard pci/*.c)
bridge-src	:= $(wildcard bridge/*.c)
client-src	:= $(wildcard tools/lib/*.c)
tool-src	:= $(wildcard tools/vfio-user/*.c)
launch-src	:= $(addprefix tools/vfio-user-run/,main.c program.c sysfs.c)
preload-src	:= $(filter-out $(launch-src),$(wildcard tools/vfio-user-run/*.c))
unit-src	:= $(wildcard selftests/unit/*_test.c)

rooms-src	:= $(lib-src) $(vfio-src) $(pci-src) $(bridge-src) $(client-src)
bridge-parts	:= $(bridge-src) $(vfio-src) $(pci-src) $(lib-src)
# Only main.c needs these.
sandbox-src	:= $(addprefix bridge/,landlock.c namespace.c sandbox.c \
		   seccomp.c)
# Made of comments in all of the parts, see seccomp.c.
bridge-calls	:= bridge/syscalls.c
tool-parts	:= $(tool-src) $(client-src) $(pci-src) $(lib-src)
launch-parts	:= $(launch-src) lib/log.c
preload-parts	:= $(preload-src) $(client-src) $(lib-src)

objs		= $(patsubst %.c,$(O)/%.o,$(1))
san-objs	= $(patsubst %.c,$(O)/san/%.o,$(1))

programs	:= $(if $(bridge-src),$(O)/vfio-bridge) \
		   $(if $(tool-src),$(O)/vfio-user) $(O)/vfio-user-run
# Preloaded into the programs of others, so never with a sanitizer
preload		:= $(O)/libvfio-user-run.so
unit-progs	:= $(patsubst %.c,$(O)/%,$(unit-src)) \
		   $(patsubst %.c,$(O)/san/%,$(unit-src)) \
		   $(wildcard selftests/unit/*_test.pl) selftests/check-selftest
fake-progs	:=
hw-progs	:=
lab-progs	:=
test-extra	:= $(patsubst %.c,$(O)/calls/%.o,$(bridge-parts))

all: $(programs) $(preload)

# The fake's first: others use what it names.
-include $(wildcard selftests/fake/Makefile.inc)
-include $(filter-out selftests/fake/%,$(wildcard selftests/*/Makefile.inc))

##
## Programs
##

# $(call link,FLAGS,LIBRARIES): objects and archives into a program.
define link
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cflags) $(1) $(LDFLAGS) -Wl,--as-needed -o $@ \
		$(filter %.o %.a,$^) $(2) $(libs)
endef

$(O)/vfio-bridge: $(call objs,$(bridge-parts) $(bridge-calls)) $(O)/.flags
	$(call link,$(CFLAGS))

$(O)/vfio-user: $(call objs,$(tool-parts)) $(O)/.flags
	$(call link,$(CFLAGS))

$(O)/san/vfio-bridge: $(call san-objs,$(bridge-parts) $(bridge-calls)) \
		       $(O)/san/.flags
	$(call link,$(SAN))

$(O)/san/vfio-user: $(call san-objs,$(tool-parts)) $(O)/san/.flags
	$(call link,$(SAN))

$(O)/vfio-user-run: $(call objs,$(launch-parts)) $(O)/.flags
	$(call link,$(CFLAGS))

$(O)/san/vfio-user-run: $(call san-objs,$(launch-parts)) $(O)/san/.flags
	$(call link,$(SAN))

# What the library itself calls by these names is libc's, not what it offers
# the program under the same name (tools/vfio-user-run/real.c).  Locks keep the
# thread from being cancelled (tools/vfio-user-run/cancel.c).
preload-wrap	:= open close dup fcntl ioctl read write mmap munmap mremap \
		   stat fstat $(addprefix pthread_,mutex_lock mutex_trylock \
		   mutex_unlock rwlock_rdlock rwlock_wrlock rwlock_unlock)

# Two names of one function, where off_t has 64 bits in any case, and those that
# libc has had all along besides. To --wrap, the library's own is the real one.
preload-same	:= open64=__real_open openat64=openat __open64_2=__open_2 \
		   __openat64_2=__openat_2 fcntl64=__real_fcntl pread64=pread \
		   __pread64_chk=__pread_chk pwrite64=pwrite preadv64=preadv \
		   pwritev64=pwritev preadv64v2=preadv2 pwritev64v2=pwritev2 \
		   lseek64=lseek stat64=__real_stat lstat64=lstat fstat64=__real_fstat \
		   fstatat64=fstatat __xstat64=__xstat __lxstat64=__lxstat \
		   __fxstat64=__fxstat __fxstatat64=__fxstatat \
		   eaccess=euidaccess mmap64=__real_mmap creat64=creat \
		   __open=__real_open __open64=__real_open \
		   __close=__real_close __dup2=dup2 __fcntl=__real_fcntl \
		   __read=__real_read __write=__real_write __pread64=pread \
		   __pwrite64=pwrite __lseek=lseek llseek=lseek

$(preload): $(patsubst %.c,$(O)/pic/%.o,$(preload-parts)) $(O)/.flags \
	    $(O)/.preload
	$(call link,$(CFLAGS) -shared -Wl$(comma)-z$(comma)defs \
		$(addprefix -Wl$(comma)--wrap=,$(preload-wrap)) \
		$(addprefix -Wl$(comma)--defsym=,$(preload-same)))

comma		:= ,

define archive
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $(filter %.o,$^)
endef

# .rooms has the list of the sources, so that a removed one leaves the archive.
$(O)/rooms.a: $(call objs,$(rooms-src) $(bridge-calls)) $(O)/.rooms
	$(call archive)

$(O)/san/rooms.a: $(call san-objs,$(rooms-src) $(bridge-calls)) $(O)/.rooms
	$(call archive)

# $(call compile,FLAGS)
define compile
	$(if $(filter 1 2,$(C)),$(call say,CHECK,$<))
	$(if $(filter 1 2,$(C)),$(Q)$(SPARSE) $(sparse-flags) $<)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cppflags) $(cflags) $(1) -MMD -MP -c -o $@ $<
endef

$(O)/%.o: %.c $(O)/.flags
	$(call compile,$(CFLAGS))

$(O)/san/%.o: %.c $(O)/san/.flags
	$(call compile,$(SAN))

# $(call list-calls,FILES)
define list-calls
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	$(Q)bridge/syscalls $(1) >$@
endef

$(O)/bridge/syscalls.c: bridge/syscalls $(bridge-parts) include/util.h
	$(call list-calls,$(bridge-parts) include/util.h)

$(O)/%/syscalls.o: $(O)/%/syscalls.c $(O)/.flags
	$(call compile,$(CFLAGS))

$(O)/san/%/syscalls.o: $(O)/%/syscalls.c $(O)/san/.flags
	$(call compile,$(SAN))

# The same, function by function, for the test of the comments: nothing inlined.
$(O)/calls/%.o: %.c $(O)/.flags
	$(call compile,-O0 -U_FORTIFY_SOURCE -ffunction-sections)

$(O)/pic/%.o: %.c $(O)/.flags
	$(call compile,$(CFLAGS) -fPIC -fvisibility=hidden)

# Where the launcher looks for the library, if it isn't beside it.
$(O)/tools/vfio-user-run/main.o $(O)/san/tools/vfio-user-run/main.o: \
	cppflags += -DRUN_LIBRARY='"$(preloaddir)/$(notdir $(preload))"'

##
## Tests
##

# The kselftest headers come with the kernel's source, which is fetched when
# the first test is built, and so do the headers that unit/abi_test includes as
# <include/uapi/...>.  The link says where it is now.
ksrc		:= $(O)/ksrc
KSELFTEST_DIR	?= $(ksrc)/tools/testing/selftests
test-cppflags	= -isystem $(KSELFTEST_DIR) -isystem $(ksrc)

$(O)/selftests/%.o: selftests/%.c $(O)/selftests/.flags
	$(call compile,$(test-cppflags) $(CFLAGS))

$(O)/san/selftests/%.o: selftests/%.c $(O)/san/selftests/.flags
	$(call compile,$(test-cppflags) $(SAN))

$(O)/selftests/unit/%_test: $(O)/selftests/unit/%_test.o $(O)/rooms.a
	$(call link,$(CFLAGS))

$(O)/san/selftests/unit/%_test: $(O)/san/selftests/unit/%_test.o \
				$(O)/san/rooms.a
	$(call link,$(SAN))

$(ksrc): FORCE | $(O)/.tools
	$(Q)dir=$$(selftests/lab/fetch-source --tools) && \
		ln -sfn "$$dir" $@

# What selftests/check runs, a line each: RING COMMAND.
checks = $(foreach p,$(unit-progs),'unit $(p)') \
	 $(foreach p,$(fake-progs),'fake $(p)') \
	 'checkpatch selftests/lint/checkpatch $(ksrc)/scripts/checkpatch.pl' \
	 'sparse selftests/lint/sparse $(KSELFTEST_DIR) $(SPARSE) $(sparse-flags)' \
	 'shellcheck selftests/lint/shellcheck' \
	 $(foreach p,$(hw-progs),'hw $(p)') \
	 $(foreach p,$(lab-progs),'lab $(p)')
# Structures of the wire end in data[]; a batch of them is an array all the same.
sparse-flags = -std=gnu11 -pthread -Wno-flexible-array-array $(cppflags) \
	       $(test-cppflags)

$(O)/checks: FORCE | $(ksrc)
	$(Q)printf '%s\n' $(checks) >$@

selftests: all $(O)/checks $(programs:$(O)/%=$(O)/san/%) \
	   $(filter $(O)/%,$(unit-progs) $(fake-progs) $(hw-progs)) \
	   $(test-extra)

# The packages first, in a make of their own: what is compiled after that is
# looked for only then.
check:
	$(Q)selftests/lab/deps build test kernel lab
	$(Q)$(MAKE) -j$$(nproc) O='$(O)' selftests
	$(Q)selftests/check --build='$(O)' $(CHECKS)

demo:
	$(Q)selftests/lab/deps build test lab
	$(Q)$(MAKE) -j$$(nproc) O='$(O)' all $(O)/selftests/demo/demo_client
	$(Q)selftests/demo/demo '$(O)'

lab: selftests
	$(Q)selftests/lab/shell '$(O)'

# Both tables, whatever the first says.
bench:
	$(Q)selftests/lab/deps build test kernel lab
	$(Q)$(MAKE) O='$(O)' selftests
	$(Q)ret=0; VFIO_BRIDGE_FAKE='$(O)/vfio-bridge-fake' \
		$(O)/selftests/bench/bench || ret=1; \
	selftests/bench/bench-nvme '$(O)' || ret=1; exit $$ret

##
## What things are made with
##

# $(call remember,TEXT): into the target, if it isn't there already.
define remember
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || \
		printf '%s\n' '$(subst ','\'',$(1))' >$@
endef

flags = $(CC) $(cppflags) $(cflags) $(LDFLAGS) $(libs)

$(O)/.flags: FORCE | $(O)/.tools
	$(call remember,$(flags) $(CFLAGS))

$(O)/san/.flags: FORCE | $(O)/.tools
	$(call remember,$(flags) $(SAN))

$(O)/selftests/.flags: FORCE | $(ksrc)
	$(call remember,$(flags) $(CFLAGS) $(realpath $(KSELFTEST_DIR)))

$(O)/san/selftests/.flags: FORCE | $(ksrc)
	$(call remember,$(flags) $(SAN) $(realpath $(KSELFTEST_DIR)))

$(O)/.rooms: FORCE | $(O)/.tools
	$(call remember,$(rooms-src))

$(O)/.preload: FORCE | $(O)/.tools
	$(call remember,$(preload-wrap) $(preload-same))

# Says what to do on a machine that can't compile this.
$(O)/.tools:
	@mkdir -p $(O)
	@{ $(PKG_CONFIG) --version && $(CC) --version; } >/dev/null 2>&1 && \
	missing=$$($(PKG_CONFIG) --print-errors --exists $(PACKAGES) 2>&1) || { \
		echo "$${missing:-$(CC) or $(PKG_CONFIG) is missing}" >&2; \
		echo 'To install what the build needs:' \
			'selftests/lab/deps build' >&2; \
		exit 1; \
	}
	@touch $@

-include $(shell find $(O) -name '*.d' 2>/dev/null)

##
## Installation
##

# In quotes, for the sake of directories with blanks in their names.
install: all
	$(Q)$(INSTALL) -d '$(DESTDIR)$(bindir)' '$(DESTDIR)$(docdir)' \
		'$(DESTDIR)$(datadir)/vfio-user' '$(DESTDIR)$(preloaddir)'
	$(Q)$(INSTALL) -m 755 $(programs) '$(DESTDIR)$(bindir)'
	$(Q)$(INSTALL) -m 644 $(preload) '$(DESTDIR)$(preloaddir)'
	$(Q)sed 's|@bindir@|$(bindir)|' bridge/50-vfio-bridge.json.in \
		>$(O)/50-vfio-bridge.json
	$(Q)$(INSTALL) -m 644 $(O)/50-vfio-bridge.json \
		'$(DESTDIR)$(datadir)/vfio-user'
	$(Q)$(INSTALL) -m 644 README.md SECURITY.md COPYING \
		$(wildcard Documentation/*.rst) '$(DESTDIR)$(docdir)'

clean:
	$(Q)rm -rf $(O)

help:
	@sed -n 's/^#H //p' $(firstword $(MAKEFILE_LIST))

#H Targets:
#H   all        the programs: vfio-bridge, vfio-user and vfio-user-run, with the
#H              library that it preloads (the default)
#H   selftests  the tests, without running them; fetches the kselftest headers
#H   check      installs what the tests need, builds, and runs all of them;
#H              CHECKS="unit fake/NAME ..." runs some
#H   demo       installs what it needs, and shows the bridge at work in the lab
#H   lab        a shell in the lab's virtual machine
#H   bench      what messages cost, and the bridge against plain VFIO in the
#H              lab, as tables; fails if a target is missed
#H   soak       random clients, faults and resets in the lab, and a table of them;
#H              SOAK_SECONDS=600 on each of SOAK_KERNELS="stock iommufd";
#H              SOAK_SEED= as it was printed draws the same numbers
#H   fuzz       looks for inputs that break something; FUZZ_SECONDS=600 each,
#H              FUZZ_CC=afl-clang-fast by AFL++
#H   tsan       the tests with several threads, watched by ThreadSanitizer;
#H              TSAN_TESTS="storm group ..." runs others
#H   coverage   which lines the fuzzers' inputs reach, and the daemon's tests
#H   install    into DESTDIR=, with prefix=/usr/local
#H   clean      removes what was built; what was downloaded stays in the cache
#H
#H Variables:
#H   O=DIR      build in DIR instead of build
#H   V=1        show the commands
#H   C=1        run sparse on each file that is compiled
#H   CC=, CFLAGS=, LDFLAGS=, EXTRA_CFLAGS=   as usual; a change rebuilds
#H   bindir=, libdir=, datadir=, docdir=     where install puts things
#H   AR=, INSTALL=, PKG_CONFIG=, SPARSE=     what is called
#H   VFIO_BRIDGE_CACHE=DIR   in the environment: what is downloaded is in DIR

.PHONY: all selftests check demo lab bench install clean help FORCE
