//! `edgelay bundle create`, `show` and `verify`.

use std::io::{BufWriter, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::trust::{self, Proof};
use crate::bundle::signature::{self, Signed};
use crate::bundle::volumes::{self, MAX_VOLUMES};
use crate::bundle::{self, Bundle, Contents, Fault, Flaw, Manifest, Request, Sizes, Verdict};
use crate::digest::Digest;
use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::gather::{Gather, Grow};
use crate::ids::{Arch, RelPath};
use crate::json;
use crate::root::{Change, Root};
use crate::sys::signal::Stoppable;

/// Form of what a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object on one line.
    Json,
}

/// Makes a bundle from local files and puts it into the file `to`, or on standard output for `-`. Into `out` goes a
/// summary, unless the bundle itself goes to standard output.
pub fn create(request: &Request, to: &Path, format: Format, out: &mut dyn Write) -> Result<()> {
    let target = Target::check(to)?;
    let mut draft = request.gather()?;
    let Target::File(root, name) = target else {
        let mut stdout = BufWriter::new(std::io::stdout().lock());
        draft.write(&mut stdout)?;
        return stdout.flush().lift(Kind::Host, || "write the bundle".into());
    };
    let path = file_name(&name)?;
    let mut identity = None;
    let file = root.write_with(path, 0o644, &mut |file| {
        identity = Some(draft.write(&mut Stoppable(file))?);
        Ok(())
    })?;
    let Some(identity) = identity else { return Ok(()) };
    let manifest = draft.manifest();
    let text = match format {
        Format::Json => {
            let notes = draft.notes();
            let created = Created {
                file: &to.display().to_string(),
                identity: identity.to_string(),
                size: file,
                notes,
                manifest,
            };
            json::to_line(&created)?
        }
        Format::Text => {
            let mut text = String::new();
            for note in draft.notes() {
                text.grow(format_args!("note: {note}\n"));
            }
            let (to, components, images) = (to.display(), manifest.components.len(), manifest.images.len());
            text.grow(format_args!(
                "{to}: {file} bytes, {components} components, {images} images\nidentity {identity}\n"
            ));
            text
        }
    };
    write(out, &text)
}

/// Where a new bundle goes.
enum Target {
    Stdout,
    /// A directory and a name in it.
    File(Root, String),
}

impl Target {
    /// Checked before anything is read: a bundle takes minutes to make.
    fn check(to: &Path) -> Result<Self> {
        if to == Path::new("-") {
            if std::io::stdout().is_terminal() {
                return Err(Error::new(Kind::Usage, "-o: a bundle is not written to a terminal")
                    .hint("give a file name with -o"));
            }
            return Ok(Target::Stdout);
        }
        let (root, name) = place_of(to)?;
        Ok(Target::File(root, name))
    }
}

/// The directory and the name of a file that is to be made.
pub(super) fn place_of(to: &Path) -> Result<(Root, String)> {
    let usage = |what: String, hint: &'static str| Err(Error::new(Kind::Usage, what).hint(hint));
    // A rename puts the file into its place; it must not replace a device or a directory.
    if std::fs::metadata(to).is_ok_and(|meta| !meta.is_file()) {
        return usage(format!("-o: '{}' is no regular file", to.display()), "give the name of a file, or '-'");
    }
    let Some(name) = to.file_name().and_then(|name| name.to_str()) else {
        return usage(format!("-o: '{}' has no file name", to.display()), "give the name of a file, or '-'");
    };
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !dir.is_dir() {
        return usage(format!("-o: '{}' is no directory", dir.display()), "make the directory first");
    }
    Ok((Root::open(dir)?, name.to_owned()))
}

/// A name that the user gave, or that was made of it.
pub(super) fn file_name(name: &str) -> Result<RelPath<'_>> {
    RelPath::parse(name).lift(Kind::Usage, || format!("-o: file name '{name}'"))
}

