//! What tells this board from all others of its kind: serial numbers, addresses, ids, in the order of the profile.
//!
//! Vendors put the same text into every board's serial number, and cheap network chips draw a new address at each
//! boot. A node named after such a value is two nodes, or a new one every day, so these are refused, each with a reason.

mod junk;

pub(crate) use junk::reason as junk_reason;

use std::fmt;
use std::str::FromStr;

use super::detect::{DEVICE_TREE, DMI_DIR, firmware_text};
use super::profile::Profile;
use crate::gather::Gather;
use crate::ids::{BadName, RelPath};
use crate::root::Root;

/// Where an identity can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `serial-number` of the device tree.
    DeviceTree,
    /// A DMI field for one machine: `product_serial`, `product_uuid`, `board_serial`, `chassis_serial`.
    Dmi(DmiField),
    /// `serial_number` of the first system on a chip that the kernel knows.
    Soc,
    /// `Serial` in `/proc/cpuinfo`.
    CpuInfo,
    /// The CID of soldered flash memory. That of an SD card moves with the card, so it is not taken.
    MmcCid,
    /// The permanent address of a network card: of this one, or of the first that is wired and built in.
    Mac(Option<String>),
    /// `/etc/machine-id`: the same in every clone of an image that was not sealed.
    MachineId,
}

/// DMI fields that name one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DmiField(&'static str);

const DMI_FIELDS: [&str; 4] = ["product_serial", "product_uuid", "board_serial", "chassis_serial"];

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::DeviceTree => f.write_str("device-tree"),
            Source::Dmi(field) => write!(f, "dmi:{}", field.0),
            Source::Soc => f.write_str("soc"),
            Source::CpuInfo => f.write_str("cpuinfo"),
            Source::MmcCid => f.write_str("mmc-cid"),
            Source::Mac(None) => f.write_str("mac"),
            Source::Mac(Some(name)) => write!(f, "mac:{name}"),
            Source::MachineId => f.write_str("machine-id"),
        }
    }
}

impl FromStr for Source {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if let Some(field) = text.strip_prefix("dmi:") {
            let known = DMI_FIELDS.into_iter().find(|name| *name == field);
            let bad =
                BadName::Shape("is not product_serial, product_uuid, board_serial or chassis_serial after 'dmi:'");
            return known.map(|name| Source::Dmi(DmiField(name))).ok_or(bad);
        }
        if let Some(name) = text.strip_prefix("mac:") {
            // A name of an interface (dev_valid_name of the kernel), which becomes part of a path.
            let good = (1..16).contains(&name.len()) && !name.contains(['/', '*', ':']) && !matches!(name, "." | "..");
            let bad = BadName::Shape("has no name of a network interface after 'mac:'");
            return if good { Ok(Source::Mac(Some(name.to_owned()))) } else { Err(bad) };
        }
        match text {
            "device-tree" => Ok(Source::DeviceTree),
            "soc" => Ok(Source::Soc),
            "cpuinfo" => Ok(Source::CpuInfo),
            "mmc-cid" => Ok(Source::MmcCid),
            "mac" => Ok(Source::Mac(None)),
            "machine-id" => Ok(Source::MachineId),
            _ => Err(BadName::Shape(
                "is not one of device-tree, dmi:FIELD, soc, cpuinfo, mmc-cid, mac, mac:INTERFACE, machine-id",
            )),
        }
    }
}

/// A value that tells this board from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is from.
    pub source: Source,
    /// The value: lower case, of letters and digits only, so that the end of it can become part of a node's name.
    pub value: String,
}

/// What was found, and what was refused on the way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The first that is fit.
    pub found: Option<Found>,
    /// Sources before it, with what is wrong with their values. Those that are not there are not listed.
    pub refused: Vec<(Source, String)>,
}

impl Identity {
    /// For messages: why there is none.
    pub fn problem(&self) -> String {
        if self.refused.is_empty() {
            return "this board has no serial number, no wired network card with an address of its own and no \
                    machine id"
                .to_owned();
        }
        let refused: Vec<String> = self.refused.iter().map(|(source, why)| format!("{source} {why}")).gather();
        format!("nothing tells this board from others: {}", refused.join("; "))
    }
}

/// Looks at the sources of `profile` in their order on the running `machine`.
pub fn find(machine: &Root, profile: &Profile) -> Identity {
    let mut identity = Identity::default();
    for source in &profile.identity {
        let Some(value) = read(machine, source) else { continue };
        match judge(source, value, &profile.junk) {
            Ok(value) => {
                identity.found = Some(Found { source: source.clone(), value });
                break;
            }
            Err(why) => identity.refused.push((source.clone(), why)),
        }
    }
    identity
}

/// A value as it is found, or why it does not count although something is there.
type Raw = Result<String, String>;

