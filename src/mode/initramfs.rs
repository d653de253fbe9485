//! `edgelay initramfs create`: an image that boots a machine into installing from a stick.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::archive::{self, Compression};
use crate::bundle::Program;
use crate::bundle::elf::loader;
use crate::clock::SystemClock;
use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::exec::{Cmd, Exec, Host};
use crate::feed;
use crate::ids::{Arch, RelPath};
use crate::initramfs::frame::RawFrame;
use crate::initramfs::image::Content;
use crate::initramfs::modules::Tables;
use crate::initramfs::{Image, Loading};
use crate::root::Root;

use super::bundle::{file_name, place_of};
use super::trust;

/// How the image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compress {
    /// By the program `zstd`; where there is none, a frame that stores.
    Zstd,
    /// Not at all.
    None,
}

/// What to make.
#[derive(Debug)]
pub struct Request {
    /// The processor that it is for.
    pub arch: Arch,
    /// edgelay for that processor; this program itself if none.
    pub binary: Option<PathBuf>,
    /// Directory with the kernel's modules; no modules if none.
    pub modules: Option<PathBuf>,
    /// Drivers beyond the usual.
    pub extra: Vec<String>,
    /// A static shell to put in.
    pub shell: Option<PathBuf>,
    /// Files with public keys, of which one must have signed a bundle on the stick.
    pub keys: Vec<PathBuf>,
    /// How the image is compressed.
    pub compress: Compress,
    /// Where the image goes.
    pub to: PathBuf,
}

/// Makes the image; what was made goes to `out` in words.
pub fn create(request: &Request, out: &mut dyn Write) -> Result<()> {
    let (_, name) = place_of(&request.to)?;
    let target = file_name(&name)?;
    // Programs run in '/', whatever our own directory is.
    let dir = request.to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir = dir.canonicalize().lift(Kind::Host, || format!("find '{}'", dir.display()))?;
    let home = Root::open(&dir)?;
    // Its own, as others may be at work in the same directory.
    let place = format!(".edgelay-initramfs-{}", std::process::id());
    let place = RelPath::parse(&place).lift(Kind::Bug, || format!("directory '{place}'"))?;
    home.mkdir(place, 0o700)?;
    let made = Root::open(&home.absolute(place)).and_then(|scratch| make(request, target, (&home, &scratch), out));
    let gone = home.remove_tree(place).map(drop);
    made.and(gone)
}

fn make(request: &Request, target: RelPath<'_>, at: (&Root, &Root), out: &mut dyn Write) -> Result<()> {
    let live = Root::open(Path::new("/"))?;
    let clock = SystemClock::default();
    let mut exec = Host::new(&live, &clock);
    let (home, scratch) = at;
    let mut work = Work { home, scratch, exec: &mut exec };
    let own = PathBuf::from("/proc/self/exe");
    let binary = program(request.binary.as_ref().unwrap_or(&own), request.arch).map_err(|e| match request.binary {
        Some(_) => e,
        None => e.hint(format_args!("give the edgelay for {} with --binary FILE", request.arch)),
    })?;
    let shell = request.shell.as_ref().map(|path| program(path, request.arch)).transpose()?;
    let kernel = request.modules.as_ref().map(|dir| Kernel::open(dir)).transpose()?;
    let loading = match &kernel {
        Some(kernel) => Loading::choose(&kernel.tables, &request.extra)?,
        None => Loading::default(),
    };
    let (count, release) = (loading.count(), kernel.as_ref().map(|k| k.release.clone()).unwrap_or_default());
    let mut open_module = |path: &str| match &kernel {
        Some(kernel) => work.module(&kernel.dir, path),
        None => Err(Error::new(Kind::Bug, "a module without a kernel")),
    };
    let image = Image {
        binary,
        shell,
        keys: trust::keys_in(&request.keys)?.1,
        release: release.clone(),
        loading,
        open_module: &mut open_module,
    };
    let mut archive = Vec::new();
    image.write(&mut archive)?;
    let (size, how) = work.store(target, &archive, request.compress)?;
    let modules =
        if release.is_empty() { "no modules".to_owned() } else { format!("{count} modules of kernel {release}") };
    let text = format!("{}: {size} bytes, for {}, {modules}, {how}\n", request.to.display(), request.arch);
    out.write_all(text.as_bytes()).lift(Kind::Host, || "write the output".into())
}

/// Enough of a program to see its segments.
const ELF_HEAD: usize = 4096;

