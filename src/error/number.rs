//! An error number of the system in words: its name, then what the C library says of it.
//!
//! `nix` has both, in tables of a pointer and a length for each of 256 numbers: 12 KiB more.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// The names of 1 and up, which are the same on both architectures; two numbers were never given.
const NAMES: &str = "EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY \
EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE \
EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT \
EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM \
EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART \
ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT \
EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN \
ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL \
EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD \
ENOTRECOVERABLE ERFKILL EHWPOISON";

/// `ENOENT: No such file or directory`.
pub(super) fn write(number: Errno, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let place = usize::try_from(number as i32).ok().and_then(|n| n.checked_sub(1));
    write!(f, "{}: {}", place.and_then(|n| NAMES.split(' ').nth(n)).unwrap_or("UnknownErrno"), meaning(number))
}

/// What the C library says of it: `No such file or directory`.
pub fn meaning(number: Errno) -> String {
    let text = io::Error::from_raw_os_error(number as i32).to_string();
    text.split_once(" (os error ").map_or("", |(meaning, _)| meaning).to_owned()
}

#[cfg(test)]
mod tests {
    use crate::error::{Error, Kind};

    use super::*;

    #[test]
    fn names_are_those_of_the_kernel() {
        let said = |number| Error::new(Kind::Host, "open").because(number).to_string();
        for number in (-1..140).map(Errno::from_raw) {
            let named = format!("open: {number:?}: ");
            assert!(said(number).starts_with(&named), "{} {named}", said(number));
        }
        assert_eq!(said(Errno::ENOENT), "open: ENOENT: No such file or directory");
        assert_eq!(said(Errno::EHWPOISON), "open: EHWPOISON: Memory page has hardware error");
    }
}
