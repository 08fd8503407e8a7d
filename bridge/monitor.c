// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the daemon tells of itself: one JSON object to whoever connects. With one
 * device it is that device's; with several it has a list of such objects.
 *
 * Counters are read as they are, while the session goes on; the list of maps
 * is read under the session's lock and is bounded. Whoever asks and doesn't
 * read is not waited for, nor is what they may have sent (refuse.c).
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bridge.h"
#include "json.h"

/* Maps that the device can't reach are listed, up to this many. */
#define MONITOR_MAX_MAPS	16

static json_t *monitor_commands(const struct stats *stats)
{
	json_t *commands = json_object();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(stats->commands); i++) {
		unsigned long long n = atomic_load(&stats->commands[i]);

		if (n)
			json_object_set_new(commands, session_command_name(i),
					    json_integer(n));
	}
	return commands;
}

static void monitor_add_map(uint64_t iova, uint64_t size, uint32_t flags,
			    bool fd, void *arg)
{
	json_t *list = arg;

	if (fd || json_array_size(list) >= MONITOR_MAX_MAPS)
		return;
	json_array_append_new(list, json_pack("{s:I, s:I}",
					      "address", (json_int_t)iova,
					      "size", (json_int_t)size));
}

static json_t *monitor_dma(const struct dma_space *dma)
{
	json_t *list = json_array();

	dma_for_each(dma, monitor_add_map, list);
	return json_pack("{s:I, s:I, s:I, s:I, s:o}",
			 "maps", (json_int_t)dma->count,
			 "bytes", (json_int_t)dma->bytes,
			 "shadowed_bytes", (json_int_t)dma->shadowed,
			 "maps_without_fd", (json_int_t)dma->without_fd,
			 "without_fd", list);
}

static json_t *monitor_session(struct session *s)
{
	json_int_t errors, requests;
	json_t *session;

	pthread_mutex_lock(&s->lock);
	session = json_pack("{s:i, s:I, s:b}", "pid", s->peer.pid,
			    "uid", (json_int_t)s->peer.uid,
			    "has_device", s->open);
	if (s->open) {
		json_object_set_new(session, "iommu",
				    json_string(s->dev.ops->name));
		json_object_set_new(session, "dma", monitor_dma(&s->dma));
		errors = atomic_load(&s->watch.fired[WATCH_ERR]);
		json_object_set_new(session, "errors", json_integer(errors));
		json_object_set_new(session, "device_answers",
				    json_boolean(!atomic_load(&s->gone)));
		requests = atomic_load(&s->watch.fired[WATCH_REQ]);
		json_object_set_new(session, "release_requests",
				    json_integer(requests));
	}
	pthread_mutex_unlock(&s->lock);
	return session;
}

/* The other devices of ours in its IOMMU group. */
static json_t *monitor_neighbours(const struct bridge *b)
{
	const struct daemon *d = b->daemon;
	json_t *list = json_array();
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		if (i != b->index && d->bridges[i].space == b->space)
			json_array_append_new(list, json_string(d->bridges[i].device.name));
	}
	return list;
}

static json_t *monitor_bridge(struct bridge *b)
{
	json_t *root = json_object();

	json_object_set_new(root, "device", json_string(b->device.name));
	json_object_set_new(root, "description", json_string(b->description));
	json_object_set_new(root, "present", json_boolean(!b->absent));
	json_object_set_new(root, "low_power",
			    json_boolean(atomic_load(&b->asleep)));
	if (b->space) {
		json_object_set_new(root, "group", json_integer(b->group));
		json_object_set_new(root, "shares_group_with",
				    monitor_neighbours(b));
	}
	json_object_set_new(root, "sessions",
			    json_integer(atomic_load(&b->stats.sessions)));
	json_object_set_new(root, "refused",
			    json_integer(atomic_load(&b->stats.refused)));
	json_object_set_new(root, "messages",
			    json_integer(atomic_load(&b->stats.messages)));
	json_object_set_new(root, "requests",
			    json_integer(atomic_load(&b->stats.requests)));
	json_object_set_new(root, "commands", monitor_commands(&b->stats));
	json_object_set_new(root, "session", b->session ?
			    monitor_session(b->session) : json_null());
	return root;
}

static char *monitor_format(struct daemon *d)
{
	json_t *root, *list;
	unsigned int i;
	char *text;

	if (d->nr_bridges == 1) {
		root = monitor_bridge(&d->bridges[0]);
	} else {
		list = json_array();
		for (i = 0; i < d->nr_bridges; i++)
			json_array_append_new(list,
					      monitor_bridge(&d->bridges[i]));
		root = json_pack("{s:o}", "devices", list);
	}
	text = json_text(root, JSON_INDENT(2));
	json_decref(root);
	return text;
}

/* Syscalls: sendto */
void monitor_answer(struct daemon *d, int fd)
{
	char *text = monitor_format(d);
	ssize_t n;

	if (text) {
		n = send(fd, text, strlen(text),
			 MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
		n = send(fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)n;
		free(text);
	}
	refuse_start(fd, 0);
}