/// A program that must run on `arch` without any library.
fn program(path: &Path, arch: Arch) -> Result<Content<'static>> {
    let unreadable = || format!("read '{}'", path.display());
    let mut file = File::open(path).lift(Kind::Host, unreadable)?;
    let head = feed::first(&mut file, ELF_HEAD).lift(Kind::Host, unreadable)?;
    let unfit = |why: String| Err(Error::new(Kind::Usage, format_args!("'{}' {why}", path.display())));
    match Program::of(&head) {
        Program::For(found) if found == arch => {}
        other => return unfit(other.mismatch(arch).unwrap_or_else(|| "is a script".into())),
    }
    if loader(&head).is_some() {
        return unfit("needs libraries, which an initramfs has not".into())
            .map_err(|e: Error| e.hint("give a static program: 'make dist' builds edgelay as one"));
    }
    let size = file.metadata().lift(Kind::Host, unreadable)?.len();
    Ok((size, Box::new(Cursor::new(head).chain(file))))
}

/// A directory `/lib/modules/RELEASE`.
struct Kernel {
    dir: Root,
    release: String,
    tables: Tables,
}

/// Largest of depmod's texts; those of a distribution have 700 KiB.
const MAX_TABLE: usize = 16 << 20;

impl Kernel {
    fn open(path: &Path) -> Result<Self> {
        let hint = "give a directory like /lib/modules/6.1.0-18-arm64, or 'none'";
        let dir = Root::open(path).map_err(|e| e.reclassify(Kind::Usage).hint(hint))?;
        let text = |name: &'static str| dir.read_text(RelPath::literal(name), MAX_TABLE);
        let dep = text("modules.dep")?.ok_or_else(|| {
            Error::new(Kind::Usage, format_args!("--kernel-modules: '{}' has no modules.dep", path.display()))
                .hint(hint)
        })?;
        let builtin = text("modules.builtin")?.unwrap_or_default();
        let tables = Tables::parse(&dep, &builtin, &text("modules.softdep")?.unwrap_or_default())
            .doing(|| format!("'{}'", path.display()))?;
        // The release is the directory's own name, also where it was given as a link or with a slash behind.
        let real = path.canonicalize().lift(Kind::Host, || format!("find '{}'", path.display()))?;
        let release = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Kernel { dir, release, tables })
    }
}

/// Where the image is made, and the programs that help.
struct Work<'a> {
    home: &'a Root,
    /// For files in between.
    scratch: &'a Root,
    exec: &'a mut dyn Exec,
}

/// Largest module, compressed or not: amdgpu has 30 MiB.
const MAX_MODULE: usize = 128 << 20;
const MODULE_XZ: RelPath<'static> = RelPath::literal("module.ko.xz");
const MODULE: RelPath<'static> = RelPath::literal("module.ko");
const ARCHIVE: RelPath<'static> = RelPath::literal("cpio");
const PACKED: RelPath<'static> = RelPath::literal("cpio.zst");
const LIMIT: Duration = Duration::from_secs(600);

