//! Archives that real programs made: GNU tar in all its forms, and a Debian root file system.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Bench, Case, Fate};
use crate::import::on_every_containerd;
use crate::support::daemon::Daemon;
use crate::support::peers::skip;
use crate::support::{rootfs, tree};

on_every_containerd!(archives_of_gnu_tar_become_the_same_files, a_debian_becomes_the_same_files);

fn run(program: &str, args: &[&str], dir: &Path) {
    let out = Command::new(program).args(args).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A tree with all that tar has special headers for.
fn sample(dir: &Path) {
    let script = r#"
        mkdir -p d/e "$(printf 'n\377n')" "$(printf 'x%.0s' $(seq 200))/$(printf 'y%.0s' $(seq 200))"
        echo one >d/one; ln d/one d/two; ln -s one d/l; mkfifo d/p; mknod d/c c 5 1; mknod d/b b 7 300
        echo long >"$(printf 'x%.0s' $(seq 200))/$(printf 'y%.0s' $(seq 200))/$(printf 'z%.0s' $(seq 200))"
        ln -s "$(printf 't%.0s' $(seq 300))" long-link
        chmod 6755 d/one; chmod 1777 d/e; chown 12345:54321 d/e d/p; chown -h 3000000:4000000 d/l
        touch -h -d '2001-02-03 04:05:06.789012345' d/one d/l d/e d
        setfattr -n user.a -v b d/one 2>/dev/null || true
    "#;
    run("bash", &["-ec", script], dir);
    let holes = fs::File::create(dir.join("holes")).unwrap();
    for n in 0..40_u64 {
        holes.write_all_at(format!("piece {n}").as_bytes(), n * 200_000).unwrap();
    }
    holes.set_len(9_000_000).unwrap();
    fs::File::create(dir.join("all-hole")).unwrap().set_len(300_000).unwrap();
}

fn archives_of_gnu_tar_become_the_same_files(version: &str) {
    let Some(mut bench) = Bench::start("archives_of_gnu_tar_become_the_same_files", version) else { return };
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    fs::create_dir(&from).unwrap();
    sample(&from);
    for (fate, args) in [
        (Fate::Same, &["--format=gnu"][..]),
        (Fate::Same, &["--format=posix", "--xattrs", "--xattrs-include=*"]),
        (Fate::Same, &["--format=posix", "--sparse", "--sparse-version=0.0"]),
        (Fate::Same, &["--format=posix", "--sparse", "--sparse-version=0.1"]),
        (Fate::Same, &["--format=posix", "--sparse", "--sparse-version=1.0"]),
        (Fate::Ours, &["--format=gnu", "--sparse"]),
        (Fate::Ours, &["--format=oldgnu", "--sparse"]),
    ] {
        let file = dir.path().join("layer.tar");
        run("tar", &[args, &["-cf", file.to_str().unwrap(), "."]].concat(), &from);
        let layer = fs::read(&file).unwrap();
        let name = format!("tar {}", args.join(" "));
        bench.check(&Case { name: name.clone(), layers: vec![layer.clone()], fate }).unwrap();
        if fate == Fate::Ours {
            // Nobody else reads them but GNU tar itself.
            let to = dir.path().join("to");
            fs::create_dir(&to).unwrap();
            run("tar", &["--numeric-owner", "--same-permissions", "-xf", file.to_str().unwrap()], &to);
            let (ours, _) = bench.ours(&format!("again {name}"), &[layer]);
            // tar sets no access times, and the root's own entry is not for us.
            let timeless = |lines: &[String]| -> Vec<String> {
                let words = lines.iter().skip(1).map(|line| line.split(' ').filter(|word| !word.starts_with('a')));
                words.map(|words| words.collect::<Vec<_>>().join(" ")).collect()
            };
            assert_eq!(timeless(&ours[0]), timeless(&tree::list(&to)), "{name}");
            fs::remove_dir_all(&to).unwrap();
        }
    }
}

/// The box's root file system, made with mmdebstrap, as one tar; `None` after a SKIP line.
fn debian(test: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("EDGELAY_TEST_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/edgelay-tests"));
    let entries = fs::read_dir(cache.or(home)?).ok()?;
    let image = entries.filter_map(Result::ok).map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("box-") && name.ends_with(".img")
    });
    if image.is_none() {
        skip(test, "no Debian root file system: run tests/bed/rootfs");
    }
    image
}

/// Tars the ext4 image's files; mounted in a namespace of its own, read-only.
fn tar_of(image: &Path, file: &Path) {
    let script = r#"
        dir=$(mktemp -d); mount -o loop,ro,noload "$1" "$dir"
        tar --format=posix --xattrs --xattrs-include='*' --numeric-owner --pax-option=delete=atime,delete=ctime \
            --exclude=./lost+found --sort=name -C "$dir" -cf "$2" . 2>&1
        umount "$dir"; rmdir "$dir"
    "#;
    let args = ["--mount", "bash", "-ec", script, "tar", image.to_str().unwrap(), file.to_str().unwrap()];
    run("unshare", &args, Path::new("/"));
}

fn a_debian_becomes_the_same_files(version: &str) {
    let test = "a_debian_becomes_the_same_files";
    let Some(mut bench) = Bench::start(test, version) else { return };
    let Some(image) = debian(test) else { return };
    let file = bench.daemon.scratch().join("debian.tar");
    tar_of(&image, &file);
    let layer = fs::read(&file).unwrap();
    let size = layer.len();
    let case = Case { name: "Debian".into(), layers: vec![layer], fate: Fate::Same };
    bench.check(&case).unwrap();
    let (ours, theirs) = (format!("ours{}-0", bench.count), format!("theirs{}-0", bench.count));
    let merged = |daemon: &Daemon, name: &str| rootfs::list(daemon, "k8s.io", name);
    let ours = merged(&bench.daemon, &ours);
    println!("containerd {version}: {} files in a layer of {size} bytes", ours.len());
    assert_eq!(ours, merged(&bench.daemon, &theirs));
    assert!(ours.len() > 3000, "{} files", ours.len());
}
