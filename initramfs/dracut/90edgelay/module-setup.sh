#!/bin/bash
# A module for dracut (/usr/lib/dracut/modules.d/90edgelay): puts edgelay and the drivers for sticks into the image.

check() { [ -x "${EDGELAY:-/usr/local/bin/edgelay}" ]; }

depends() { echo base; }

installkernel() {
    hostonly='' instmods xhci_pci ehci_pci usb_storage uas sd_mod mmc_block virtio_pci virtio_blk \
        vfat nls_cp437 nls_ascii nls_iso8859_1 nls_utf8 isofs ext4 crc32c_generic overlay
}

install() {
    inst_binary "${EDGELAY:-/usr/local/bin/edgelay}" /usr/bin/edgelay
    inst_multiple -o /etc/edgelay/keys/*.pub
    # shellcheck disable=SC2154 # dracut sets it
    inst_hook pre-mount 50 "$moddir/edgelay.sh"
}
