//! Who joins the node: keadm where all that it needs is there, else we do it ourselves.

use crate::bundle::Bundle;
use crate::config::JoinMethod;
use crate::error::{Error, Kind, Result};
use crate::exec::find;
use crate::ids::RelPath;
use crate::kubeedge::EDGECORE;
use crate::root::Root;
use crate::service::Manager;
use crate::steps::Way;

/// What keadm calls, whatever it is told; a missing `sudo` is bridged.
const NEEDED: [&str; 2] = ["bash", "pidof"];

/// Chooses for the machine below `root`.
pub(super) fn choose(wanted: JoinMethod, manager: Manager, root: &Root, bundle: Option<&Bundle>) -> Result<Way> {
    let lacking = lacking(manager, root, bundle);
    match (wanted, lacking) {
        (JoinMethod::Native, _) => Ok(Way { with_keadm: false, why: "join.method is 'native'".to_owned() }),
        (JoinMethod::Auto, Some(why)) => Ok(Way { with_keadm: false, why }),
        (JoinMethod::Auto, None) if root.is_live() && is_read_only(root, EDGECORE) => {
            Ok(Way { with_keadm: false, why: format!("keadm makes '{EDGECORE}' anew, and that is read-only") })
        }
        (JoinMethod::Auto, None) => Ok(Way { with_keadm: true, why: "all that keadm needs is there".to_owned() }),
        (JoinMethod::Keadm, Some(why)) if root.is_live() => {
            Err(Error::new(Kind::Config, format_args!("join.method is 'keadm', but {why}"))
                .hint("set join.method to 'native' or 'auto'"))
        }
        (JoinMethod::Keadm, _) => Ok(Way { with_keadm: true, why: "join.method is 'keadm'".to_owned() }),
    }
}

fn is_read_only(root: &Root, path: RelPath<'_>) -> bool {
    root.space(path).is_ok_and(|space| space.read_only)
}

fn lacking(manager: Manager, root: &Root, bundle: Option<&Bundle>) -> Option<String> {
    if manager != Manager::Systemd {
        return Some(format!("keadm needs systemd, and here is {}", manager.as_str()));
    }
    if bundle.is_some_and(|bundle| bundle.component("keadm").is_none()) {
        return Some("the bundle has no keadm".to_owned());
    }
    let missing = NEEDED.iter().find(|name| find(root, name).is_none())?;
    Some(format!("keadm needs '{missing}', which is not on this machine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keadm_where_it_can_work() {
        let (_dir, root) = Root::scratch();
        let way = |wanted, manager| choose(wanted, manager, &root, None).map(|way| (way.with_keadm, way.why)).unwrap();
        let (auto, systemd) = (JoinMethod::Auto, Manager::Systemd);
        assert_eq!(way(auto, systemd), (false, "keadm needs 'bash', which is not on this machine".into()));
        for program in ["usr/bin/bash", "bin/pidof"] {
            root.write(RelPath::parse(program).unwrap(), 0o755, b"x").unwrap();
        }
        assert_eq!(way(auto, systemd), (true, "all that keadm needs is there".into()));
        assert_eq!(way(auto, Manager::OpenRc), (false, "keadm needs systemd, and here is OpenRC".into()));
        assert_eq!(way(JoinMethod::Native, systemd), (false, "join.method is 'native'".into()));
    }
}