impl Work<'_> {
    /// A module, unpacked: the kernel could do that itself only since 5.17, and only where it was built so.
    fn module(&mut self, dir: &Root, path: &str) -> Result<Content<'static>> {
        let bytes = self.module_bytes(dir, path).doing(|| format!("module '{path}'"))?;
        Ok((bytes.len() as u64, Box::new(Cursor::new(bytes))))
    }

    fn module_bytes(&mut self, dir: &Root, path: &str) -> Result<Vec<u8>> {
        let rel = RelPath::parse(path).lift(Kind::Host, || "its path".into())?;
        let stored = dir.read(rel, MAX_MODULE)?.ok_or_else(|| {
            Error::new(Kind::Host, "modules.dep names it, but it is not there").hint("run depmod for this kernel")
        })?;
        if path.ends_with(".xz") {
            return self.unpack_xz(&stored);
        }
        let head = stored.get(..archive::HEAD.min(stored.len())).unwrap_or_default();
        match Compression::sniff(head)? {
            Compression::Plain => Ok(stored),
            how => {
                let mut from = archive::decoder(how, stored.as_slice());
                feed::first(&mut *from, MAX_MODULE).lift(Kind::Host, || "unpack".into())
            }
        }
    }

    fn unpack_xz(&mut self, stored: &[u8]) -> Result<Vec<u8>> {
        if self.exec.find("xz").is_none() {
            return Err(Error::new(Kind::Host, "is compressed with xz, and there is no program 'xz' here")
                .hint("install xz-utils, or unpack the modules with 'unxz' and run depmod"));
        }
        self.scratch.write(MODULE_XZ, 0o600, stored)?;
        let file = self.scratch.absolute(MODULE_XZ).display().to_string();
        let done = self.exec.succeed(&Cmd::new("xz", &["-d", "-f", "-q", &file]).limit(LIMIT));
        let bytes = done.and_then(|_| self.scratch.read(MODULE, MAX_MODULE));
        self.scratch.remove(MODULE_XZ)?;
        self.scratch.remove(MODULE)?;
        bytes?.ok_or_else(|| Error::new(Kind::Host, "xz unpacked nothing"))
    }

    /// Puts the image into its place; its size, and how it was compressed.
    fn store(&mut self, to: RelPath<'_>, archive: &[u8], compress: Compress) -> Result<(u64, &'static str)> {
        let mode = 0o644;
        match compress {
            Compress::None => Ok((self.home.write_stream(to, mode, &mut &*archive)?, "not compressed")),
            Compress::Zstd if self.exec.find("zstd").is_some() => {
                Ok((self.pack(to, archive)?, "compressed by the program zstd"))
            }
            Compress::Zstd => {
                let size = self.home.write_with(to, mode, &mut |file| {
                    let mut file: &mut dyn Write = file;
                    let written = RawFrame::new(&mut file).and_then(|mut frame| {
                        frame.write_all(archive)?;
                        frame.finish()
                    });
                    written.lift(Kind::Host, || format!("write '{to}'"))
                })?;
                Ok((size, "stored in a zstd frame, as there is no program zstd here"))
            }
        }
    }

    fn pack(&mut self, to: RelPath<'_>, archive: &[u8]) -> Result<u64> {
        self.scratch.write(ARCHIVE, 0o600, archive)?;
        let [from, into] = [ARCHIVE, PACKED].map(|path| self.scratch.absolute(path).display().to_string());
        // One thread: several make other bytes on other machines.
        self.exec
            .succeed(&Cmd::new("zstd", &["-q", "-f", "-15", "--single-thread", "-o", &into, &from]).limit(LIMIT))?;
        let packed = self.scratch.open_file(PACKED)?;
        let mut packed = packed.ok_or_else(|| Error::new(Kind::Host, "zstd wrote nothing"))?;
        self.home.write_stream(to, 0o644, &mut packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;

    #[test]
    fn modules_are_unpacked() {
        let (dir, root) = Root::scratch();
        let zst = zstd::encode_all(b"KO".as_slice(), 1).unwrap();
        for (name, bytes) in [("a.ko", b"KO".as_slice()), ("a.ko.zst", &zst), ("a.ko.xz", b"XZ")] {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let read = |exec: &mut Script, path| {
            Work { home: &root, scratch: &root, exec }.module(&root, path).map(|(size, mut content)| {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes.len() as u64, size);
                bytes
            })
        };
        for name in ["a.ko", "a.ko.zst"] {
            assert_eq!(read(&mut Script::default(), name).unwrap(), b"KO", "{name}");
        }
        let e = read(&mut Script::default(), "a.ko.xz").map(drop).unwrap_err();
        assert_eq!(e.to_string(), "module 'a.ko.xz': is compressed with xz, and there is no program 'xz' here");
        let line = format!("xz -d -f -q {}", root.absolute(MODULE_XZ).display());
        let mut with_xz = Script::default().expect(&line, 0, "");
        with_xz.programs.push("xz".into());
        let e = read(&mut with_xz, "a.ko.xz").map(drop).unwrap_err();
        assert_eq!(e.to_string(), "module 'a.ko.xz': xz unpacked nothing");
        assert!(!dir.path().join(MODULE_XZ.as_str()).exists(), "nothing is left behind");
        let e = read(&mut Script::default(), "b.ko").map(drop).unwrap_err();
        assert_eq!(e.hint_text(), Some("run depmod for this kernel"));
    }

    #[test]
    fn without_the_program_zstd_the_image_is_stored() {
        let (dir, root) = Root::scratch();
        let mut exec = Script::default();
        let mut work = Work { home: &root, scratch: &root, exec: &mut exec };
        let to = RelPath::literal("i");
        let (size, how) = work.store(to, b"archive", Compress::Zstd).unwrap();
        let bytes = std::fs::read(dir.path().join("i")).unwrap();
        assert_eq!((size, how), (bytes.len() as u64, "stored in a zstd frame, as there is no program zstd here"));
        assert_eq!(zstd::decode_all(bytes.as_slice()).unwrap(), b"archive");
        work.store(to, b"archive", Compress::None).unwrap();
        assert_eq!(std::fs::read(dir.path().join("i")).unwrap(), b"archive");
    }

    #[test]
    fn only_static_programs_of_the_right_processor() {
        let own = std::env::current_exe().unwrap();
        let arch = Arch::of_this_binary().unwrap();
        let other = if arch == Arch::Amd64 { Arch::Arm64 } else { Arch::Amd64 };
        let e = program(&own, other).map(drop).unwrap_err().to_string();
        assert!(e.ends_with(&format!("is a program for {arch}, expected {other}")), "{e}");
        let e = program(&own, arch).map(drop).unwrap_err().to_string();
        assert!(e.ends_with("needs libraries, which an initramfs has not"), "{e}");
    }
}
