// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program gives to VFIO's ioctls, rightly or not.
 *
 * A structure is described by a string, a letter for each of its fields, and
 * each field takes a byte of the input, from values that mean something. It is
 * then put where something can be wrong with it: right before a page that isn't
 * mapped, across that, in memory that can only be read, nowhere.
 *
 * Nothing that an ioctl writes may lie behind what the structure says its own
 * size is, so what lies there is looked at afterwards.
 */
#include <fcntl.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "run_fuzz.h"
#include "util.h"

#define PAGE		4096
#define NR_PLACES	4
#define MAX_STRUCT	512
#define POISON		0xa5

/**
 * struct place - memory for an argument
 * @page: a page, and none behind it
 * @read_only: the same page, to be read only
 */
struct place {
	uint8_t *page;
	uint8_t *read_only;
};

/**
 * struct request - an ioctl
 * @number: of it
 * @on: kinds of fds that know it
 * @fields: of its structure:
 *	z	its size, 32 bits
 *	f	flags, 32 bits
 *	i	a small number, 32 bits
 *	0	zero, most often, 32 bits
 *	n	a number of entries, 32 bits
 *	h	a small number, 16 bits
 *	F	an fd that a device can be put on
 *	G	an fd of a file
 *	t	a feature, and what to do with it, 32 bits
 *	A	an I/O virtual address, 64 bits
 *	L	a length, 64 bits
 *	V	an address in the program
 *	p	a pointer to @entry times as many bytes as n says
 *	q	a small number, 64 bits
 *	d	bytes of data to the end, whatever they mean
 *	e	as many fds as the last number says
 *	s	a device's name, and nothing else
 *	-	there is no structure, and a number is given
 * @entry: with p
 */
struct request {
	unsigned long number;
	unsigned int on;
	const char *fields;
	unsigned int entry;
};

static const struct request requests[] = {
	{ VFIO_IOMMU_MAP_DMA, A_CONTAINER | AN_IOMMUFD, "zfVAL", 0 },
	{ VFIO_IOMMU_UNMAP_DMA, A_CONTAINER | AN_IOMMUFD, "zfAL", 0 },
	{ VFIO_DEVICE_SET_IRQS, A_DEVICE, "zfiine", 0 },
	{ VFIO_DEVICE_FEATURE, A_DEVICE, "ztiid", 0 },
	{ VFIO_DEVICE_FEATURE, A_DEVICE, "ztALqp", 64 },
	{ VFIO_DEVICE_FEATURE, A_DEVICE, "ztqn0p", 16 },
	{ ABI_IOMMU_IOAS_MAP, AN_IOMMUFD, "zfi0VLA", 0 },
	{ ABI_IOMMU_IOAS_MAP_FILE, AN_IOMMUFD, "zfiGALA", 0 },
	{ ABI_IOMMU_IOAS_COPY, AN_IOMMUFD, "zfiiLAA", 0 },
	{ ABI_IOMMU_IOAS_UNMAP, AN_IOMMUFD, "ziAL", 0 },
	{ VFIO_DEVICE_GET_REGION_INFO, A_DEVICE, "zfi0qqd", 0 },
	{ VFIO_DEVICE_GET_INFO, A_DEVICE, "zf0000", 0 },
	{ VFIO_DEVICE_GET_IRQ_INFO, A_DEVICE, "zfi0", 0 },
	{ VFIO_IOMMU_GET_INFO, A_CONTAINER | AN_IOMMUFD, "zfq00d", 0 },
	{ VFIO_GROUP_SET_CONTAINER, A_GROUP | A_FILE, "F", 0 },
	{ VFIO_GROUP_UNSET_CONTAINER, A_GROUP, "-", 0 },
	{ VFIO_GROUP_GET_STATUS, A_GROUP, "zf", 0 },
	{ VFIO_GROUP_GET_DEVICE_FD, A_GROUP, "s", 0 },
	{ VFIO_SET_IOMMU, A_CONTAINER | AN_IOMMUFD, "-", 0 },
	{ VFIO_CHECK_EXTENSION, A_CONTAINER | AN_IOMMUFD, "-", 0 },
	{ VFIO_GET_API_VERSION, A_CONTAINER | AN_IOMMUFD, "-", 0 },
	{ VFIO_DEVICE_RESET, A_DEVICE, "-", 0 },
	{ VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, A_DEVICE, "zfn", 0 },
	{ VFIO_DEVICE_PCI_HOT_RESET, A_DEVICE, "z0ne", 0 },
	{ VFIO_DEVICE_IOEVENTFD, A_DEVICE, "zfqqG", 0 },
	{ ABI_VFIO_DEVICE_BIND_IOMMUFD, A_DEVICE | A_FILE, "zfF0pd", 16 },
	{ ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, A_DEVICE, "zfi0", 0 },
	{ ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, A_DEVICE, "zf0", 0 },
	{ ABI_IOMMU_DESTROY, AN_IOMMUFD, "zi", 0 },
	{ ABI_IOMMU_IOAS_ALLOC, AN_IOMMUFD, "zf0", 0 },
	{ ABI_IOMMU_IOAS_ALLOW_IOVAS, AN_IOMMUFD, "zin0p", 16 },
	{ ABI_IOMMU_IOAS_IOVA_RANGES, AN_IOMMUFD, "zin0pq", 16 },
	{ ABI_IOMMU_OPTION, AN_IOMMUFD, "zihhiq", 0 },
	{ ABI_IOMMU_VFIO_IOAS, AN_IOMMUFD, "zihh", 0 },
	{ ABI_IOMMU_IOAS_CHANGE_PROCESS, AN_IOMMUFD, "z0d", 0 },
	{ ABI_IOMMU_HWPT_ALLOC, AN_IOMMUFD, "zfiid", 0 },
	{ VFIO_DEVICE_GET_INFO, A_STREAM, "zfqq", 0 },
};

