//! Signatures of bundles, made by the real minisign: who has a key takes nothing that is not signed by one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use edgelay::ids::Arch;
use serde_json::Value;
use tempfile::TempDir;

use super::support::bundles::Inputs;
use super::support::peers::skip;

/// A directory with a bundle, keys, and signatures.
struct Bench {
    dir: TempDir,
    bundle: PathBuf,
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

impl Bench {
    /// `None` where there is no minisign, or where we are not root.
    fn new(test: &str) -> Option<Bench> {
        if !nix::unistd::geteuid().is_root() || Command::new("minisign").arg("-v").output().is_err() {
            skip(test, "it needs root and minisign");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("edge.bundle");
        let bench = Bench { dir, bundle };
        let inputs = Inputs::new(bench.dir.path(), Arch::of_this_binary().unwrap());
        let (components, images) = (inputs.components.to_str().unwrap(), inputs.images.to_str().unwrap());
        let to = bench.bundle.to_str().unwrap();
        let made = bench.edgelay(&["bundle", "create", "--components", components, "--images", images, "-o", to]);
        assert_eq!(made.code, 0, "{}", made.err);
        for name in ["maker", "other"] {
            bench.minisign(&["-G", "-W", "-f", "-p", &format!("{name}.pub"), "-s", &format!("{name}.key")]);
        }
        Some(bench)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn edgelay(&self, args: &[&str]) -> Ended {
        ended(Command::new(env!("CARGO_BIN_EXE_edgelay")).env_clear().current_dir(self.dir.path()).args(args))
    }

    fn minisign(&self, args: &[&str]) {
        let done = ended(Command::new("minisign").current_dir(self.dir.path()).args(args));
        assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    }

    /// As docs/bundles.md says it.
    fn sign(&self, bundle: &Path, key: &str, signature: &str) {
        let statement = self.edgelay(&["bundle", "show", "--statement", bundle.to_str().unwrap()]);
        assert_eq!(statement.code, 0, "{}", statement.err);
        fs::write(self.dir.path().join("statement"), statement.out).unwrap();
        self.minisign(&["-S", "-s", key, "-m", "statement", "-x", signature, "-t", "edge, spring"]);
    }

    /// Runs a shell line on a machine whose /etc holds nothing but keys; `edgelay` is the program.
    fn with_keys(&self, keys: &[&str], line: &str) -> Ended {
        let copies: String =
            keys.iter().map(|key| format!("install -m 0644 {} /etc/edgelay/keys/\n", self.path(key))).collect();
        let all = format!(
            "set -e; mount -t tmpfs tmpfs /etc; mkdir -p /etc/edgelay/keys\n{copies}edgelay() {{ {} \"$@\"; }}; {line}",
            env!("CARGO_BIN_EXE_edgelay")
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "bash", "-c", &all]).current_dir(self.dir.path());
        ended(&mut command)
    }
}

#[test]
fn verify_says_who_signed() {
    let Some(bench) = Bench::new("verify_says_who_signed") else { return };
    bench.sign(&bench.bundle, "maker.key", "edge.bundle.minisig");
    bench.sign(&bench.bundle, "other.key", "others.minisig");
    let verify = |args: &[&str]| bench.edgelay(&[&["bundle", "verify", "edge.bundle"], args].concat());
    let plain = verify(&[]);
    assert!(
        plain.code == 0 && !plain.out.contains("signed"),
        "nobody has to sign where there is no key: {}",
        plain.out
    );
    let good = verify(&["--key", "other.pub", "--key", "maker.pub"]);
    assert!(good.code == 0 && good.out.ends_with("\nsigned by 'maker': edge, spring\n"), "{}{}", good.out, good.err);
    let good = verify(&["--key", "maker.pub", "-o", "json"]);
    let json: Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!((&json["verdict"], &json["signed_by"]), (&"ok".into(), &"maker".into()));

    let bad = verify(&["--key", "other.pub", "-o", "json"]);
    let json: Value = serde_json::from_str(&bad.out).unwrap();
    assert_eq!((bad.code, &json["verdict"], &json["signed_by"]), (5, &"unsigned".into(), &Value::Null));
    let what = "bundle 'edge.bundle' is not signed by a key of this machine: signature 'edge.bundle.minisig' is of none of \
                the keys: other\nhint: ";
    assert!(bad.err.contains(what), "{}", bad.err);
    assert_eq!(verify(&["--key", "other.pub", "--signature", "others.minisig"]).code, 0);
    // A key file that is none, and a signature with nothing to hold it against.
    let bad = verify(&["--key", "maker.key"]);
    assert!(bad.code == 3 && bad.err.contains("key file 'maker.key' is no public key of minisign"), "{}", bad.err);
    let bad = verify(&["--signature", "others.minisig"]);
    assert!(bad.code == 2 && bad.err.contains("there is no key to hold it against"), "{}", bad.err);
    // Through a pipe the line is the same, and nothing lies beside it.
    let pipe = bench.with_keys(&[], "edgelay bundle show --statement - <edge.bundle | cmp - statement");
    assert_eq!(pipe.code, 0, "{}", pipe.err);
    let pipe = bench.with_keys(&["maker.pub"], "edgelay bundle verify - <edge.bundle");
    assert!(
        pipe.code == 5 && pipe.err.contains("bundle '-' has no signature: a pipe's is given with --signature"),
        "{}",
        pipe.err
    );
}

/// Commands that take a bundle, up to where they have judged it.
const TAKERS: [&str; 4] = [
    "edge stage --root target --ignore-check all --dry-run",
    "edge install --ignore-check all --cloud-host 192.0.2.1 --token-file token --dry-run",
    "preflight",
    "cloud worker install --server 192.0.2.1:6443 --token-file token --dry-run",
];

#[test]
fn a_machine_with_keys_takes_signed_bundles_only() {
    let Some(bench) = Bench::new("a_machine_with_keys_takes_signed_bundles_only") else { return };
    fs::create_dir(bench.dir.path().join("target")).unwrap();
    let token = bench.dir.path().join("token");
    fs::write(&token, "token").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    for taker in TAKERS {
        let refused = |line: &str, what: &str| {
            let Ended { code, err, .. } = bench.with_keys(&["maker.pub"], line);
            assert!(code == 5 && err.contains(what) && err.contains("hint: "), "{line}: {code}: {err}");
        };
        let file = format!("edgelay {taker} --bundle edge.bundle");
        refused(&file, "bundle 'edge.bundle' has no signature: there is no 'edge.bundle.minisig'");
        bench.sign(&bench.bundle, "other.key", "edge.bundle.minisig");
        refused(&file, "signature 'edge.bundle.minisig' is of none of the keys: maker");
        bench.sign(&bench.bundle, "maker.key", "good.minisig");
        refused(&format!("edgelay {taker} --bundle - <edge.bundle"), "bundle '-' has no signature");
        let useless = bench.with_keys(&[], &format!("{file} --signature good.minisig"));
        assert!(useless.code == 2 && useless.err.contains("there is no key to hold it against"), "{}", useless.err);
        // What is signed goes on, to wherever that command gets here; as does anything where there is no key.
        for (keys, line) in [
            (&["other.pub"][..], file.clone()),
            (&["other.pub", "maker.pub"], format!("{file} --signature good.minisig")),
            (&["maker.pub"], format!("edgelay {taker} --bundle - --signature good.minisig <edge.bundle")),
            (&[], format!("rm edge.bundle.minisig; {file}")),
        ] {
            let Ended { err, .. } = bench.with_keys(keys, &line);
            assert!(!err.contains("sign") && !err.contains("key"), "{line}: {err}");
        }
    }
    assert_eq!(fs::read_dir(bench.dir.path().join("target")).unwrap().count(), 0, "something was laid down");
    // Nobody but root says which keys there are.
    let open = "chmod 0666 /etc/edgelay/keys/maker.pub; edgelay bundle verify edge.bundle";
    let Ended { code, err, .. } = bench.with_keys(&["maker.pub"], open);
    assert!(code == 3 && err.contains("'/etc/edgelay/keys/maker.pub' may be written by others (mode 0666)"), "{err}");
    for place in ["/etc/edgelay/keys/maker.pub", "/etc/edgelay"] {
        let theirs = format!("chown 1234 {place}; edgelay bundle verify edge.bundle");
        let Ended { code, err, .. } = bench.with_keys(&["maker.pub"], &theirs);
        assert!(code == 3 && err.contains(&format!("'{place}' belongs to user 1234, expected root")), "{err}");
    }
    // A name that is no UTF-8 hides no key.
    let latin = "mv /etc/edgelay/keys/maker.pub $'/etc/edgelay/keys/maker\\xe4.pub'; edgelay bundle verify edge.bundle";
    let Ended { code, err, .. } = bench.with_keys(&["maker.pub"], latin);
    assert!(code == 3 && err.contains("key file '/etc/edgelay/keys/maker\u{fffd}.pub' is no public key"), "{err}");
    let other = "mv /etc/edgelay/keys/maker.pub /etc/edgelay/keys/maker; edgelay bundle verify edge.bundle";
    let Ended { code, err, .. } = bench.with_keys(&["maker.pub"], other);
    assert!(code == 3 && err.contains("'/etc/edgelay/keys' holds no key, but 'maker'"), "{err}");
    let odd = "echo x > /etc/edgelay/keys/odd.pub; edgelay bundle verify edge.bundle";
    let Ended { code, err, .. } = bench.with_keys(&[], odd);
    assert!(code == 3 && err.contains("key file '/etc/edgelay/keys/odd.pub' is no public key"), "{err}");
}
