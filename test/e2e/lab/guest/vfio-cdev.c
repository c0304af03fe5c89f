// SPDX-License-Identifier: Apache-2.0
/*
 * Uses a VFIO device by the nodes that a container gets on a kernel with iommufd, as a user space driver or a virtual machine does.
 *   vfio-cdev iommufd CDEV            opens /dev/vfio/devices/CDEV and /dev/iommu, binds one to the other, attaches the device to an
 *                                     address space with a page in it, reads its ids
 *   vfio-cdev open CDEV               opens the cdev alone, bound to nothing
 *   vfio-cdev noiommu GROUP ADDRESS   opens /dev/vfio/GROUP (noiommu-N) with a container without IOMMU, reads the device's ids
 * Prints "holding" with the ids, as `holding 8086:10d3`, and "released" when it lets go, on SIGTERM, SIGINT or the end of its stdin;
 * "failed: CALL: ERROR" at the first call that fails. Compiled against the user space API of the lab's own kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int need(int result, const char *what)
{
	if (result < 0) {
		printf("failed: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return result;
}

static int open_node(const char *directory, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return need(open(path, O_RDWR), path);
}

/* An address space with one page mapped at a megabyte: the IOMMU really translates for the device now. */
static void attach_address_space(int device, int iommu)
{
	struct iommu_ioas_alloc space = { .size = sizeof(space) };
	struct iommu_ioas_map map = { .size = sizeof(map),
				      .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	long size = sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(page == MAP_FAILED ? -1 : 0, "mmap");
	need(ioctl(iommu, IOMMU_IOAS_ALLOC, &space), "IOMMU_IOAS_ALLOC");
	attach.pt_id = space.out_ioas_id;
	need(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	map.ioas_id = space.out_ioas_id;
	map.user_va = (uintptr_t)page;
	map.length = size;
	map.iova = 0x100000;
	need(ioctl(iommu, IOMMU_IOAS_MAP, &map), "IOMMU_IOAS_MAP");
}

static int open_by_iommufd(const char *cdev)
{
	int device = open_node("/dev/vfio/devices", cdev);
	int iommu = open_node("/dev", "iommu");
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommu };

	need(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind), "VFIO_DEVICE_BIND_IOMMUFD");
	attach_address_space(device, iommu);
	return device;
}

static int open_without_iommu(const char *group_name, const char *address)
{
	int container = open_node("/dev/vfio", "vfio");
	int group = open_node("/dev/vfio", group_name);

	need(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "VFIO_GROUP_SET_CONTAINER");
	need(ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), "VFIO_SET_IOMMU");
	return need(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address), "VFIO_GROUP_GET_DEVICE_FD");
}

/* Vendor and device id by the device's own configuration space, which only an opened device lets read. */
static void print_ids(int device)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t ids[2];

	need(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info), "VFIO_DEVICE_GET_REGION_INFO");
	need(pread(device, ids, sizeof(ids), info.offset) == sizeof(ids) ? 0 : -1, "pread");
	printf("holding %04x:%04x\n", ids[0], ids[1]);
}

static volatile sig_atomic_t told;

static void tell(int signal)
{
	told = signal;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = tell };
	struct pollfd wait = { .fd = 0, .events = POLLIN };

	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (argc == 3 && !strcmp(argv[1], "iommufd")) {
		print_ids(open_by_iommufd(argv[2]));
	} else if (argc == 3 && !strcmp(argv[1], "open")) {
		open_node("/dev/vfio/devices", argv[2]);
		puts("holding");
	} else if (argc == 4 && !strcmp(argv[1], "noiommu")) {
		print_ids(open_without_iommu(argv[2], argv[3]));
	} else {
		puts("usage: vfio-cdev iommufd|open CDEV, vfio-cdev noiommu GROUP ADDRESS");
		return 2;
	}
	while (!told && !(wait.revents & (POLLHUP | POLLIN)))
		poll(&wait, 1, -1);
	puts("released");
	return 0;
}
