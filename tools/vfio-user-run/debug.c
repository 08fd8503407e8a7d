// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_USER_RUN_DEBUG=1: a line on stderr for each call that we answered, in
 * the manner of strace(1).
 *
 * An ioctl is printed after it was answered, from the program's memory: what it
 * asked and what it got stand in one structure. A line is one write(2).
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "debug.h"

/* Most entries of an array that are printed */
#define DEBUG_ENTRIES	8

bool run_debug(void)
{
	static atomic_int state;
	int is = atomic_load(&state);
	const char *env;

	if (!is) {
		env = getenv(RUN_ENV_DEBUG);
		is = env && *env && strcmp(env, "0") ? 1 : -1;
		atomic_store(&state, is);
	}
	return is > 0;
}

uint64_t run_debug_us(void)
{
	struct timespec now;

	if (!run_debug())
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void __printf(2, 3) line_add(struct debug_line *line,
				    const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line->text + line->len, sizeof(line->text) - line->len,
		      fmt, args);
	va_end(args);
	if (n > 0)
		line->len = min(line->len + n, sizeof(line->text) - 2);
}

static void line_begin(struct debug_line *line)
{
	line->len = 0;
	line_add(line, "[%ld] ", (long)syscall(SYS_gettid));
}

static void line_end(struct debug_line *line, int64_t ret, uint64_t us)
{
	ssize_t n;

	if (ret < 0 && ret > -4096)
		line_add(line, " = -1 %s", strerrorname_np(-ret) ?: "?");
	else if (ret > INT32_MAX)
		line_add(line, " = %#llx", (long long)ret);
	else
		line_add(line, " = %lld", (long long)ret);
	line_add(line, " <%llu us>", (unsigned long long)us);
	line->text[line->len++] = '\n';
	/* Nobody can be told that stderr is closed. */
	n = run_real()->write(STDERR_FILENO, line->text, line->len);
	(void)n;
}

void run_debug_call(int64_t ret, uint64_t start, const char *fmt, ...)
{
	struct debug_line line;
	int saved = errno;
	va_list args;
	int n;

	if (!run_debug())
		return;
	line_begin(&line);
	va_start(args, fmt);
	n = vsnprintf(line.text + line.len, sizeof(line.text) - line.len, fmt,
		      args);
	va_end(args);
	if (n > 0)
		line.len = min(line.len + n, sizeof(line.text) - 64);
	line_end(&line, ret, run_debug_us() - start);
	errno = saved;
}

/* Names of flags, or'ed together, and what is left as a number. */
static void add_flags(struct debug_line *line, uint32_t flags,
		      const char * const *names, unsigned int nr)
{
	const char *sep = "";
	unsigned int i;

	line_add(line, "flags=");
	for (i = 0; i < nr; i++) {
		if (!names[i] || !(flags & 1u << i))
			continue;
		line_add(line, "%s%s", sep, names[i]);
		flags &= ~(1u << i);
		sep = "|";
	}
	if (flags || !*sep)
		line_add(line, flags ? "%s%#x" : "%s%u", sep, flags);
}

#define ADD_FLAGS(line, flags, ...) do {				\
	static const char * const names_[] = { __VA_ARGS__ };		\
									\
	add_flags(line, flags, names_, ARRAY_SIZE(names_));		\
} while (0)

static void decode_device_info(struct debug_line *line, const void *arg)
{
	const struct vfio_device_info *i = arg;

	line_add(line, "argsz=%u, ", i->argsz);
	ADD_FLAGS(line, i->flags, "RESET", "PCI");
	line_add(line, ", num_regions=%u, num_irqs=%u", i->num_regions,
		 i->num_irqs);
}

static void decode_region_info(struct debug_line *line, const void *arg)
{
	const struct vfio_region_info *i = arg;

	line_add(line, "argsz=%u, index=%u, ", i->argsz, i->index);
	ADD_FLAGS(line, i->flags, "READ", "WRITE", "MMAP", "CAPS");
	line_add(line, ", cap_offset=%u, size=%#llx, offset=%#llx",
		 i->cap_offset, i->size, i->offset);
}

static void decode_irq_info(struct debug_line *line, const void *arg)
{
	const struct vfio_irq_info *i = arg;

	line_add(line, "argsz=%u, index=%u, ", i->argsz, i->index);
	ADD_FLAGS(line, i->flags, "EVENTFD", "MASKABLE", "AUTOMASKED",
		  "NORESIZE");
	line_add(line, ", count=%u", i->count);
}

