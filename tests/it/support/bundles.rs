//! What a bundle is made of: release archives, programs and image archives, small but with real names.

use std::path::{Path, PathBuf};

use edgelay::bundle::{Request, Role};
use edgelay::ids::Arch;

use super::images::{Packed, Same, Spec, docker, layer};

/// Something that looks like a program for `arch` and differs by `name`.
pub(crate) fn program(arch: Arch, name: &str) -> Vec<u8> {
    let machine: u8 = if arch == Arch::Amd64 { 62 } else { 183 };
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, machine, 0];
    elf.extend_from_slice(name.as_bytes());
    elf.resize(3000 + name.len() * 100, 1);
    elf
}

/// A gzipped tar as releases are packed; `time` goes into its headers.
pub(crate) fn release(files: &[(&str, &[u8])], time: u64) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        let dir = name.ends_with('/');
        header.set_entry_type(if dir { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_size(data.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(time);
        // Not `append_data`, which drops a leading './'.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *data).unwrap();
    }
    Packed::Gzip.apply(&tar.into_inner().unwrap())
}

/// Two directories with all that a bundle for one processor needs.
pub(crate) struct Inputs {
    pub(crate) arch: Arch,
    pub(crate) components: PathBuf,
    pub(crate) images: PathBuf,
    pub(crate) role: Role,
}

impl Inputs {
    fn empty(dir: &Path, arch: Arch, role: Role) -> Inputs {
        let (components, images) = (dir.join("components"), dir.join("images"));
        std::fs::create_dir_all(&components).unwrap();
        std::fs::create_dir_all(&images).unwrap();
        Inputs { arch, components, images, role }
    }

    /// Puts the files into `dir/components` and `dir/images`.
    pub(crate) fn new(dir: &Path, arch: Arch) -> Inputs {
        let inputs = Inputs::empty(dir, arch, Role::Edge);
        let elf = |name: &str| program(arch, name);
        let containerd = [
            ("bin/", Vec::new()),
            ("bin/containerd-stress", elf("stress")),
            ("bin/ctr", elf("ctr")),
            ("bin/containerd", elf("containerd")),
            ("bin/containerd-shim-runc-v2", elf("shim")),
        ];
        inputs.archive(&format!("containerd-2.1.4-linux-{arch}.tar.gz"), &containerd);
        let plugins: Vec<_> =
            ["bandwidth", "bridge", "host-local", "loopback", "portmap"].map(|n| (format!("./{n}"), elf(n))).into();
        let plugins: Vec<_> = plugins.iter().map(|(n, elf)| (n.as_str(), elf.clone())).collect();
        inputs.archive(&format!("cni-plugins-linux-{arch}-v1.9.1.tgz"), &plugins);
        let keadm = format!("keadm-v1.22.0-linux-{arch}");
        let inside = format!("{keadm}/keadm/keadm");
        inputs.archive(&format!("{keadm}.tar.gz"), &[(inside.as_str(), elf("keadm"))]);
        inputs.component(&format!("runc.{arch}"), &elf("runc"));
        for (file, name) in [
            ("docker.io-kubeedge-pause-3.6.tar", "kubeedge/pause:3.6"),
            ("docker.io-kubeedge-installation-package-v1.22.0.tar", "kubeedge/installation-package:v1.22.0"),
        ] {
            // Both stand on one base layer.
            let layers = vec![layer::small(1, 40), layer::file("own", name.as_bytes(), 0o644)];
            let spec = Spec::new(&[name], layers).arch(arch.as_str(), None);
            docker(&[spec], Same::Copy).save(&inputs.images.join(file), Packed::Plain);
        }
        inputs
    }

    /// The same for a cloud bundle, with EdgeMesh.
    pub(crate) fn cloud(dir: &Path, arch: Arch) -> Inputs {
        let inputs = Inputs::empty(dir, arch, Role::Cloud);
        let inside = format!("keadm-v1.22.0-linux-{arch}/keadm/keadm");
        inputs.archive(&format!("keadm-v1.22.0-linux-{arch}.tar.gz"), &[(inside.as_str(), program(arch, "keadm"))]);
        inputs.component("k3s", &program(arch, "k3s"));
        for name in ["destinationrule", "gateway", "virtualservice"] {
            inputs.component(&format!("crd-{name}.yaml"), format!("# {name}\n").as_bytes());
        }
        let of_k3s = [
            "klipper-helm:v0.9.10-build20251111",
            "klipper-lb:v0.4.13",
            "local-path-provisioner:v0.0.32",
            "mirrored-coredns-coredns:1.13.1",
            "mirrored-library-busybox:1.36.1",
            "mirrored-library-traefik:3.5.1",
            "mirrored-metrics-server:v0.8.0",
            "mirrored-pause:3.6",
        ];
        let of_kubeedge = ["cloudcore", "iptables-manager", "controller-manager", "admission"];
        let names = of_k3s.iter().map(|name| format!("rancher/{name}"));
        for name in names.chain(of_kubeedge.iter().map(|name| format!("kubeedge/{name}:v1.22.0"))) {
            let spec = Spec::new(&[&name], vec![layer::file("own", name.as_bytes(), 0o644)]).arch(arch.as_str(), None);
            let file = format!("docker.io-{}.tar", name.replace(['/', ':'], "-"));
            docker(&[spec], Same::Copy).save(&inputs.images.join(file), Packed::Plain);
        }
        inputs
    }

    fn archive(&self, file: &str, entries: &[(&str, Vec<u8>)]) {
        let entries: Vec<_> = entries.iter().map(|(name, data)| (*name, data.as_slice())).collect();
        self.component(file, &release(&entries, 0));
    }

    /// Adds a file to the components.
    pub(crate) fn component(&self, file: &str, bytes: &[u8]) {
        std::fs::write(self.components.join(file), bytes).unwrap();
    }

    /// What to make of it.
    pub(crate) fn request(&self) -> Request {
        Request {
            role: self.role,
            arch: self.arch,
            kubeedge: None,
            components: vec![self.components.clone()],
            images: vec![self.images.clone()],
            with: Vec::new(),
            built: None,
        }
    }
}