/* A structure in the making. */
struct build {
	struct program *p;
	const struct request *request;
	uint8_t bytes[MAX_STRUCT];
	size_t len;
	uint32_t last;
	bool answered;
};

static struct place places[NR_PLACES];

void args_init(void)
{
	unsigned int i;
	uint8_t *at;
	int fd;

	for (i = 0; i < NR_PLACES; i++) {
		fd = memfd_create("arguments", MFD_CLOEXEC);
		fuzz_require(fd >= 0 && !ftruncate(fd, PAGE), "memory");
		at = mmap(NULL, 2 * PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		fuzz_require(at != MAP_FAILED, "memory");
		places[i].page = mmap(at, PAGE, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_FIXED, fd, 0);
		places[i].read_only = mmap(NULL, PAGE, PROT_READ, MAP_SHARED,
					   fd, 0);
		fuzz_require(places[i].page == at &&
			     places[i].read_only != MAP_FAILED, "memory");
		close(fd);
	}
}

static struct place *next_place(void)
{
	static unsigned int turn;

	return &places[turn++ % NR_PLACES];
}

static void *bad_pointer(const struct place *place, unsigned int how)
{
	switch (how & 7) {
	case 0:
		return NULL;
	case 1:
		return (void *)1;
	case 2:
		return place->page + PAGE;
	case 3:
		return (void *)(UINTPTR_MAX << 12);
	case 4:
		return (void *)(UINTPTR_MAX / 2);
	default:
		return place->read_only;
	}
}

void *args_pointer(struct fuzz *f, size_t len)
{
	struct place *place = next_place();
	unsigned int how = fuzz_u8(f);

	if (how >= 0xe0)
		return bad_pointer(place, how);
	if (how >= 0xd0)
		len = (how & 0xf) * 4;
	len = min(len, (size_t)PAGE);
	memset(place->page, 0, PAGE);
	return place->page + PAGE - len;
}

const char *args_path(struct fuzz *f, unsigned int *kind)
{
	static const struct {
		const char *path;
		unsigned int kind;
	} paths[] = {
		{ "/dev/vfio/vfio", A_CONTAINER },
		{ "/dev/vfio/7", A_GROUP },
		{ "/dev/iommu", AN_IOMMUFD },
		{ "/dev/vfio/devices/vfio0", A_DEVICE },
		{ "/dev/vfio/8", A_GROUP },
		{ "/dev/vfio/devices/vfio1", A_DEVICE },
		{ "/dev/vfio/devices/vfio2", A_DEVICE },
		{ "//dev/./x/..//vfio/vfio", A_CONTAINER },
		{ "../../../../../../../../dev/iommu", AN_IOMMUFD },
		{ "/dev/vfio/9", A_FILE },
		{ "/dev/vfio/devices/vfio", A_FILE },
		{ "vfio", A_FILE },
		{ "/..", A_FILE },
		{ "", A_FILE },
		{ "/dev/null", A_FILE },
	};
	static const uintptr_t bad[] = { 0, 1, 4095, UINTPTR_MAX << 12 };
	unsigned int how = fuzz_u8(f);
	const char *path;
	char *copy;

	*kind = A_FILE;
	/* Names in the middle of nothing aren't looked at: see node.c. */
	if (how >= 0xf0)
		return (char *)bad[how % ARRAY_SIZE(bad)];
	path = paths[how % ARRAY_SIZE(paths)].path;
	*kind = paths[how % ARRAY_SIZE(paths)].kind;
	if (how < 0x80)
		return path;
	/* Its end is the page's. */
	copy = (char *)next_place()->page + PAGE - strlen(path) - 1;
	return strcpy(copy, path);
}

void program_add(struct program *p, int fd, unsigned int kind)
{
	if (fd < 0 || p->nr_fds == MAX_PROGRAM_FDS)
		return;
	p->fds[p->nr_fds] = fd;
	p->kinds[p->nr_fds++] = kind;
}

int program_fd(struct program *p, unsigned int kinds)
{
	unsigned int how = fuzz_u8(p->f), nr = 0, i;
	int fds[MAX_PROGRAM_FDS];

	if (!p->nr_fds || how >= 0xfe)
		return how & 1 ? -1 : 1 << 30;
	for (i = p->nr_fds; i-- > 0;) {
		if (p->kinds[i] & kinds)
			fds[nr++] = p->fds[i];
	}
	return nr && how < 0xe0 ? fds[how % nr] : p->fds[how % p->nr_fds];
}

/*
 * Fields
 */

static void add(struct build *b, uint64_t value, size_t size)
{
	if (b->len + size > sizeof(b->bytes))
		return;
	memcpy(b->bytes + b->len, &value, size);
	b->len += size;
}

static uint64_t address(struct fuzz *f)
{
	static const uint64_t bases[] = {
		0, 0x10000, 0x100000, 0xfffff000, 0xfee00000,
		0xfffffffffffff000, 0x8000000000000000,
	};
	unsigned int how = fuzz_u8(f);

	return how == 0xff ? UINT64_MAX :
	       bases[(how >> 5) % ARRAY_SIZE(bases)] + (how & 0x1f) * PAGE;
}

static uint64_t length(struct fuzz *f)
{
	static const uint64_t odd[] = {
		0, 1, PAGE - 1, UINT64_MAX, UINT64_MAX - PAGE + 1, 1ull << 63,
		1ull << 40, PAGE + 1,
	};
	unsigned int how = fuzz_u8(f);

	if (how >= 0xf0)
		return odd[how % ARRAY_SIZE(odd)];
	return (how % 8 + 1) * PAGE;
}

/* Where the arena is, and what is around it, but nothing that we need. */
static uint64_t vaddr(struct program *p)
{
	static const uint64_t bad[] = {
		0, PAGE, UINT64_MAX << 12, (UINT64_MAX / 2 + 1), 1, 123,
	};
	unsigned int how = fuzz_u8(p->f);

	if (how >= 0xf0)
		return bad[how % ARRAY_SIZE(bad)];
	return (uintptr_t)p->arena + (how % (ARENA_PAGES + 4)) * PAGE +
	       (how >= 0xe8 ? 8 : 0);
}

static uint32_t flags(struct fuzz *f)
{
	unsigned int how = fuzz_u8(f);

	if (how >= 0xf0)
		return 1u << (how & 0xf) << 16;
	return how < 0x80 ? how & 7 : how & 0x3f;
}

static uint32_t feature(struct fuzz *f)
{
	static const uint32_t known[] = { 1, 2, 2, 2, 6, 7, 8 };
	unsigned int how = fuzz_u8(f);

	/* To get or to set one that there is, most often */
	return how < 0xc0 ? known[(how & 0x3f) % ARRAY_SIZE(known)] |
			    1u << (how >> 6) << 16 :
			    (how & 0xf) | (how >> 4 & 7) << 16;
}

static void add_pointer(struct build *b)
{
	size_t len = (size_t)b->last * b->request->entry;

	add(b, (uintptr_t)args_pointer(b->p->f, len), sizeof(uint64_t));
}

static void add_fds(struct build *b)
{
	unsigned int i;

	for (i = 0; i < min(b->last, 32u); i++)
		add(b, program_fd(b->p, A_FILE), sizeof(int32_t));
}

static void add_data(struct build *b)
{
	unsigned int i, nr = fuzz_u8(b->p->f) % 96;

	for (i = 0; i < nr; i++)
		add(b, fuzz_u8(b->p->f), 1);
}

static void add_name(struct build *b)
{
	static const char *const names[] = {
		"0000:01:00.0", "0000:01:00.1",
		"83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
		"0000:01:00.0 vf_token=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
		"0000:01:00.0  ", "0000:01:00.0 vf_token=", "0000:01:00.",
		"",
	};
	unsigned int how = fuzz_u8(b->p->f);
	const char *name = names[how % ARRAY_SIZE(names)];

	while (*name)
		add(b, *name++, 1);
	if (how < 0xf0)
		add(b, 0, 1);
}

static void add_field(struct build *b, char field)
{
	struct fuzz *f = b->p->f;

	switch (field) {
	case 'z':
		/* Filled in last. */
		add(b, 0, 4);
		break;
	case 'f':
		add(b, flags(f), 4);
		break;
	case 'i':
		add(b, fuzz_u8(f) & 0xf, 4);
		break;
	case '0':
		add(b, fuzz_u8(f) == 0xff, 4);
		break;
	case 'n':
		b->last = fuzz_u8(f);
		b->last = b->last < 0xf0 ? b->last & 0x1f : UINT32_MAX / 2;
		add(b, b->last, 4);
		break;
	case 'h':
		add(b, fuzz_u8(f) & 3, 2);
		break;
	case 'F':
		add(b, program_fd(b->p, A_CONTAINER | AN_IOMMUFD), 4);
		break;
	case 'G':
		add(b, program_fd(b->p, A_FILE), 4);
		break;
	case 't':
		add(b, feature(f), 4);
		break;
	case 'A':
		add(b, address(f), 8);
		break;
	case 'L':
		add(b, length(f), 8);
		break;
	case 'V':
		add(b, vaddr(b->p), 8);
		break;
	case 'p':
		add_pointer(b);
		break;
	case 'q':
		add(b, (uint64_t)(fuzz_u8(f) & 0xf) << (fuzz_u8(f) & 0x3f), 8);
		break;
	case 'd':
		add_data(b);
		break;
	case 'e':
		add_fds(b);
		break;
	case 's':
		add_name(b);
		break;
	}
}

/* The size of the structure, or near that. */
static void set_size(struct build *b)
{
	unsigned int how = fuzz_u8(b->p->f);
	uint32_t size = b->len;

	if (how >= 0xe0)
		size += (int)(how & 0x1f) * 4 - 64;
	if (how == 0xff)
		size = UINT32_MAX;
	memcpy(b->bytes, &size, sizeof(size));
}

static int call(const struct build *b, int fd, void *arg)
{
	return program_ioctl(fd, b->request->number, arg);
}

/* With room behind it that nobody may write to. */
static int call_watched(struct build *b, int fd)
{
	struct place *place = next_place();
	uint32_t end, i;
	int ret;

	memset(place->page, POISON, PAGE);
	end = b->len;
	if (b->request->fields[0] == 'z')
		memcpy(&end, b->bytes, sizeof(end));
	end = max(end, (uint32_t)sizeof(end));
	memcpy(place->page, b->bytes, min((size_t)end, b->len));
	ret = call(b, fd, place->page);
	for (i = end; i < PAGE; i++)
		fuzz_require(place->page[i] == POISON,
			     "an ioctl writes nothing behind what it is given");
	memcpy(b->bytes, place->page, b->len);
	b->answered = true;
	return ret;
}

static int call_placed(const struct build *b, int fd)
{
	struct place *place = &places[0];
	unsigned int i;
	uint8_t *arg;

	arg = args_pointer(b->p->f, b->len);
	for (i = 0; i < NR_PLACES; i++) {
		place = &places[i];
		if (arg >= place->page && arg < place->page + PAGE)
			memcpy(arg, b->bytes,
			       min(b->len, (size_t)(place->page + PAGE - arg)));
		else if (arg == place->read_only)
			memcpy(place->page, b->bytes, b->len);
	}
	return call(b, fd, arg);
}

static int call_number(const struct build *b, int fd)
{
	unsigned int how = fuzz_u8(b->p->f);

	return call(b, fd, (void *)(uintptr_t)(how < 0x80 ? how & 3 : how));
}

/* Some give the program an fd. */
static void add_given(const struct build *b, int ret)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_mig_state state;
	} feature;

	if (b->request->number == VFIO_GROUP_GET_DEVICE_FD)
		program_add(b->p, ret, A_DEVICE);
	if (b->request->number != VFIO_DEVICE_FEATURE || ret || !b->answered)
		return;
	memcpy(&feature, b->bytes, sizeof(feature));
	if (feature.head.flags == (VFIO_DEVICE_FEATURE_SET |
				   VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE))
		program_add(b->p, feature.state.data_fd, A_STREAM);
}

