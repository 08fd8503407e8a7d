// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tool vfio-user, against the daemon: each subcommand once as it is meant,
 * and what it says when something is wrong.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

/* The exit codes of --help. */
#define EXIT_FAILED	1
#define EXIT_USAGE	2

FIXTURE(tool)
{
	struct peer peer;
	struct fake_control *control;
	const char *socket;
	char out[32768];
};

FIXTURE_SETUP(tool)
{
	struct fake_config config;

	peer_config(&config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_start(&self->peer, &config, NULL));
	self->control = self->peer.root.control;
	self->socket = self->peer.daemon.socket;
}

FIXTURE_TEARDOWN(tool)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* Run the tool with a shell's words; what it says, with @errors or without. */
static int __printf(4, 5) tool(char *out, size_t len, bool errors,
			       const char *fmt, ...)
{
	char args[1024], command[2048];
	va_list list;
	FILE *file;
	size_t n;
	int status;

	va_start(list, fmt);
	vsnprintf(args, sizeof(args), fmt, list);
	va_end(list);
	snprintf(command, sizeof(command), "exec %s %s %s </dev/null",
		 peer_program("vfio-user"), args, errors ? "2>&1" : "");
	file = popen(command, "re");
	if (!file)
		return -errno;
	n = fread(out, 1, len - 1, file);
	out[n] = '\0';
	status = pclose(file);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

#define TOOL(...)	tool(self->out, sizeof(self->out), true, __VA_ARGS__)
#define TOOL_OUT(...)	tool(self->out, sizeof(self->out), false, __VA_ARGS__)
#define HAS(words)	strstr(self->out, words)

TEST_F(tool, info)
{
	ASSERT_EQ(0, TOOL("info %s", self->socket));
	EXPECT_NE(NULL, HAS("PCI"));
	EXPECT_NE(NULL, HAS("BAR0"));
	EXPECT_NE(NULL, HAS("CONFIG"));
	EXPECT_NE(NULL, HAS("MSIX"));
	/* There is none. */
	EXPECT_EQ(NULL, HAS("VGA"));
}

TEST_F(tool, info_json_parses_and_is_right)
{
	json_t *json, *region;
	size_t i;

	ASSERT_EQ(0, TOOL_OUT("info %s --json", self->socket));
	json = json_loads(self->out, JSON_REJECT_DUPLICATES, NULL);
	ASSERT_NE(NULL, json);
	EXPECT_TRUE(json_is_object(json_object_get(json, "server")));
	EXPECT_TRUE(json_is_object(json_object_get(json, "device")));
	EXPECT_EQ(5, json_array_size(json_object_get(json, "irqs")));
	EXPECT_EQ(8, json_array_size(json_object_get(json, "regions")));
	json_array_foreach(json_object_get(json, "regions"), i, region) {
		EXPECT_EQ(i, json_integer_value(json_object_get(region,
								"index")));
		EXPECT_EQ(self->control->config.regions[i].size,
			  json_integer_value(json_object_get(region,
							     "size")));
	}
	json_decref(json);
}

TEST_F(tool, read_prints_what_the_device_has)
{
	ASSERT_EQ(0, TOOL("read %s bar0 0 8 --width=8", self->socket));
	EXPECT_NE(NULL, HAS("30766f6966656b61"));
	ASSERT_EQ(0, TOOL("read %s rom 0 2 --width=2", self->socket));
	EXPECT_NE(NULL, HAS("aa55"));
	ASSERT_EQ(0, TOOL_OUT("read %s bar0 0 8 --raw", self->socket));
	EXPECT_EQ(0, memcmp(self->out, "akefiov0", 8));
}

TEST_F(tool, read_is_as_wide_as_asked)
{
	const struct fake_access *access;
	unsigned int width, back;

	for (width = 1; width <= 8; width *= 2) {
		ASSERT_EQ(0, TOOL("read %s bar0 8 8 --width=%u", self->socket,
				  width));
		/* Before the session's end reads and writes the command. */
		for (back = 0; (access = fake_last_access(&self->peer.root,
							  back)); back++) {
			if (access->index == PEER_BAR0)
				break;
		}
		ASSERT_NE(NULL, access);
		EXPECT_EQ(width, access->width);
	}
}

/* The device is retained, or the next session would find it reset. */
TEST_F(tool, write_then_read)
{
	struct fake_config config = self->control->config;

	ASSERT_EQ(0, peer_close(&self->peer));
	ASSERT_EQ(0, peer_start(&self->peer, &config,
				"--on-disconnect=retain"));
	ASSERT_EQ(0, TOOL("write %s bar0 8 0xfeedface --width=4",
			  self->peer.daemon.socket));
	ASSERT_EQ(0, TOOL("read %s bar0 8 4 --width=4",
			  self->peer.daemon.socket));
	EXPECT_NE(NULL, HAS("feedface"));
}

TEST_F(tool, reset)
{
	ASSERT_EQ(0, TOOL("reset %s", self->socket));
	EXPECT_EQ(1, self->control->resets);
}

TEST_F(tool, reset_that_does_not_exist)
{
	struct fake_config config;

	peer_config(&config, PEER_MAP_FILE);
	config.flr = false;
	config.bus_reset = false;
	ASSERT_EQ(0, peer_close(&self->peer));
	ASSERT_EQ(0, peer_start(&self->peer, &config, NULL));
	EXPECT_EQ(EXIT_FAILED, TOOL("reset %s", self->socket));
	EXPECT_NE(NULL, HAS("has no reset"));
}

TEST_F(tool, irq_trigger)
{
	ASSERT_EQ(0, TOOL("irq %s msix --trigger", self->socket));
	EXPECT_NE(NULL, HAS("MSIX sub-index 0 fired"));
	EXPECT_NE(NULL, HAS("MSIX sub-index 15 fired"));
	ASSERT_EQ(0, TOOL("irq %s intx --trigger", self->socket));
	EXPECT_NE(NULL, HAS("INTX sub-index 0 fired"));
	ASSERT_EQ(0, TOOL("irq %s err --trigger", self->socket));
	EXPECT_NE(NULL, HAS("ERR sub-index 0 fired"));
}

TEST_F(tool, irq_that_does_not_fire)
{
	EXPECT_EQ(EXIT_FAILED, TOOL("irq %s msi --timeout=1", self->socket));
	EXPECT_NE(NULL, HAS("nothing fired"));
}

TEST_F(tool, irq_that_the_device_raises)
{
	pid_t child = fork();
	unsigned int i;
	int status;

	if (!child)
		_exit(TOOL("irq %s msi --count=2 --timeout=1", self->socket) ||
		      !HAS("MSI sub-index 1 fired"));
	for (i = 0; i < 5000 && fake_irq_raise(self->control, PEER_MSI, 1) <=
	     0; i++)
		peer_pause(1);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(tool, dma)
{
	ASSERT_EQ(0, TOOL("dma %s --iova=1M --size=64K", self->socket));
	EXPECT_NE(NULL, HAS("EEXIST"));
	EXPECT_NE(NULL, HAS("ENOENT"));
	EXPECT_EQ(NULL, HAS("but the protocol says"));
	EXPECT_EQ(1, self->control->most_maps);
	ASSERT_EQ(0, TOOL("dma %s --iova=0x200000 --size=4096 --read-only",
			  self->socket));
}

TEST_F(tool, dma_outside_of_the_iommu)
{
	EXPECT_EQ(EXIT_USAGE, TOOL("dma %s --iova=0xfee00000 --size=4K",
				   self->socket));
	EXPECT_NE(NULL, HAS("IOVA ranges"));
	EXPECT_EQ(EXIT_USAGE, TOOL("dma %s --iova=0x10 --size=4K",
				   self->socket));
	EXPECT_NE(NULL, HAS("page size"));
}

TEST_F(tool, status_without_and_with_a_client)
{
	json_t *json, *session;

	ASSERT_EQ(0, TOOL("status %s", self->peer.monitor));
	EXPECT_NE(NULL, HAS("0000:01:00.0"));
	ASSERT_EQ(0, peer_connect(&self->peer));
	ASSERT_EQ(0, wire_map(self->peer.sock, 0x5000, 4096, PEER_RW, -1, 0));
	ASSERT_EQ(0, TOOL_OUT("status %s --json", self->peer.monitor));
	json = json_loads(self->out, JSON_REJECT_DUPLICATES, NULL);
	ASSERT_NE(NULL, json);
	session = json_object_get(json, "session");
	EXPECT_EQ(getpid(),
		  json_integer_value(json_object_get(session, "pid")));
	json_decref(json);
	ASSERT_EQ(0, TOOL("status %s", self->peer.monitor));
	EXPECT_NE(NULL, HAS("without_fd"));
	EXPECT_NE(NULL, HAS("20480"));
}

TEST_F(tool, busy_device_says_what_to_do)
{
	ASSERT_EQ(0, peer_connect(&self->peer));
	EXPECT_EQ(EXIT_FAILED, TOOL("info %s", self->socket));
	EXPECT_NE(NULL, HAS("another client has the device"));
}

TEST_F(tool, socket_that_is_not_there_says_what_to_do)
{
	EXPECT_EQ(EXIT_FAILED, TOOL("info %s.not", self->socket));
	EXPECT_NE(NULL, HAS("--socket-path"));
	EXPECT_EQ(EXIT_FAILED, TOOL("status %s.not", self->peer.monitor));
	EXPECT_NE(NULL, HAS("--monitor"));
	/* A monitor isn't a server. */
	EXPECT_EQ(EXIT_FAILED, TOOL("info %s", self->peer.monitor));
}

TEST_F(tool, accesses_outside_of_a_region_are_refused)
{
	EXPECT_NE(0, TOOL("read %s bar0 0x4000", self->socket));
	EXPECT_NE(0, TOOL("read %s bar1 0", self->socket));
	EXPECT_NE(0, TOOL("read %s vga 0", self->socket));
	EXPECT_NE(0, TOOL("write %s rom 0 1", self->socket));
	EXPECT_NE(0, TOOL("read %s bar0 0xffffffffffffffff 8", self->socket));
}

TEST_F(tool, bad_usage_is_named)
{
	static const struct {
		const char *args;
		const char *words;
	} bad[] = {
		{ "", "--help" },
		{ "frobnicate", "frobnicate" },
		{ "--frobnicate", "--frobnicate" },
		{ "info", "too few" },
		{ "info x y", "too many" },
		{ "info x --frobnicate", "--frobnicate" },
		{ "read x bar0", "too few" },
		{ "read x bar9 0", "bar9" },
		{ "read x bar0 zero", "zero" },
		{ "read x bar0 0 4 --width=3", "3" },
		{ "write x bar0 0", "too few" },
		{ "write x bar0 0 0x100 --width=1", "0x100" },
		{ "irq x", "too few" },
		{ "irq x nmi", "nmi" },
		{ "irq x msi --count=many", "many" },
		{ "dma x", "--iova" },
		{ "dma x --iova=0 --size=0", "--size" },
		{ "reset", "too few" },
		{ "status", "too few" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(EXIT_USAGE, TOOL("%s", bad[i].args))
			TH_LOG("vfio-user %s", bad[i].args);
		EXPECT_NE(NULL, HAS(bad[i].words))
			TH_LOG("vfio-user %s: %s", bad[i].args, self->out);
	}
}

TEST_F(tool, help_of_each_subcommand)
{
	static const char *const subcommands[] = {
		"", "info", "lspci", "read", "write", "irq", "dma", "reset",
		"status", "bind", "unbind",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(subcommands); i++) {
		EXPECT_EQ(0, TOOL_OUT("%s --help", subcommands[i]));
		EXPECT_NE(NULL, HAS("usage: vfio-user"));
		EXPECT_NE(NULL, HAS("Exit codes"));
	}
}

TEST_HARNESS_MAIN
