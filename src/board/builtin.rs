//! The profiles that are built in.

use crate::json::include_json;

/// The text of each, from `board-profiles/`; a test sees to it that none is forgotten.
pub(super) const BUILTIN: [&str; 17] = [
    include_json!("../../board-profiles/generic-amd64.json"),
    include_json!("../../board-profiles/generic-arm64.json"),
    include_json!("../../board-profiles/jetson.json"),
    include_json!("../../board-profiles/jetson-nano.json"),
    include_json!("../../board-profiles/jetson-orin.json"),
    include_json!("../../board-profiles/jetson-xavier.json"),
    include_json!("../../board-profiles/qemu-virt-arm64.json"),
    include_json!("../../board-profiles/raspberry-pi.json"),
    include_json!("../../board-profiles/raspberry-pi-3.json"),
    include_json!("../../board-profiles/raspberry-pi-4.json"),
    include_json!("../../board-profiles/raspberry-pi-5.json"),
    include_json!("../../board-profiles/raspberry-pi-cm3.json"),
    include_json!("../../board-profiles/raspberry-pi-cm4.json"),
    include_json!("../../board-profiles/raspberry-pi-cm5.json"),
    include_json!("../../board-profiles/rk3568.json"),
    include_json!("../../board-profiles/rk3588.json"),
    include_json!("../../board-profiles/rockchip.json"),
];
