//! Namespaces of a thread's own, and what can be tried in them: mounts and links that end with the thread.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use nix::sys::stat::Mode;
use nix::unistd::mkdir;

use super::thread;

/// Runs `work` in a thread with mounts and a network of its own; `/run` is empty there and in memory. Nothing that it
/// mounts or sets up is seen elsewhere, and all of it is gone when it returns; programs that it starts are in there, too.
pub fn apart(work: &mut (dyn FnMut() + Send)) -> nix::Result<()> {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        mount(Some("tmpfs"), SCRATCH, Some("tmpfs"), MsFlags::empty(), Some("size=1m"))?;
        work();
        Ok(())
    };
    thread::beside(thread::STACK, inside, || ())?.0
}

/// Where every Linux has a directory that nothing is needed of meanwhile.
const SCRATCH: &str = "/run";

/// Mounts an overlay over the directory `lower` and makes a directory in it. Only within [`apart`].
pub fn overlay(lower: &Path) -> nix::Result<()> {
    for dir in ["/run/upper", "/run/work", "/run/merged"] {
        mkdir(dir, Mode::S_IRWXU)?;
    }
    let lower = lower.to_str().filter(|path| !path.contains([',', ':', '\\'])).ok_or(Errno::EINVAL)?;
    let options = format!("lowerdir={lower},upperdir=/run/upper,workdir=/run/work");
    mount(Some("overlay"), "/run/merged", Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
    mkdir("/run/merged/edgelay-tries", Mode::S_IRWXU)
}

/// Makes a network link of this kind (`veth`), named by the kernel. Only within [`apart`].
///
/// rtnetlink(7): RTM_NEWLINK with IFLA_LINKINFO holding IFLA_INFO_KIND; the answer is an NLMSG_ERROR, 0 if it went well.
pub fn make_link(kind: &str) -> nix::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    // NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE
    const FLAGS: u16 = 0x1 | 0x4 | 0x200 | 0x400;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_KIND: u16 = 1;
    let info = attribute(IFLA_LINKINFO, &attribute(IFLA_INFO_KIND, kind.as_bytes())?)?;
    let length = u32::try_from(16 + 16 + info.len()).map_err(|_| Errno::EMSGSIZE)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend([RTM_NEWLINK.to_ne_bytes(), FLAGS.to_ne_bytes()].concat());
    // Sequence and sender, then an ifinfomsg that leaves everything to the kernel.
    message.extend([0; 8 + 16]);
    message.extend(info);
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    let mut answer = [0; 512];
    let n = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let number = answer.get(16..n.min(20)).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match number {
        Some(0) => Ok(()),
        Some(number) => Err(Errno::from_raw(number.saturating_neg())),
        None => Err(Errno::EBADMSG),
    }
}

/// A netlink attribute: length and type, the value, zeros up to the next multiple of 4.
fn attribute(kind: u16, value: &[u8]) -> nix::Result<Vec<u8>> {
    let length = u16::try_from(4 + value.len()).map_err(|_| Errno::EMSGSIZE)?;
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok(bytes)
}

/// Whether the kernel takes seccomp filters; none is set by asking.
pub fn has_seccomp() -> bool {
    const NOTHING: libc::c_ulong = 0;
    // WHY: nix has no wrapper of this prctl.
    // SAFETY: the kernel refuses the filter at address 0 with EFAULT before anything changes, and says EINVAL where it
    // knows no filters (prctl(2)).
    let answer = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER as libc::c_ulong, NOTHING, NOTHING, NOTHING)
    };
    answer == -1 && Errno::last() == Errno::EFAULT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_mounts_end_with_the_thread() {
        let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let links = || std::fs::read_to_string("/proc/self/net/dev").unwrap();
        let before = (mounts(), links().lines().count());
        let mut inside = Vec::new();
        let entered = apart(&mut || {
            inside.extend([make_link("edgelay0"), make_link("bridge"), overlay(Path::new("/etc"))]);
        });
        match entered {
            Ok(()) => {
                let [unknown, bridge, overlay] = inside[..] else { panic!("{inside:?}") };
                assert_eq!(unknown, Err(Errno::EOPNOTSUPP));
                // Whether the kernel has them is the machine's; that it says so either way is ours.
                assert!(matches!(bridge, Ok(()) | Err(Errno::EOPNOTSUPP)), "{bridge:?}");
                assert!(matches!(overlay, Ok(()) | Err(Errno::ENODEV)), "{overlay:?}");
            }
            Err(e) => assert_eq!((e, inside), (Errno::EPERM, Vec::new())),
        }
        assert_eq!(before, (mounts(), links().lines().count()));
        has_seccomp();
    }
}
