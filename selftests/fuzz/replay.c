// SPDX-License-Identifier: GPL-2.0-only
/*
 * Gives each file of some directories to a fuzzer once, as a test.
 *
 * This takes libFuzzer's place where the corpus is only replayed: in make check,
 * with whatever compiler there is. A finding ends the process, which the test's
 * reader counts as a failure; the name of the file is printed before.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define REPLAY_MAX	(1024 * 1024)

static uint8_t buf[REPLAY_MAX];
static unsigned int failed;

static void replay_file(const char *dir, const char *name)
{
	char path[4096];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "re");
	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		failed++;
		return;
	}
	size = fread(buf, 1, sizeof(buf), file);
	fclose(file);
	printf("# %s: %zu bytes\n", name, size);
	fflush(stdout);
	LLVMFuzzerTestOneInput(buf, size);
}

static unsigned int replay_dir(const char *path)
{
	struct dirent **names;
	unsigned int nr = 0;
	int i, n;

	n = scandir(path, &names, NULL, alphasort);
	if (n < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		failed++;
		return 0;
	}
	for (i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			replay_file(path, names[i]->d_name);
			nr++;
		}
		free(names[i]);
	}
	free(names);
	return nr;
}

int main(int argc, char **argv)
{
	unsigned int nr;
	int i, plan = argc - 1;

	printf("TAP version 13\n1..%d\n", plan);
	LLVMFuzzerInitialize(&argc, &argv);
	for (i = 1; i <= plan; i++) {
		failed = 0;
		nr = replay_dir(argv[i]);
		printf("%sok %d %u inputs of %s\n", nr && !failed ? "" : "not ",
		       i, nr, argv[i]);
	}
	return 0;
}
