// SPDX-License-Identifier: GPL-2.0-only
// Module and driver have one name, as most variants of mainline; for the VFs that igb makes.
#define VARIANT_DRIVER "igbvf_vfio_pci"
#define VARIANT_IDS { PCI_DRIVER_OVERRIDE_DEVICE_VFIO(0x8086, 0x10ca) }
#include "variant.h"
