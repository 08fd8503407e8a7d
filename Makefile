# SPDX-License-Identifier: GPL-2.0-only
#
# vfio-bridge. Kernel style: V=1 shows commands, O=DIR puts everything that is
# built there, C=1 runs sparse on every file, SAN=1 builds with ASan and UBSan.

O	?= build
V	?= 0
C	?= 0
SAN	?= 0

ifeq ($(V),0)
Q	:= @
say	= @printf '  %-7s %s\n' '$(1)' '$(2)'
else
Q	:=
say	= @:
endif

PKG_CONFIG	?= pkg-config
PACKAGES	:= libpci libnl-3.0 jansson
WARN	:= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	   -Wdeclaration-after-statement -Wvla -Wno-unused-parameter \
	   -Wno-sign-compare
CFLAGS	?= -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
CPPFLAGS_ALL = -D_GNU_SOURCE -Iinclude -Ilib -I. \
	   $(shell $(PKG_CONFIG) --cflags $(PACKAGES)) $(CPPFLAGS)
CFLAGS_ALL = -std=gnu11 $(WARN) $(CFLAGS) $(EXTRA_CFLAGS) -pthread
LDLIBS_ALL = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) $(LDLIBS) -pthread

lib-src		:= $(wildcard lib/*.c)
vfio-src	:= $(wildcard vfio/*.c)
pci-src		:= $(wildcard pci/*.c)
bridge-src	:= $(wildcard bridge/*.c)
client-src	:= $(wildcard tools/lib/*.c)
tool-src	:= $(wildcard tools/vfio-user/*.c)

objs = $(patsubst %.c,$(O)/%.o,$(1))

all: $(O)/vfio-bridge $(O)/vfio-user

$(O)/vfio-bridge: $(call objs,$(bridge-src) $(vfio-src) $(pci-src) $(lib-src))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

$(O)/vfio-user: $(call objs,$(tool-src) $(client-src) $(pci-src) $(lib-src))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

$(O)/%.o: %.c
	@mkdir -p $(@D)
ifeq ($(C),1)
	$(call say,CHECK,$<)
	$(Q)sparse $(CPPFLAGS_ALL) -std=gnu11 $<
endif
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

-include $(shell find $(O) -name '*.d' 2>/dev/null)

clean:
	$(Q)rm -rf $(O)

.PHONY: all clean
