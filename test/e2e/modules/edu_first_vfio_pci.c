// SPDX-License-Identifier: GPL-2.0-only
// One half of a tie: edu_second_vfio_pci has the same pattern.
#define VARIANT_DRIVER "edu_first_vfio_pci"
#define VARIANT_IDS { PCI_DRIVER_OVERRIDE_DEVICE_VFIO(0x1234, 0x11e8) }
#include "variant.h"
