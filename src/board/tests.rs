//! Fake machines of many kinds: which profile they get, and what they are called.

use super::*;
use crate::host::tree::Tree;
use crate::json::Data;

/// A machine with a device tree.
fn dt(compatible: &str, model: &str) -> Tree {
    let base = "sys/firmware/devicetree/base";
    Tree::new()
        .file(&format!("{base}/compatible"), &format!("{}\0", compatible.replace(' ', "\0")))
        .file(&format!("{base}/model"), &format!("{model}\0"))
        .link("proc/device-tree", "/sys/firmware/devicetree/base")
        .file("proc/meminfo", "MemTotal:        3884344 kB\n")
}

fn dt_serial(tree: Tree, serial: &str) -> Tree {
    tree.file("sys/firmware/devicetree/base/serial-number", &format!("{serial}\0"))
}

/// A machine with DMI.
fn dmi(fields: &[(&str, &str)]) -> Tree {
    let place = "sys/devices/virtual/dmi/id";
    let tree = Tree::new().link("sys/class/dmi/id", "../../devices/virtual/dmi/id");
    fields.iter().fold(tree, |tree, (name, value)| tree.file(&format!("{place}/{name}"), &format!("{value}\n")))
}

/// A network card: permanent or not, behind which bus.
fn card(tree: Tree, name: &str, address: &str, kind: &str, bus: &str) -> Tree {
    let at = format!("sys/class/net/{name}");
    tree.file(&format!("{at}/address"), &format!("{address}\n"))
        .file(&format!("{at}/addr_assign_type"), &format!("{kind}\n"))
        .file(&format!("{at}/type"), "1\n")
        .link(&format!("{at}/device/subsystem"), &format!("../../../../bus/{bus}"))
}

fn emmc(tree: Tree, disk: &str, kind: &str, cid: &str) -> Tree {
    tree.file(&format!("sys/block/{disk}/device/type"), kind).file(&format!("sys/block/{disk}/device/cid"), cid)
}

struct Case {
    what: &'static str,
    arch: &'static str,
    tree: Tree,
    profile: &'static str,
    reason: &'static str,
    /// Source and value.
    identity: &'static str,
}