void args_ioctl(struct program *p)
{
	struct build b = { .p = p };
	const char *field;
	int fd, ret;

	b.request = &requests[fuzz_u8(p->f) % ARRAY_SIZE(requests)];
	fd = program_fd(p, b.request->on);
	for (field = b.request->fields; *field; field++)
		add_field(&b, *field);
	if (b.request->fields[0] == 'z')
		set_size(&b);
	if (b.request->fields[0] == '-')
		ret = call_number(&b, fd);
	else if (fuzz_u8(p->f) < 0x90)
		ret = call_watched(&b, fd);
	else
		ret = call_placed(&b, fd);
	add_given(&b, ret);
}

/*
 * What most programs do
 */

static int prepare_open(struct program *p, const char *path, unsigned int kind)
{
	int fd = program_open(path, O_RDWR);

	program_add(p, fd, kind);
	return fd;
}

static void prepare_group(struct program *p, const char *iommu,
			  unsigned int kind)
{
	int container = prepare_open(p, iommu, kind);
	int group = prepare_open(p, "/dev/vfio/7", A_GROUP);
	int fd;

	program_ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
	program_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	fd = program_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0");
	program_add(p, fd, A_DEVICE);
}

static void prepare_cdev(struct program *p)
{
	int iommufd = prepare_open(p, "/dev/iommu", AN_IOMMUFD);
	int fd = prepare_open(p, "/dev/vfio/devices/vfio0", A_DEVICE);
	struct abi_vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind), .iommufd = iommufd,
	};
	struct abi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct abi_vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};

	program_ioctl(fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind);
	program_ioctl(iommufd, ABI_IOMMU_IOAS_ALLOC, &alloc);
	attach.pt_id = alloc.out_ioas_id;
	program_ioctl(fd, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

/* The device begins to save, or to load, which gives an fd. */
static void prepare_stream(struct program *p, uint32_t state)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_mig_state state;
	} feature = {
		.head = {
			.argsz = sizeof(feature),
			.flags = VFIO_DEVICE_FEATURE_SET |
				 VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
		},
		.state.device_state = state,
	};
	int fd = program_fd(p, A_DEVICE);

	if (!program_ioctl(fd, VFIO_DEVICE_FEATURE, &feature))
		program_add(p, feature.state.data_fd, A_STREAM);
}

void args_prepare(struct program *p)
{
	unsigned int how = fuzz_u8(p->f);

	switch (how & 3) {
	case 1:
		prepare_group(p, "/dev/vfio/vfio", A_CONTAINER);
		break;
	case 2:
		prepare_cdev(p);
		break;
	case 3:
		prepare_group(p, "/dev/iommu", AN_IOMMUFD);
		break;
	}
	if (how & 4)
		prepare_stream(p, how & 8 ? VFIO_DEVICE_STATE_RESUMING :
					    VFIO_DEVICE_STATE_STOP_COPY);
}
