#!/bin/sh
# Sourced by dracut before the root is mounted: installs from a stick if the kernel's command line says edgelay.run=1.
# With edgelay.after=continue the boot goes on afterwards.
if getargbool 0 edgelay.run; then
    for module in usb_storage uas sd_mod mmc_block virtio_blk vfat nls_cp437 nls_ascii nls_iso8859_1 nls_utf8 isofs ext4 overlay; do
        modprobe -q "$module" || :
    done
    # A failure is on the console and on the stick; what then happens is edgelay.on_error's to say. With systemd in the
    # initramfs, our output would go to its journal, and reach the console changed.
    edgelay initramfs run </dev/console >/dev/console 2>&1 || :
fi
