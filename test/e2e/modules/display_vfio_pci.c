// SPDX-License-Identifier: GPL-2.0-only
// Partial wildcards: any device of one vendor (1234) in one base class (03, displays).
#define VARIANT_DRIVER "display-vfio"
#define VARIANT_IDS { \
	.vendor = 0x1234, .device = PCI_ANY_ID, .subvendor = PCI_ANY_ID, .subdevice = PCI_ANY_ID, \
	.class = 0x030000, .class_mask = 0xff0000, .override_only = PCI_ID_F_VFIO_DRIVER_OVERRIDE }
#include "variant.h"
