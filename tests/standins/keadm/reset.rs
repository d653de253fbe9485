//! `keadm reset edge` of v1.22.0: takes the unit away, then crashes before anything is cleaned.

use std::fs;
use std::io::BufRead;
use std::process::Command;

use super::End;
use crate::shared::klog;

pub(crate) fn edge(args: &[String]) -> Result<(), End> {
    if !args.iter().any(|arg| arg == "--force" || arg == "--force=true") {
        println!("[reset] WARNING: Changes made to this host by 'keadm init' or 'keadm join' will be reverted.");
        print!("[reset] Are you sure you want to proceed? [y/N]: ");
        let answer = std::io::stdin().lock().lines().next().and_then(Result::ok).unwrap_or_default();
        if !answer.eq_ignore_ascii_case("y") {
            return Err("aborted reset operation".to_string().into());
        }
    }
    klog::line('I', "reset_others.go:90", "1. clean up static pods");
    klog::line('I', "reset_others.go:101", "2. kill edgecore and remove edgecore service");
    // ignoring: the real one goes on, too
    for args in [["stop", "edgecore"], ["disable", "edgecore"]] {
        let _ = Command::new("systemctl").args(args).output();
    }
    let _ = fs::remove_file("/etc/systemd/system/edgecore.service");
    klog::line('I', "reset_others.go:120", "3. clean up containers managed by KubeEdge");
    // its client for the container runtime is used before it was made
    Err(End::Panic(
        "runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation]"
            .into(),
    ))
}
