// SPDX-License-Identifier: GPL-2.0-only
// The names differ by more than - and _: only /sys/module/e1000e_vfio_pci/drivers tells what the driver is called.
#define VARIANT_DRIVER "e1000e-vfio"
#define VARIANT_IDS { PCI_DRIVER_OVERRIDE_DEVICE_VFIO(0x8086, 0x10d3) }
#include "variant.h"