/// Cuts the file `from` into volumes of `size` bytes that are read as one again: `TO.000`, `TO.001` and on. Volumes that
/// an earlier, longer one left there are removed.
pub fn split(from: &Path, to: &Path, size: u64, out: &mut dyn Write) -> Result<()> {
    let unreadable = || format!("read '{}'", from.display());
    let mut file = std::fs::File::open(from).lift(Kind::Host, unreadable)?;
    let length = file.seek(SeekFrom::End(0)).lift(Kind::Host, unreadable)?;
    file.rewind().lift(Kind::Host, unreadable)?;
    let count = usize::try_from(length.div_ceil(size)).unwrap_or(usize::MAX);
    if count > MAX_VOLUMES {
        let what = format!("'{}' would make {count} volumes, the limit is {MAX_VOLUMES}", from.display());
        return Err(Error::new(Kind::Usage, what).hint("give larger volumes with --size"));
    }
    let (root, name) = place_of(to)?;
    let path_of = |number| volumes::name(Path::new(&name), number).display().to_string();
    for number in 0..count {
        let text = path_of(number);
        let path = file_name(&text)?;
        root.write_stream(path, 0o644, &mut (&mut file).take(size))?;
    }
    for number in count..MAX_VOLUMES {
        let text = path_of(number);
        let path = file_name(&text)?;
        if root.remove(path)? == Change::Kept {
            break;
        }
    }
    let first = path_of(0);
    write(out, &format!("{}: {length} bytes in {count} volumes, from '{first}' on\n", to.display()))
}

/// Prints what the bundle in `file` (`-`: standard input) is for and what it holds.
pub fn show(file: &Path, format: Format, out: &mut dyn Write) -> Result<()> {
    let bundle = open(file)?;
    let (identity, manifest, sizes) = (bundle.identity(), bundle.manifest(), bundle.sizes());
    let text = match format {
        Format::Json => json::to_line(&Shown::of(file, &identity, manifest, sizes))?,
        Format::Text => show_text(file, &identity, manifest, &sizes),
    };
    write(out, &text)
}

fn open(file: &Path) -> Result<Bundle> {
    if file == Path::new("-") { Bundle::from_pipe(std::io::stdin(), "-") } else { Bundle::open(file) }
}

/// Prints the line that a signature of the bundle in `file` (`-`: standard input) is made over.
pub fn statement(file: &Path, out: &mut dyn Write) -> Result<()> {
    let text = signature::statement(&open(file)?.identity());
    write(out, &text)
}

fn show_text(file: &Path, identity: &Digest, manifest: &Manifest, sizes: &Sizes) -> String {
    let Manifest { role, architecture, kubeedge, built, min_tool, .. } = manifest;
    let mut text = format!(
        "bundle        {}\n\
         identity      {identity}\n\
         role          {role}\n\
         architecture  {architecture}\n\
         KubeEdge      {kubeedge}\n\
         built         {built}\n\
         needs edgelay {min_tool}\n\
         size          {} bytes; images unpack to {} bytes\n\
         components\n",
        file.display(),
        sizes.file,
        sizes.unpacked
    );
    for c in &manifest.components {
        let version = c.version.as_deref().unwrap_or("-");
        let destination = c.destination();
        text.grow(format_args!("  {:<24} {version:<12} {:>12}  {} {destination}\n", c.name, c.size, c.mode));
    }
    text.push_str("images\n");
    for image in &manifest.images {
        let names: Vec<&str> = image.names.iter().map(crate::ids::ImageRef::as_str).gather();
        let need = if image.required { "required" } else { "optional" };
        text.grow(format_args!("  {} ({need}, unpacks to {} bytes)\n", names.join(" "), image.unpacked));
    }
    text
}

/// What to verify, and against what.
#[derive(Debug)]
pub struct VerifyRequest {
    /// `-` is the standard input.
    pub file: PathBuf,
    /// The processor it must be for; `None`: this machine's.
    pub arch: Option<Arch>,
    /// Where its signature is; `None`: beside it.
    pub signature: Option<PathBuf>,
    /// Files with the keys of which one must have signed; none: the keys of this machine.
    pub keys: Vec<PathBuf>,
}