static void decode_irq_set(struct debug_line *line, const void *arg)
{
	const struct vfio_irq_set *s = arg;
	int32_t fds[DEBUG_ENTRIES];
	uint32_t i, nr = min(s->count, (uint32_t)DEBUG_ENTRIES);

	line_add(line, "argsz=%u, ", s->argsz);
	ADD_FLAGS(line, s->flags, "DATA_NONE", "DATA_BOOL", "DATA_EVENTFD",
		  "MASK", "UNMASK", "TRIGGER");
	line_add(line, ", index=%u, start=%u, count=%u", s->index, s->start,
		 s->count);
	if (!(s->flags & VFIO_IRQ_SET_DATA_EVENTFD) ||
	    run_copy_in(fds, s->data, nr * sizeof(*fds)))
		return;
	line_add(line, ", fds=[");
	for (i = 0; i < nr; i++)
		line_add(line, "%s%d", i ? ", " : "", fds[i]);
	line_add(line, nr < s->count ? ", ...]" : "]");
}

static void decode_iommu_info(struct debug_line *line, const void *arg)
{
	const struct vfio_iommu_type1_info *i = arg;

	line_add(line, "argsz=%u, ", i->argsz);
	ADD_FLAGS(line, i->flags, "PGSIZES", "CAPS");
	line_add(line, ", iova_pgsizes=%#llx", i->iova_pgsizes);
}

static void decode_map(struct debug_line *line, const void *arg)
{
	const struct vfio_iommu_type1_dma_map *m = arg;

	line_add(line, "argsz=%u, ", m->argsz);
	ADD_FLAGS(line, m->flags, "READ", "WRITE", "VADDR");
	line_add(line, ", vaddr=%#llx, iova=%#llx, size=%#llx", m->vaddr,
		 m->iova, m->size);
}

static void decode_unmap(struct debug_line *line, const void *arg)
{
	const struct vfio_iommu_type1_dma_unmap *u = arg;

	line_add(line, "argsz=%u, ", u->argsz);
	ADD_FLAGS(line, u->flags, "GET_DIRTY_BITMAP", "ALL", "VADDR");
	line_add(line, ", iova=%#llx, size=%#llx", u->iova, u->size);
}

static void decode_group_status(struct debug_line *line, const void *arg)
{
	const struct vfio_group_status *s = arg;

	line_add(line, "argsz=%u, ", s->argsz);
	ADD_FLAGS(line, s->flags, "VIABLE", "CONTAINER_SET");
}

static void decode_fd(struct debug_line *line, const void *arg)
{
	line_add(line, "%d", *(const int32_t *)arg);
}

static void decode_feature(struct debug_line *line, const void *arg)
{
	const struct vfio_device_feature *f = arg;

	line_add(line, "argsz=%u, feature=%u, ", f->argsz,
		 f->flags & VFIO_DEVICE_FEATURE_MASK);
	ADD_FLAGS(line, f->flags >> 16, "GET", "SET", "PROBE");
}

static void decode_bind(struct debug_line *line, const void *arg)
{
	const struct abi_vfio_device_bind_iommufd *b = arg;

	line_add(line, "argsz=%u, flags=%#x, iommufd=%d, out_devid=%u",
		 b->argsz, b->flags, b->iommufd, b->out_devid);
}

static void decode_attach(struct debug_line *line, const void *arg)
{
	const struct abi_vfio_device_attach_iommufd_pt *a = arg;

	line_add(line, "argsz=%u, flags=%#x, pt_id=%u", a->argsz, a->flags,
		 a->pt_id);
}

static void decode_destroy(struct debug_line *line, const void *arg)
{
	const struct abi_iommu_destroy *d = arg;

	line_add(line, "size=%u, id=%u", d->size, d->id);
}

static void decode_ioas_alloc(struct debug_line *line, const void *arg)
{
	const struct abi_iommu_ioas_alloc *a = arg;

	line_add(line, "size=%u, flags=%#x, out_ioas_id=%u", a->size, a->flags,
		 a->out_ioas_id);
}

static void decode_ioas_ranges(struct debug_line *line, const void *arg)
{
	const struct abi_iommu_ioas_iova_ranges *r = arg;

	line_add(line, "size=%u, ioas_id=%u, num_iovas=%u", r->size, r->ioas_id,
		 r->num_iovas);
}

/* IOAS_MAP's, and IOAS_MAP_FILE's, which has an offset for the address. */
static void decode_ioas_map(struct debug_line *line, const void *arg)
{
	const struct abi_iommu_ioas_map *m = arg;

	line_add(line, "size=%u, ", m->size);
	ADD_FLAGS(line, m->flags, "FIXED_IOVA", "WRITEABLE", "READABLE");
	line_add(line, ", ioas_id=%u, start=%#llx, length=%#llx, iova=%#llx",
		 m->ioas_id, (unsigned long long)m->user_va,
		 (unsigned long long)m->length, (unsigned long long)m->iova);
}