fn case(what: &'static str, arch: &'static str, tree: Tree, told: [&'static str; 3]) -> Case {
    let [profile, reason, identity] = told;
    Case { what, arch, tree, profile, reason, identity }
}

fn raspberries() -> Vec<Case> {
    let pi = |compatible, model| dt_serial(dt(compatible, model), "10000000a1b2c3d4");
    vec![
        case(
            "Pi 4",
            "arm64",
            pi("raspberrypi,4-model-b brcm,bcm2711", "Raspberry Pi 4 Model B Rev 1.4"),
            ["raspberry-pi-4", "device tree: compatible with 'raspberrypi,4-model-b'", "device-tree 10000000a1b2c3d4"],
        ),
        case(
            "CM4: its own name comes before its chip's, which is the Pi 4's too",
            "arm64",
            pi("raspberrypi,4-compute-module brcm,bcm2711", "Raspberry Pi Compute Module 4 Rev 1.0"),
            [
                "raspberry-pi-cm4",
                "device tree: compatible with 'raspberrypi,4-compute-module'",
                "device-tree 10000000a1b2c3d4",
            ],
        ),
        case(
            "a board with the Pi 4's chip that nobody knows",
            "arm64",
            pi("acme,carrier brcm,bcm2711", "Acme Carrier"),
            ["raspberry-pi-4", "device tree: compatible with 'brcm,bcm2711'", "device-tree 10000000a1b2c3d4"],
        ),
        case(
            "Pi 3 whose firmware gives no serial number to the device tree",
            "arm64",
            dt("raspberrypi,3-model-b brcm,bcm2837", "Raspberry Pi 3 Model B Rev 1.2")
                .file("proc/cpuinfo", "processor\t: 0\n\nHardware\t: BCM2835\nSerial\t\t: 00000000deadbee1\n"),
            ["raspberry-pi-3", "device tree: compatible with 'raspberrypi,3-model-b'", "cpuinfo 00000000deadbee1"],
        ),
        case(
            "Pi 5 with a serial number of zeros: its card has a name",
            "arm64",
            card(
                dt_serial(
                    dt("raspberrypi,5-model-b brcm,bcm2712", "Raspberry Pi 5 Model B Rev 1.0"),
                    "0000000000000000",
                ),
                "eth0",
                "d8:3a:dd:01:02:03",
                "0",
                "platform",
            ),
            ["raspberry-pi-5", "device tree: compatible with 'raspberrypi,5-model-b'", "mac:eth0 d83add010203"],
        ),
        case(
            "CM5",
            "arm64",
            pi("raspberrypi,5-compute-module brcm,bcm2712", "Raspberry Pi Compute Module 5 Rev 1.0"),
            [
                "raspberry-pi-cm5",
                "device tree: compatible with 'raspberrypi,5-compute-module'",
                "device-tree 10000000a1b2c3d4",
            ],
        ),
        case(
            "CM3+ on eMMC",
            "arm64",
            emmc(
                dt("raspberrypi,3-compute-module brcm,bcm2837", "Raspberry Pi Compute Module 3 Plus Rev 1.0"),
                "mmcblk0",
                "MMC\n",
                "15010038474e443352015bd3c16a7100\n",
            ),
            [
                "raspberry-pi-cm3",
                "device tree: compatible with 'raspberrypi,3-compute-module'",
                "mmc-cid 15010038474e443352015bd3c16a",
            ],
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case(
            "Jetson Nano",
            "arm64",
            dt_serial(
                dt("nvidia,p3449-0000-b00+p3448-0000-b00 nvidia,jetson-nano nvidia,tegra210", "NVIDIA Jetson Nano"),
                "1421221047392",
            ),
            ["jetson-nano", "device tree: compatible with 'nvidia,jetson-nano'", "device-tree 1421221047392"],
        ),
        case(
            "Jetson Xavier NX",
            "arm64",
            dt_serial(dt("nvidia,p3449-0000+p3668-0000 nvidia,tegra194", "NVIDIA Jetson Xavier NX"), "1420721055441"),
            ["jetson-xavier", "device tree: compatible with 'nvidia,tegra194'", "device-tree 1420721055441"],
        ),
        case(
            "Jetson Orin",
            "arm64",
            dt_serial(
                dt("nvidia,p3768-0000+p3767-0005 nvidia,p3767-0005 nvidia,tegra234", "NVIDIA Orin Nano"),
                "1424823001234",
            ),
            ["jetson-orin", "device tree: compatible with 'nvidia,tegra234'", "device-tree 1424823001234"],
        ),
        case(
            "RK3588 without a serial number, on an SD card beside its eMMC",
            "arm64",
            emmc(
                emmc(
                    dt("radxa,rock-5b rockchip,rk3588", "Radxa ROCK 5B"),
                    "mmcblk0",
                    "MMC\n",
                    "d60103413341343331a5c2f1b0e4ab00\n",
                ),
                "mmcblk1",
                "SD\n",
                "035344534333324780a1b2c3d4015a00\n",
            ),
            ["rk3588", "device tree: compatible with 'rockchip,rk3588'", "mmc-cid d60103413341343331a5c2f1b0e4"],
        ),
        case(
            "RK3568 whose card draws a new address at each boot, on an SD card: only the machine id is left",
            "arm64",
            card(
                emmc(
                    dt("radxa,rock3a rockchip,rk3568", "Radxa ROCK3 Model A"),
                    "mmcblk1",
                    "SD\n",
                    "0353445343333247\n",
                ),
                "eth0",
                "c2:11:22:33:44:55",
                "1",
                "platform",
            )
            .file("etc/machine-id", "0f1e2d3c4b5a69788796a5b4c3d2e1f0\n"),
            ["rk3568", "device tree: compatible with 'rockchip,rk3568'", "machine-id 0f1e2d3c4b5a69788796a5b4c3d2e1f0"],
        ),
        case(
            "QEMU arm64 with a device tree",
            "arm64",
            card(dt("linux,dummy-virt", "linux,dummy-virt"), "enp0s1", "52:54:00:aa:bb:cc", "0", "virtio"),
            // QEMU's addresses have the bit of a locally made one: only the machine id would do.
            ["qemu-virt-arm64", "device tree: compatible with 'linux,dummy-virt'", "none"],
        ),
        case(
            "QEMU arm64 with UEFI and a serial number",
            "arm64",
            dmi(&[("sys_vendor", "QEMU"), ("product_name", "KVM Virtual Machine"), ("product_serial", "line-0042")]),
            [
                "qemu-virt-arm64",
                "DMI: sys_vendor is 'QEMU', product_name is '*Virtual Machine'",
                "dmi:product_serial line0042",
            ],
        ),
        case(
            "an arm64 server",
            "arm64",
            dmi(&[("sys_vendor", "Ampere(R)"), ("product_serial", "AMP1234567")]),
            [
                "generic-arm64",
                "no profile knows this board; this one takes any of its processor",
                "dmi:product_serial amp1234567",
            ],
        ),
        case(
            "a PC of a maker who fills in his fields",
            "amd64",
            dmi(&[("sys_vendor", "LENOVO"), ("product_serial", "PF2ABCDE"), ("product_uuid", "x")]),
            [
                "generic-amd64",
                "no profile knows this board; this one takes any of its processor",
                "dmi:product_serial pf2abcde",
            ],
        ),
        case(
            "a PC of one who does not: the wired card inside, not the one in USB, nor the wireless one",
            "amd64",
            card(
                card(
                    card(
                        dmi(&[
                            ("product_serial", "To be filled by O.E.M."),
                            ("board_serial", "Default string"),
                            ("product_uuid", "03000200-0400-0500-0006-000700080009"),
                        ]),
                        "enp1s0",
                        "00:e0:4c:68:01:02",
                        "0",
                        "pci",
                    ),
                    "enp0s20u1",
                    "00:e0:4c:99:99:99",
                    "0",
                    "usb",
                ),
                "aaa",
                "00:e0:4c:77:77:77",
                "0",
                "pci",
            )
            .dir("sys/class/net/aaa/wireless"),
            ["generic-amd64", "no profile knows this board; this one takes any of its processor", "mac 00e04c680102"],
        ),
    ]
}

#[test]
fn boards_and_their_names() {
    let set = Set::load(None).unwrap();
    for case in raspberries().into_iter().chain(others()) {
        let root = case.tree.root();
        let facts = Facts::load(&root, case.arch);
        let (profile, reason) = set.detect(&facts).unwrap();
        let found = identity::find(&root, profile).found;
        let found = found.map_or("none".to_owned(), |found| format!("{} {}", found.source, found.value));
        assert_eq!(
            (profile.id.as_str(), reason.to_string().as_str(), found.as_str()),
            (case.profile, case.reason, case.identity),
            "{}",
            case.what
        );
    }
}

/// Firmware is written by people in a hurry.
#[test]
fn a_device_tree_that_is_odd_names_its_board_all_the_same() {
    let set = Set::load(None).unwrap();
    let base = "sys/firmware/devicetree/base";
    let long = format!("{}\0raspberrypi,4-model-b\0", "x".repeat(5000));
    for (compatible, serial, id, identity) in [
        (
            &b"\xff\xfe\0raspberrypi,4-model-b\0\0\0"[..],
            &b"10000000A1B2C3D4\0\0\n"[..],
            "raspberry-pi-4",
            "10000000a1b2c3d4",
        ),
        (b"raspberrypi,4-model-b", b"\0\0\0\0", "raspberry-pi-4", "none"),
        (b"raspberrypi,4-model-b\n", b"\xff\xff\xff\xff\xff\xff", "raspberry-pi-4", "none"),
        (b"\0\0", b"abc-123!\x01", "generic-arm64", "abc123"),
        (long.as_bytes(), b"0000000000000000", "generic-arm64", "none"),
    ] {
        let tree = Tree::new()
            .bytes(&format!("{base}/compatible"), compatible)
            .bytes(&format!("{base}/serial-number"), serial)
            .link("proc/device-tree", "/sys/firmware/devicetree/base");
        let profile = set.detect(&Facts::load(&tree.root(), "arm64")).unwrap().0;
        let found = identity::find(&tree.root(), profile).found.map_or("none".to_owned(), |found| found.value);
        assert_eq!((profile.id.as_str(), found.as_str()), (id, identity), "{compatible:?} {serial:?}");
    }
}

/// Names are made from the end of the value.
#[test]
fn a_flash_chip_is_told_by_its_serial_number() {
    let set = Set::load(None).unwrap();
    let found = |cid: &str| {
        let tree = emmc(dt("rockchip,rk3588", "Board"), "mmcblk0", "MMC\n", cid);
        let identity = identity::find(&tree.root(), set.get("rk3588").unwrap());
        identity.found.clone().map_or_else(|| identity.problem(), |found| found.value)
    };
    assert_eq!(found("15010038474e443352015bd3c16a7100\n"), "15010038474e443352015bd3c16a");
    assert_eq!(found("1501003847\n"), "1501003847", "what is none stays as it is");
    let none = "mmc-cid has a serial number that is '00000000', one character over and over";
    assert!(found("15010038474e443352010000000071a3\n").ends_with(none));
}

#[test]
fn an_unknown_processor_has_no_profile() {
    let e = Set::load(None).unwrap().detect(&Facts::load(&Tree::new().root(), "riscv64")).unwrap_err();
    assert_eq!(e.to_string(), "no board profile is for the processor 'riscv64'");
}

#[test]
fn what_is_refused_is_told() {
    let tree = card(
        dmi(&[("product_serial", "0000000"), ("product_uuid", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF")]),
        "eth0",
        "02:11:22:33:44:55",
        "0",
        "pci",
    );
    let set = Set::load(None).unwrap();
    let identity = identity::find(&tree.root(), set.get("generic-amd64").unwrap());
    assert_eq!(identity.found, None);
    assert_eq!(
        identity.problem(),
        "nothing tells this board from others: dmi:product_serial is '0000000', one character over and over; \
         dmi:product_uuid is 'ffffffff-ffff-ffff-ffff-ffffffffffff', one character over and over; \
         mac 02:11:22:33:44:55 is locally made, not the hardware's own"
    );
    let nothing = identity::find(&Tree::new().root(), set.get("generic-amd64").unwrap());
    assert!(nothing.problem().starts_with("this board has no serial number"), "{}", nothing.problem());
}

#[test]
fn a_profile_stands_on_its_base() {
    let set = Set::load(None).unwrap();
    let (base, pi) = (set.get("raspberry-pi").unwrap(), set.get("raspberry-pi-3").unwrap());
    assert_eq!(pi.kernel, base.kernel);
    assert_eq!(pi.kernel.memory_cgroup, ["cgroup_enable=memory", "cgroup_memory=1"]);
    assert_eq!(pi.quirks.len(), base.quirks.len() + 1, "quirks add up");
    assert_eq!(base.rules, None, "a base is no board");
    let cm = set.get("raspberry-pi-cm4").unwrap();
    assert_eq!(cm.identity.len(), 5, "lists are replaced");
    assert_eq!(set.get("qemu-virt-arm64").unwrap().target.labels, base_labels(&set), "objects are joined");
}

fn base_labels(set: &Set) -> Vec<String> {
    set.get("generic-arm64").unwrap().target.labels.clone()
}

#[test]
fn every_profile_is_built_in_and_named_after_its_file() {
    let set = Set::load(None).unwrap();
    let mut files: Vec<String> = std::fs::read_dir("board-profiles")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .filter(|name| name != "schema")
        .collect();
    files.sort();
    let ids: Vec<&str> = set.iter().map(|profile| profile.id.as_str()).collect();
    assert_eq!(ids, files);
    // The same again as a directory of the user's: every file is fit to be copied and changed.
    assert_eq!(Set::load(Some(std::path::Path::new("board-profiles"))).unwrap().iter().count(), ids.len());
    for profile in set.iter() {
        assert!(!profile.kernel.arguments_in.is_empty() && !profile.identity.is_empty(), "{}", profile.id);
        assert!(profile.kernel.arguments_in.iter().all(|file| file.path().is_some()), "{}", profile.id);
        assert!(profile.quirks.iter().all(|quirk| !quirk.see.is_empty() && !quirk.what.ends_with('.')));
        assert!(matches!(&profile.value.data, Data::Object(_)));
    }
}

#[test]
fn a_directory_adds_and_replaces() {
    let profile = |id: &str, rest: &str| {
        format!("{{\"schema\":1,\"id\":\"{id}\",\"name\":\"mine\",\"architecture\":\"arm64\"{rest}}}")
    };
    let tree = Tree::new()
        .file("p/raspberry-pi-4.json", &profile("raspberry-pi-4", ",\"base\":\"raspberry-pi\",\"rtc\":true"))
        .file("p/acme-gate.json", &profile("acme-gate", ",\"base\":\"rk3588x\""))
        .file("p/notes.txt", "no profile");
    let dir = tree.root().absolute(crate::ids::RelPath::literal("p"));
    let e = Set::load(Some(&dir)).unwrap_err();
    let path = dir.canonicalize().unwrap().join("acme-gate.json");
    let told = format!("board profile '{}': there is no profile 'rk3588x' to be its base", path.display());
    assert_eq!(e.to_string(), told);

    let tree = tree.file(
        "p/acme-gate.json",
        &profile("acme-gate", ",\"match\":{\"compatible\":[\"acme,gate\"]},\"storage\":{\"prefix\":\"/data\"}"),
    );
    let set = Set::load(Some(&dir)).unwrap();
    let pi = set.get("raspberry-pi-4").unwrap();
    assert_eq!((pi.name.as_str(), pi.rtc, pi.rules.is_none()), ("mine", true, true));
    assert_eq!(set.get("acme-gate").unwrap().storage.prefix, "/data");
    let board = dt("acme,gate rockchip,rk3588", "Acme");
    assert_eq!(set.detect(&Facts::load(&board.root(), "arm64")).unwrap().0.id, "acme-gate");
    // One of theirs goes before one that is built in and fits as well, whatever their names.
    let tree = tree.file("p/zeta.json", &profile("zeta", ",\"match\":{\"compatible\":[\"rockchip,rk3588\"]}"));
    let tree = tree.file("p/zulu.json", &profile("zulu", ",\"match\":{}"));
    let set = Set::load(Some(&dir)).unwrap();
    for (board, id) in [(dt("x,y rockchip,rk3588", "X"), "zeta"), (dt("x,y", "X"), "zulu")] {
        assert_eq!(set.detect(&Facts::load(&board.root(), "arm64")).unwrap().0.id, id);
    }
    let text = profile("alpha", ",\"match\":{\"compatible\":[\"rockchip,rk3588\"]}");
    let (set, id) = Set::with_file(text.as_bytes(), "alpha.json", None).unwrap();
    assert!(set.get(&id).unwrap().is_added && !set.get("rk3588").unwrap().is_added);
    drop(tree);
}

#[test]
fn bad_profiles_are_refused_with_the_place() {
    let head = "{\"schema\":1,\"id\":\"x\",\"name\":\"n\",\"architecture\":\"arm64\"";
    for (rest, told) in [
        ("", None),
        (",\"rtcs\":true", Some("line 1, column 56: unknown key 'rtcs'")),
        (",\"rtc\":1", Some("line 1, column 62: 'rtc' must be true or false, found a number")),
        (",\"match\":{\"dmi\":[{\"product_serial\":\"1\"}]}", Some("must have the fields sys_vendor")),
        (",\"identity\":[\"mac:../x\"]", Some("'identity' has no name of a network interface after 'mac:'")),
        (",\"identity\":[\"dmi:chassis\"]", Some("'identity' is not product_serial")),
        (",\"kernel\":{\"arguments_in\":[{\"path\":\"/../x\",\"format\":\"line\"}]}", Some("'/../x' has a '..' part")),
        (
            ",\"kernel\":{\"arguments_in\":[{\"path\":\"/x\",\"format\":\"lines\"}]}",
            Some("must be one of: line, extlinux, grub, armbian"),
        ),
        (",\"kernel\":{\"memory_cgroup\":[\"a b\"]}", Some("'kernel' must have plain words in 'memory_cgroup'")),
        (",\"memory_class\":\"huge\"", Some("'memory_class' is not 'tiny', 'small', 'medium' or 'large'")),
        (",\"base\":\"raspberry-pi-4\"", Some("its base 'raspberry-pi-4' has the base 'raspberry-pi' itself")),
        (",\"base\":\"nobody\"", Some("there is no profile 'nobody' to be its base")),
    ] {
        let text = format!("{head}{rest}}}");
        let set = Set::with_file(text.as_bytes(), "x.json", None);
        match (set, told) {
            (Ok((set, id)), None) => assert!(set.get(&id).is_ok()),
            (Err(e), Some(told)) => assert!(e.to_string().contains(told), "{e}"),
            (outcome, told) => panic!("{text}: {:?}, wanted {told:?}", outcome.map(|(_, id)| id)),
        }
    }
    let two = format!("{head},\"target\":{{\"disks\":[\"nvme*n*\"]}}}}");
    let e = Set::with_file(two.as_bytes(), "x.json", None).unwrap_err();
    assert!(e.to_string().contains("disks' must have at most one '*' in a name"), "{e}");
    let old = "{\"schema\":2,\"id\":\"x\",\"name\":\"n\",\"architecture\":\"arm64\"}";
    let e = Set::with_file(old.as_bytes(), "x.json", None).unwrap_err();
    assert!(e.to_string().contains("'schema' must be 1, the only version there is"), "{e}");
}

#[test]
fn what_is_kept_over_a_reboot() {
    let set = Set::load(None).unwrap();
    let storage = &set.get("generic-amd64").unwrap().storage;
    assert!(storage.keeps("/etc/kubeedge") && storage.keeps("/"));
    let some = Storage { persistent: vec!["/var".into(), "/data".into()], ..storage.clone() };
    assert!(some.keeps("/var/lib/containerd") && some.keeps("/data") && !some.keeps("/datax"));
    assert!(!some.keeps("/etc/kubeedge"));
}

#[test]
fn disks_that_may_be_written_to() {
    let set = Set::load(None).unwrap();
    let target = &set.get("jetson-orin").unwrap().target;
    assert!(target.allows_disk("mmcblk0") && target.allows_disk("nvme0n1"));
    assert!(!target.allows_disk("mmcblk1") && !target.allows_disk("sda"));
}

/// The schema for other tools, against the table that decides.
#[test]
fn the_schema_says_the_same() {
    let text = std::fs::read_to_string("board-profiles/schema.json").unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    same(&FORM, &schema, "");
}

fn same(shape: &crate::json::Shape, schema: &serde_json::Value, at: &str) {
    use crate::json::Shape;
    let kind = schema["type"].as_str();
    match shape {
        Shape::Text => assert!(kind == Some("string") || schema["enum"].is_array(), "{at}: {schema}"),
        Shape::Whole => assert!(schema["const"].is_u64(), "{at}"),
        Shape::Flag => assert_eq!(kind, Some("boolean"), "{at}"),
        Shape::List(inner) => same(inner, &schema["items"], &format!("{at}[]")),
        Shape::Map(inner) => same(inner, &schema["additionalProperties"], &format!("{at}{{}}")),
        Shape::Object(keys) => {
            assert_eq!(schema["additionalProperties"], false, "{at}");
            let known: crate::sorted::Set<&str> = keys.iter().map(|key| key.name).collect();
            let told: crate::sorted::Set<&str> =
                schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(known, told, "{at}");
            for key in *keys {
                same(&key.shape, &schema["properties"][key.name], &format!("{at}.{}", key.name));
            }
        }
        Shape::Any => panic!("{at}: anything goes"),
    }
}