fn read(machine: &Root, source: &Source) -> Option<Raw> {
    match source {
        Source::DeviceTree => firmware_text(machine, &format!("{DEVICE_TREE}/serial-number")).map(Ok),
        Source::Dmi(field) => firmware_text(machine, &format!("{DMI_DIR}/{}", field.0)).map(Ok),
        Source::Soc => firmware_text(machine, "sys/devices/soc0/serial_number").map(Ok),
        Source::CpuInfo => cpuinfo(machine).map(Ok),
        Source::MmcCid => mmc_cid(machine).map(Ok),
        Source::Mac(Some(name)) => mac(machine, name),
        Source::Mac(None) => first_mac(machine),
        Source::MachineId => firmware_text(machine, "etc/machine-id").map(Ok),
    }
}

/// Large machines list each of hundreds of processors.
const CPUINFO: usize = 4 << 20;

fn cpuinfo(machine: &Root) -> Option<String> {
    let text = machine.read_text(RelPath::literal("proc/cpuinfo"), CPUINFO).ok()??;
    let line = text.lines().find_map(|line| line.strip_prefix("Serial"))?;
    Some(line.trim_start().strip_prefix(':')?.trim().to_owned())
}

fn mmc_cid(machine: &Root) -> Option<String> {
    let disks = machine.list(RelPath::literal("sys/block")).ok()??;
    let soldered = |disk: &String| {
        let kind = firmware_text(machine, &format!("sys/block/{disk}/device/type"))?;
        let cid = firmware_text(machine, &format!("sys/block/{disk}/device/cid"))?;
        (kind == "MMC").then_some(cid)
    };
    disks.iter().filter(|disk| disk.starts_with("mmcblk")).find_map(soldered)
}

const CARDS: RelPath<'static> = RelPath::literal("sys/class/net");

/// `addr_assign_type` of an address that the hardware brought (netdevice.h: NET_ADDR_PERM).
const PERMANENT: &str = "0";

/// Address of one card.
fn mac(machine: &Root, name: &str) -> Option<Raw> {
    let field = |field: &str| firmware_text(machine, &format!("{CARDS}/{name}/{field}", CARDS = CARDS.as_str()));
    let address = field("address")?;
    if field("addr_assign_type").is_some_and(|kind| kind != PERMANENT) {
        return Some(Err(format!("{address} of {name} is not the hardware's own, but drawn or set at each boot")));
    }
    Some(Ok(address))
}

/// The first card that has hardware behind it, speaks Ethernet, is neither wireless nor plugged into USB: those move.
/// If a board has only cards in USB (a Raspberry Pi 3's own hangs there), the first of these.
fn first_mac(machine: &Root) -> Option<Raw> {
    const ETHERNET: &str = "1";
    let names = machine.list(CARDS).ok()??;
    let here = |path: String| RelPath::parse(&path).ok().and_then(|path| machine.stat(path).ok()?).is_some();
    let at = |name: &str, part: &str| format!("{}/{name}/{part}", CARDS.as_str());
    let wired: Vec<&String> = names
        .iter()
        .filter(|name| here(at(name, "device")) && !here(at(name, "wireless")) && !here(at(name, "phy80211")))
        .filter(|name| firmware_text(machine, &at(name, "type")).as_deref() == Some(ETHERNET))
        .gather();
    let plugged = |name: &str| {
        let path = at(name, "device/subsystem");
        let link = RelPath::parse(&path).ok().and_then(|path| machine.read_link(path).ok()?);
        link.is_some_and(|to| to.ends_with("/usb"))
    };
    let own = wired.iter().find(|name| !plugged(name)).or(wired.first())?;
    mac(machine, own)
}

/// What tells a flash chip from its like stands before its date and a check value (JESD84-B51, 7.2): they are left out,
/// so that a name from the end of the value has all of the serial number.
fn cid(mut plain: String, vendor: &[String]) -> Result<String, String> {
    const SERIAL: std::ops::Range<usize> = 20..28;
    if let Some(serial) = plain.get(SERIAL) {
        if let Some(why) = junk::reason(serial, vendor) {
            return Err(format!("has a serial number that {why}"));
        }
        plain.truncate(SERIAL.end);
    }
    Ok(plain)
}

/// The value in its plain form, or why it does not tell one board from another.
fn judge(source: &Source, raw: Raw, vendor: &[String]) -> Result<String, String> {
    let raw = raw?;
    if let Some(why) = junk::reason(&raw, vendor) {
        return Err(why);
    }
    let plain: String = raw.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).gather();
    match source {
        Source::Mac(_) => junk::mac_reason(&plain).map_or(Ok(plain), |why| Err(format!("{raw} {why}"))),
        Source::MmcCid => cid(plain, vendor),
        _ => Ok(plain),
    }
}
