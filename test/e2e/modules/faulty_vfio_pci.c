// SPDX-License-Identifier: GPL-2.0-only
// Probing always fails with EIO, so that a bind has to be rolled back; for vmxnet3, which no other test needs.
#define VARIANT_DRIVER "faulty-vfio"
#define VARIANT_IDS { PCI_DRIVER_OVERRIDE_DEVICE_VFIO(0x15ad, 0x07b0) }
#define VARIANT_PROBE_ERROR (-EIO)
#include "variant.h"
