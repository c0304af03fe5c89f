// SPDX-License-Identifier: GPL-2.0-only
// The other half of the tie with edu_first_vfio_pci.
#define VARIANT_DRIVER "edu-second-vfio"
#define VARIANT_IDS { PCI_DRIVER_OVERRIDE_DEVICE_VFIO(0x1234, 0x11e8) }
#include "variant.h"
