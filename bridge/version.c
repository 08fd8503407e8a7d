// SPDX-License-Identifier: GPL-2.0-only
/*
 * VERSION: the first message, and the moment the device is opened.
 *
 * The reply states what we can take, whatever the client said of itself; part
 * of it comes from the IOMMU, so the device has to be open by then. A client
 * that says something wrong is told EINVAL and closed; one that comes when the
 * device is held elsewhere is told EBUSY and closed. A session that has been
 * greeted isn't greeted again.
 *
 * QEMU receives the reply in a buffer as large as its request, and gives up
 * when it doesn't fit. So what can get long, the list of IOVA ranges, is told
 * only to a client that speaks of IOVA ranges itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"
#include "log.h"

/* Older clients look for "migration" to know that the device can migrate. */
static uint64_t version_migration_pgsize(struct session *s)
{
	int ret = vfio_feature(&s->dev, VFIO_USER_FEATURE_PROBE |
			       VFIO_USER_FEATURE_GET |
			       VFIO_USER_FEATURE_MIGRATION, NULL, 0);

	return ret ? 0 : VFIO_USER_DEF_PGSIZES;
}

static void version_iova_ranges(const struct vfio_iommu_info *iommu,
				struct vfio_user_caps *caps)
{
	unsigned int i;

	caps->knows_iova_ranges = true;
	caps->nr_iova_ranges = min(iommu->nr_ranges,
				   (unsigned int)VFIO_USER_MAX_IOVA_RANGES);
	for (i = 0; i < caps->nr_iova_ranges; i++) {
		caps->iova_ranges[i].first = iommu->ranges[i].first;
		caps->iova_ranges[i].last = iommu->ranges[i].last;
	}
}

static void version_caps(struct session *s, struct vfio_user_caps *caps)
{
	const struct vfio_iommu_info *iommu = &s->iommu;

	caps_default(caps);
	caps->max_msg_fds = BRIDGE_MAX_MSG_FDS;
	caps->max_data_xfer_size = BRIDGE_MAX_XFER;
	caps->max_dma_maps = iommu->max_maps;
	caps->pgsizes = iommu->pgsizes;
	caps->write_multiple = true;
	caps->migration_pgsize = version_migration_pgsize(s);
	if (s->caps.knows_iova_ranges)
		version_iova_ranges(iommu, caps);
}

/* Greeted clients may be idle for as long as they like, between messages. */
static void version_no_deadline(struct session *s)
{
	msg_set_deadline(&s->conn, 0, -1);
	msg_set_patience(&s->conn, BRIDGE_CLIENT_TIMEOUT * 1000);
}

/* The client's end of a twin socket; -1 if it wants none, or no reply at all. */
static int version_twin(struct session *s, const struct msg *m, int *fd)
{
	int ret;

	*fd = -1;
	if (!s->caps.twin_socket || m->header.flags & VFIO_USER_FLAG_NO_REPLY)
		return 0;
	ret = peer_twin(s);
	if (ret < 0)
		return ret;
	*fd = ret;
	return 0;
}

static int version_reply(struct session *s, struct msg *m, uint16_t minor)
{
	struct vfio_user_version *reply;
	struct vfio_user_caps caps;
	int ret, twin;
	size_t len;
	char *json;

	ret = version_twin(s, m, &twin);
	if (ret)
		return ret;
	version_caps(s, &caps);
	if (twin >= 0) {
		caps.twin_socket = true;
		caps.twin_fd_index = 0;
	}
	json = caps_format(&caps);
	if (!json) {
		close_fd(&twin);
		return -ENOMEM;
	}
	len = strlen(json) + 1;
	reply = session_reply(s, m, sizeof(*reply) + len);
	if (reply) {
		reply->major = VFIO_USER_MAJOR;
		reply->minor = minor;
		memcpy(reply->data, json, len);
		session_reply_send(s, m, sizeof(*reply) + len, twin);
	}
	close_fd(&twin);
	free(json);
	return 0;
}

static int version_greet(struct session *s, struct msg *m)
{
	const struct vfio_user_version *version = m->payload;
	uint16_t minor = min(version->minor, (uint16_t)VFIO_USER_MINOR);
	int ret;

	if (version->major != VFIO_USER_MAJOR)
		return -EINVAL;
	ret = caps_parse(version->data, m->len - sizeof(*version), &s->caps);
	if (ret)
		return ret;
	ret = device_open(s);
	if (ret)
		return ret;
	s->iommu.max_maps = min(s->iommu.max_maps,
				s->bridge->opts->max_dma_maps);
	ret = shadow_start(s);
	if (ret)
		return ret;
	ret = relay_start(s);
	if (ret)
		return ret;
	version_no_deadline(s);
	return version_reply(s, m, minor);
}

int version_handle(struct session *s, struct msg *m)
{
	int ret;

	if (s->greeted)
		return -EINVAL;

	ret = version_greet(s, m);
	if (ret) {
		s->closing = true;
		if (lines_allow(s->bridge, LINES_CLIENT))
			log_info("%s: refused client pid %d, uid %d: %s",
				 s->bridge->device.name, s->peer.pid,
				 s->peer.uid, strerrordesc_np(-ret));
		atomic_fetch_add(&s->bridge->stats.refused, 1);
		return ret;
	}
	s->greeted = true;
	atomic_fetch_add(&s->bridge->stats.sessions, 1);
	return 0;
}
