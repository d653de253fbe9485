//! `keadm config-update`: edits edgecore.yaml in place and restarts EdgeCore through sudo.

use std::fs;
use std::path::Path;

use super::End;
use super::join::bash;
use crate::shared::{set, yaml};

const CONFIG: &str = "/etc/kubeedge/config/edgecore.yaml";
/// Made at the start and removed at the end; a crash leaves it, and every later command refuses.
const RECORD: &str = "/etc/kubeedge/idempotency_record";

pub(crate) fn run(args: &[String]) -> Result<(), End> {
    let mut sets = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.split_once('=') {
            Some(("--set", value)) => sets.push(value.to_string()),
            _ if arg == "--set" => sets.extend(args.next().cloned()),
            _ => return Err(format!("unknown flag: {arg}").into()),
        }
    }
    if Path::new(RECORD).exists() {
        return Err("the mutually exclusive command is being executed".to_string().into());
    }
    fs::write(RECORD, "config-update").map_err(|e| format!("failed to create the idempotency record: {e}"))?;
    let done = update(&sets);
    // ignoring: what was done counts
    let _ = fs::remove_file(RECORD);
    done
}

fn update(sets: &[String]) -> Result<(), End> {
    let text = fs::read_to_string(CONFIG).map_err(|e| format!("failed to read {CONFIG}: {e}"))?;
    let mut config = yaml::parse(&text).map_err(|why| format!("failed to parse {CONFIG}: {why}"))?;
    for one in sets {
        set::apply(&mut config, one).map_err(|fault| match fault {
            set::Fault::Refused(why) => End::Error(why),
            set::Fault::Panic(why) => End::Panic(why),
        })?;
    }
    // in place, as the real one does
    fs::write(CONFIG, config.render()).map_err(|e| format!("failed to write {CONFIG}: {e}"))?;
    bash("sudo systemctl restart edgecore.service").map_err(|(_, why)| why)?;
    Ok(())
}