static void decode_ioas_unmap(struct debug_line *line, const void *arg)
{
	const struct abi_iommu_ioas_unmap *u = arg;

	line_add(line, "size=%u, ioas_id=%u, iova=%#llx, length=%#llx", u->size,
		 u->ioas_id, (unsigned long long)u->iova,
		 (unsigned long long)u->length);
}

static void decode_name(struct debug_line *line, const void *arg)
{
	line_add(line, "\"%.60s\"", (const char *)arg);
}

/**
 * struct debug_ioctl - how to print an ioctl
 * @request: its number
 * @kinds: of which files, or'ed together: 1 << enum run_kind
 * @name: without the prefix that all have
 * @size: bytes of the argument that @decode looks at; 0: @arg is a number
 * @decode: NULL: it has no argument, or a number
 */
struct debug_ioctl {
	unsigned long request;
	unsigned int kinds;
	const char *name;
	size_t size;
	void (*decode)(struct debug_line *line, const void *arg);
};

#define ON_CONTAINER	(1u << RUN_CONTAINER | 1u << RUN_IOMMUFD)
#define ON_GROUP	(1u << RUN_GROUP)
#define ON_DEVICE	(1u << RUN_DEVICE)
#define ON_IOMMUFD	(1u << RUN_IOMMUFD)

static const struct debug_ioctl debug_ioctls[] = {
	{ .request = VFIO_GET_API_VERSION, .kinds = ON_CONTAINER,
	  .name = "VFIO_GET_API_VERSION" },
	{ .request = VFIO_CHECK_EXTENSION, .kinds = ON_CONTAINER,
	  .name = "VFIO_CHECK_EXTENSION" },
	{ .request = VFIO_SET_IOMMU, .kinds = ON_CONTAINER,
	  .name = "VFIO_SET_IOMMU" },
	{ VFIO_IOMMU_GET_INFO, ON_CONTAINER, "VFIO_IOMMU_GET_INFO",
	  offsetof(struct vfio_iommu_type1_info, cap_offset),
	  decode_iommu_info },
	{ VFIO_IOMMU_MAP_DMA, ON_CONTAINER, "VFIO_IOMMU_MAP_DMA",
	  sizeof(struct vfio_iommu_type1_dma_map), decode_map },
	{ VFIO_IOMMU_UNMAP_DMA, ON_CONTAINER, "VFIO_IOMMU_UNMAP_DMA",
	  sizeof(struct vfio_iommu_type1_dma_unmap), decode_unmap },
	{ VFIO_GROUP_GET_STATUS, ON_GROUP, "VFIO_GROUP_GET_STATUS",
	  sizeof(struct vfio_group_status), decode_group_status },
	{ VFIO_GROUP_SET_CONTAINER, ON_GROUP, "VFIO_GROUP_SET_CONTAINER",
	  sizeof(int32_t), decode_fd },
	{ .request = VFIO_GROUP_UNSET_CONTAINER, .kinds = ON_GROUP,
	  .name = "VFIO_GROUP_UNSET_CONTAINER" },
	{ VFIO_GROUP_GET_DEVICE_FD, ON_GROUP, "VFIO_GROUP_GET_DEVICE_FD",
	  DEBUG_NAME, decode_name },
	{ VFIO_DEVICE_GET_INFO, ON_DEVICE, "VFIO_DEVICE_GET_INFO",
	  offsetof(struct vfio_device_info, cap_offset), decode_device_info },
	{ VFIO_DEVICE_GET_REGION_INFO, ON_DEVICE, "VFIO_DEVICE_GET_REGION_INFO",
	  sizeof(struct vfio_region_info), decode_region_info },
	{ VFIO_DEVICE_GET_IRQ_INFO, ON_DEVICE, "VFIO_DEVICE_GET_IRQ_INFO",
	  sizeof(struct vfio_irq_info), decode_irq_info },
	{ VFIO_DEVICE_SET_IRQS, ON_DEVICE, "VFIO_DEVICE_SET_IRQS",
	  sizeof(struct vfio_irq_set), decode_irq_set },
	{ .request = VFIO_DEVICE_RESET, .kinds = ON_DEVICE,
	  .name = "VFIO_DEVICE_RESET" },
	{ .request = VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, .kinds = ON_DEVICE,
	  .name = "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO" },
	{ .request = VFIO_DEVICE_PCI_HOT_RESET, .kinds = ON_DEVICE,
	  .name = "VFIO_DEVICE_PCI_HOT_RESET" },
	{ .request = VFIO_DEVICE_IOEVENTFD, .kinds = ON_DEVICE,
	  .name = "VFIO_DEVICE_IOEVENTFD" },
	{ VFIO_DEVICE_FEATURE, ON_DEVICE, "VFIO_DEVICE_FEATURE",
	  sizeof(struct vfio_device_feature), decode_feature },
	{ ABI_VFIO_DEVICE_BIND_IOMMUFD, ON_DEVICE, "VFIO_DEVICE_BIND_IOMMUFD",
	  ABI_VFIO_DEVICE_BIND_IOMMUFD_MINSZ, decode_bind },
	{ ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, ON_DEVICE,
	  "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
	  ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT_MINSZ, decode_attach },
	{ .request = ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, .kinds = ON_DEVICE,
	  .name = "VFIO_DEVICE_DETACH_IOMMUFD_PT" },
	{ ABI_IOMMU_DESTROY, ON_IOMMUFD, "IOMMU_DESTROY",
	  sizeof(struct abi_iommu_destroy), decode_destroy },
	{ ABI_IOMMU_IOAS_ALLOC, ON_IOMMUFD, "IOMMU_IOAS_ALLOC",
	  sizeof(struct abi_iommu_ioas_alloc), decode_ioas_alloc },
	{ .request = ABI_IOMMU_IOAS_ALLOW_IOVAS, .kinds = ON_IOMMUFD,
	  .name = "IOMMU_IOAS_ALLOW_IOVAS" },
	{ .request = ABI_IOMMU_IOAS_COPY, .kinds = ON_IOMMUFD,
	  .name = "IOMMU_IOAS_COPY" },
	{ ABI_IOMMU_IOAS_IOVA_RANGES, ON_IOMMUFD, "IOMMU_IOAS_IOVA_RANGES",
	  offsetof(struct abi_iommu_ioas_iova_ranges, reserved),
	  decode_ioas_ranges },
	{ ABI_IOMMU_IOAS_MAP, ON_IOMMUFD, "IOMMU_IOAS_MAP",
	  sizeof(struct abi_iommu_ioas_map), decode_ioas_map },
	{ ABI_IOMMU_IOAS_UNMAP, ON_IOMMUFD, "IOMMU_IOAS_UNMAP",
	  sizeof(struct abi_iommu_ioas_unmap), decode_ioas_unmap },
	{ .request = ABI_IOMMU_OPTION, .kinds = ON_IOMMUFD,
	  .name = "IOMMU_OPTION" },
	{ .request = ABI_IOMMU_VFIO_IOAS, .kinds = ON_IOMMUFD,
	  .name = "IOMMU_VFIO_IOAS" },
	{ .request = ABI_IOMMU_HWPT_ALLOC, .kinds = ON_IOMMUFD,
	  .name = "IOMMU_HWPT_ALLOC" },
	{ .request = ABI_IOMMU_GET_HW_INFO, .kinds = ON_IOMMUFD,
	  .name = "IOMMU_GET_HW_INFO" },
	{ ABI_IOMMU_IOAS_MAP_FILE, ON_IOMMUFD, "IOMMU_IOAS_MAP_FILE",
	  sizeof(struct abi_iommu_ioas_map_file), decode_ioas_map },
};

