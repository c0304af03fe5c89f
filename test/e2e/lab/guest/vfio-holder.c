// SPDX-License-Identifier: Apache-2.0
/*
 * Holds a VFIO device the way a virtual machine does, until it is told to let go: what tests put in the agent's way.
 *   vfio-holder device GROUP ADDRESS   opens /dev/vfio/GROUP, attaches it to a container with the type 1 IOMMU and
 *                                      opens the device
 *   vfio-holder yield GROUP ADDRESS    the same, and exits as soon as the kernel asks for the device back
 *   vfio-holder map GROUP ADDRESS      maps a region of the device and closes every file of it: still in use, and not to
 *                                      be seen below /proc/PID/fd
 *   vfio-holder group GROUP            opens the group alone
 * Prints "holding" when it has it, "released" when it lets go; ends on SIGTERM, SIGINT or the end of its stdin.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_group(const char *group)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	fd = open(path, O_RDWR);
	if (fd < 0)
		fail(path);
	return fd;
}

static int open_device(int group, const char *address)
{
	int container = open("/dev/vfio/vfio", O_RDWR), device;

	if (container < 0)
		fail("/dev/vfio/vfio");
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0)
		fail("VFIO_GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		fail("VFIO_SET_IOMMU");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
	if (device < 0)
		fail("VFIO_GROUP_GET_DEVICE_FD");
	return device;
}

/* The kernel signals this eventfd when somebody wants to unbind the device. */
static int request_event(int device)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} irq = { .set = { .argsz = sizeof(irq), .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			   .index = VFIO_PCI_REQ_IRQ_INDEX, .start = 0, .count = 1 } };

	irq.fd = eventfd(0, EFD_CLOEXEC);
	if (irq.fd < 0 || ioctl(device, VFIO_DEVICE_SET_IRQS, &irq) < 0)
		fail("VFIO_DEVICE_SET_IRQS");
	return irq.fd;
}

/* Maps the first region that can be mapped; the mapping keeps the device open without a file. */
static void map_region(int device)
{
	for (unsigned int index = VFIO_PCI_BAR0_REGION_INDEX; index <= VFIO_PCI_BAR5_REGION_INDEX; index++) {
		struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

		if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0 || !(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
			continue;
		if (mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, device, info.offset) != MAP_FAILED)
			return;
	}
	fail("mmap");
}

static volatile sig_atomic_t told;

static void tell(int signal)
{
	told = signal;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = tell };
	struct pollfd wait[2] = { { .fd = 0, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	int with_device = argc == 4 && (!strcmp(argv[1], "device") || !strcmp(argv[1], "yield") || !strcmp(argv[1], "map"));
	int group;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (!with_device && !(argc == 3 && !strcmp(argv[1], "group"))) {
		puts("usage: vfio-holder device|yield|map GROUP ADDRESS, vfio-holder group GROUP");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	group = open_group(argv[2]);
	if (with_device) {
		int device = open_device(group, argv[3]);

		if (!strcmp(argv[1], "yield"))
			wait[1].fd = request_event(device);
		if (!strcmp(argv[1], "map")) {
			map_region(device);
			/* The container, the group and the device, which are all that is open besides the standard three. */
			for (int fd = 3; fd <= device || fd <= group + 2; fd++)
				close(fd);
		}
	}
	puts("holding");
	while (!told && !(wait[0].revents & (POLLHUP | POLLIN)) && !(wait[1].revents & POLLIN))
		poll(wait, 2, -1);
	puts("released");
	return 0;
}
