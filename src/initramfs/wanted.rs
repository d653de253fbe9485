//! The modules that an image brings along unless told otherwise: what a stick and a root disk may hang on, and what
//! may be on them. Those that a kernel does not have, or has built in, are left out.

/// What [`ORDER`] is: one line per module and group, `GROUP PATH`, in the order of loading.
///
/// The group `boot` is loaded at once. A group with the name of a file system is loaded before one is mounted.
pub const ORDER: &str = "etc/edgelay/modules";
/// Where their files are, as `NAME.ko`. Not below `/lib`, which becomes a link to the target's.
pub const DIRECTORY: &str = "modules";
/// The release of the kernel that the modules are for.
pub const RELEASE: &str = "etc/edgelay/kernel";
/// Group of the drivers.
pub const BOOT: &str = "boot";

/// Drivers, buses before what hangs on them.
pub const DRIVERS: &[&str] = &[
    // virtual machines
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "virtio_scsi",
    "hv_storvsc",
    "vmw_pvscsi",
    // PCs
    "nvme",
    "ahci",
    "ata_piix",
    "sdhci_pci",
    "sdhci_acpi",
    // boards: clocks, buses and power that the controllers below wait for come along as their dependencies
    "pcie_brcmstb",
    "pcie_rockchip_host",
    "pcie_tegra194",
    "phy_rockchip_naneng_combphy",
    "phy_rockchip_pcie",
    "phy_rockchip_snps_pcie3",
    "phy_rockchip_inno_usb2",
    "phy_rockchip_usbdp",
    "phy_tegra_xusb",
    "sdhci_iproc",
    "sdhci_brcmstb",
    "bcm2835",
    "sdhci_of_arasan",
    "sdhci_of_dwcmshc",
    "dw_mmc_rockchip",
    "sdhci_tegra",
    "meson_gx_mmc",
    "sunxi_mmc",
    "mmc_block",
    // USB
    "xhci_pci",
    "xhci_plat_hcd",
    "xhci_tegra",
    "ehci_pci",
    "ehci_platform",
    "ohci_pci",
    "uhci_hcd",
    "dwc2",
    "dwc3",
    "usb_storage",
    "uas",
    "sd_mod",
    "sr_mod",
];

/// What must be there to mount a file system, by its type for mount(2). ext4 does not name its checksum as a
/// dependency, and fails with "no such file" without it; a FAT needs the tables of its code page.
pub const FILE_SYSTEMS: &[(&str, &[&str])] = &[
    ("vfat", &["nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8", "vfat"]),
    ("ext4", &["crc32c_generic", "ext4"]),
    ("iso9660", &["isofs"]),
    ("xfs", &["crc32c_generic", "xfs"]),
    ("btrfs", &["crc32c_generic", "btrfs"]),
    ("overlay", &["overlay"]),
];