static const struct debug_ioctl *debug_find(const struct run_file *file,
					    unsigned long request)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(debug_ioctls); i++) {
		if (debug_ioctls[i].request == request &&
		    debug_ioctls[i].kinds & 1u << file->kind)
			return &debug_ioctls[i];
	}
	return NULL;
}

/* A string may end before what can't be read begins. */
static bool debug_copy(void *to, const char *arg, size_t size)
{
	size_t n;

	if (size != DEBUG_NAME)
		return !run_copy_in(to, arg, size);
	for (n = 0; n < size - 1; n++) {
		char *c = (char *)to + n;

		if (run_copy_in(c, arg + n, 1))
			return false;
		if (!*c)
			return true;
	}
	return true;
}

void run_debug_ioctl(const struct run_file *file, int fd, unsigned long request,
		     const void *arg, int ret, uint64_t us)
{
	const struct debug_ioctl *d = debug_find(file, request);
	uint64_t copy[DEBUG_NAME / sizeof(uint64_t)] = { 0 };
	struct debug_line line;
	int saved = errno;

	line_begin(&line);
	if (d)
		line_add(&line, "ioctl(%d, %s", fd, d->name);
	else
		line_add(&line, "ioctl(%d, %#lx", fd, request);
	if (!d || !d->decode) {
		line_add(&line, ", %#lx)", (unsigned long)arg);
	} else if (debug_copy(copy, arg, d->size)) {
		/* A structure that points behind itself is looked at in place. */
		line_add(&line, ", {");
		d->decode(&line, d->decode == decode_irq_set ? arg : copy);
		line_add(&line, "})");
	} else {
		line_add(&line, ", %p)", arg);
	}
	line_end(&line, ret, us);
	errno = saved;
}
