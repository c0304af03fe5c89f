// SPDX-License-Identifier: GPL-2.0-only
// A class pattern: any NVMe controller of any vendor (01 08 02), which kbuild writes with a trailing i02*.
#define VARIANT_DRIVER "nvme-class-vfio"
#define VARIANT_IDS { \
	.vendor = PCI_ANY_ID, .device = PCI_ANY_ID, .subvendor = PCI_ANY_ID, .subdevice = PCI_ANY_ID, \
	.class = 0x010802, .class_mask = 0xffffff, .override_only = PCI_ID_F_VFIO_DRIVER_OVERRIDE }
#include "variant.h"