/// Reads all of a bundle, prints what is wrong with it, and fails if anything is.
pub fn verify(request: &VerifyRequest, format: Format, out: &mut dyn Write) -> Result<()> {
    let VerifyRequest { file, arch, signature, keys } = request;
    let keys = if keys.is_empty() { trust::keys_of_this_machine()? } else { trust::keys_in(keys)?.0 };
    let proof = match signature {
        Some(path) => Proof::At(path.clone()),
        None if file == Path::new("-") => Proof::Nowhere,
        None => Proof::beside(file),
    };
    let arch = arch.or(Arch::of_this_binary());
    let mut verdict =
        if file == Path::new("-") { bundle::verify_pipe(std::io::stdin(), arch)? } else { bundle::verify(file, arch)? };
    let mut signed = None;
    if let Some(contents) = &verdict.contents {
        match trust::judge(&keys, &file.display().to_string(), &contents.identity, &proof)? {
            Ok(found) => signed = found,
            Err(flaw) => verdict.flaws.push(flaw),
        }
    }
    let text = match format {
        Format::Json => json::to_line(&Verified::of(file, &verdict, signed.as_ref()))?,
        Format::Text => verify_text(file, &verdict, signed.as_ref()),
    };
    write(out, &text)?;
    let Some(flaw) = verdict.worst() else { return Ok(()) };
    let fault = flaw.fault();
    Err(Error::from(flaw.clone())).doing(|| format!("bundle '{}' is {}", file.display(), fault.words()))
}

fn verify_text(file: &Path, verdict: &Verdict, signed: Option<&Signed>) -> String {
    let mut text = String::new();
    for flaw in &verdict.flaws {
        text.grow(format_args!("{}: {}\n", flaw.fault().word(), flaw.what()));
    }
    if let (None, Some(Contents { identity, manifest, sizes })) = (verdict.fault(), &verdict.contents) {
        let Manifest { role, architecture, kubeedge, .. } = manifest;
        text.grow(format_args!(
            "{}: ok, {role} bundle for {architecture}, KubeEdge {kubeedge}\n{} bytes read, identity {identity}\n",
            file.display(),
            sizes.file
        ));
        if let Some(Signed { by, comment }) = signed {
            text.grow(format_args!("signed by '{by}': {}\n", comment.escape_debug()));
        }
    }
    text
}

fn write(out: &mut dyn Write, text: &str) -> Result<()> {
    out.write_all(text.as_bytes()).lift(Kind::Host, || "write the output".into())
}

#[derive(Serialize)]
struct Created<'a> {
    file: &'a str,
    identity: String,
    size: u64,
    notes: &'a [String],
    manifest: &'a Manifest,
}

#[derive(Serialize)]
struct Shown<'a> {
    file: String,
    identity: String,
    sizes: ShownSizes,
    manifest: &'a Manifest,
}

/// Bytes.
#[derive(Serialize)]
struct ShownSizes {
    file: u64,
    components: u64,
    blobs: u64,
    unpacked: u64,
}

impl<'a> Shown<'a> {
    fn of(file: &Path, identity: &Digest, manifest: &'a Manifest, sizes: Sizes) -> Self {
        let Sizes { file: size, components, blobs, unpacked } = sizes;
        Shown {
            file: file.display().to_string(),
            identity: identity.to_string(),
            sizes: ShownSizes { file: size, components, blobs, unpacked },
            manifest,
        }
    }
}

#[derive(Serialize)]
struct Verified<'a> {
    file: String,
    /// `ok`, or the word of the gravest fault.
    verdict: &'static str,
    identity: Option<String>,
    /// Name of the key; `null` where none was asked for, and where the signature is bad.
    signed_by: Option<&'a str>,
    flaws: Vec<ShownFlaw<'a>>,
}

#[derive(Serialize)]
struct ShownFlaw<'a> {
    fault: &'static str,
    what: &'a str,
    hint: &'static str,
}

impl<'a> Verified<'a> {
    fn of(file: &Path, verdict: &'a Verdict, signed: Option<&'a Signed>) -> Self {
        let shown =
            |flaw: &'a Flaw| ShownFlaw { fault: flaw.fault().word(), what: flaw.what(), hint: flaw.fault().hint() };
        Verified {
            file: file.display().to_string(),
            verdict: verdict.fault().map_or("ok", Fault::word),
            identity: verdict.contents.as_ref().map(|contents| contents.identity.to_string()),
            signed_by: signed.map(|signed| signed.by.as_str()),
            flaws: verdict.flaws.iter().map(shown).gather(),
        }
    }
}
