//! gRPC status (the protocol's "Responses" and the list of status codes).

use std::fmt;

use super::hpack::Header;

/// Longest error text we keep; containerd's are long when they quote output of programs.
const MAX_MESSAGE: usize = 4096;

/// gRPC status codes. A number that does not exist counts as [`Code::Unknown`], as the protocol asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 0: success.
    Ok,
    /// 1: cancelled by the caller.
    Cancelled,
    /// 2: anything; old daemons use it for many errors.
    Unknown,
    /// 3: the request makes no sense.
    InvalidArgument,
    /// 4: too late.
    DeadlineExceeded,
    /// 5: not there.
    NotFound,
    /// 6: there already.
    AlreadyExists,
    /// 7: not allowed.
    PermissionDenied,
    /// 8: too large or too many.
    ResourceExhausted,
    /// 9: not in this state; also conflicts and failed commits.
    FailedPrecondition,
    /// 10: lost a race.
    Aborted,
    /// 11: outside the valid range; a write at the wrong offset.
    OutOfRange,
    /// 12: no such service or method.
    Unimplemented,
    /// 13: a defect of the peer or of the protocol layer.
    Internal,
    /// 14: not now: locked, or not yet ready.
    Unavailable,
    /// 15: data is gone.
    DataLoss,
    /// 16: who are you.
    Unauthenticated,
}

impl Code {
    /// By position: the code of each number.
    const ALL: [(Code, &'static str); 17] = [
        (Code::Ok, "OK"),
        (Code::Cancelled, "CANCELLED"),
        (Code::Unknown, "UNKNOWN"),
        (Code::InvalidArgument, "INVALID_ARGUMENT"),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (Code::NotFound, "NOT_FOUND"),
        (Code::AlreadyExists, "ALREADY_EXISTS"),
        (Code::PermissionDenied, "PERMISSION_DENIED"),
        (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
        (Code::FailedPrecondition, "FAILED_PRECONDITION"),
        (Code::Aborted, "ABORTED"),
        (Code::OutOfRange, "OUT_OF_RANGE"),
        (Code::Unimplemented, "UNIMPLEMENTED"),
        (Code::Internal, "INTERNAL"),
        (Code::Unavailable, "UNAVAILABLE"),
        (Code::DataLoss, "DATA_LOSS"),
        (Code::Unauthenticated, "UNAUTHENTICATED"),
    ];

    /// From the decimal text of `grpc-status`.
    pub fn parse(text: &[u8]) -> Option<Code> {
        let number: u32 = std::str::from_utf8(text).ok()?.parse().ok()?;
        let known = usize::try_from(number).ok().and_then(|at| Code::ALL.get(at));
        Some(known.map_or(Code::Unknown, |(code, _)| *code))
    }

    /// The protocol's word.
    pub fn word(self) -> &'static str {
        Code::ALL.iter().find(|(code, _)| *code == self).map_or("UNKNOWN", |(_, word)| word)
    }

    /// What a plain HTTP error means (gRPC, "HTTP to gRPC Status Code Mapping").
    fn of_http(status: &[u8]) -> Code {
        match status {
            b"400" => Code::Internal,
            b"401" => Code::Unauthenticated,
            b"403" => Code::PermissionDenied,
            b"404" => Code::Unimplemented,
            b"429" | b"502" | b"503" | b"504" => Code::Unavailable,
            _ => Code::Unknown,
        }
    }

    /// What the end of a stream by RST_STREAM means (gRPC, "Errors"; RFC 9113 §7 has the numbers).
    fn of_reset(code: u32) -> Code {
        match code {
            7 => Code::Unavailable,        // REFUSED_STREAM
            8 => Code::Cancelled,          // CANCEL
            11 => Code::ResourceExhausted, // ENHANCE_YOUR_CALM
            12 => Code::PermissionDenied,  // INADEQUATE_SECURITY
            _ => Code::Internal,
        }
    }
}

/// How a call ended: code and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: Code,
    /// The daemon's words: at most 4 KiB, no control characters; often empty if the code is OK.
    pub message: String,
}

impl Status {
    /// Our own judgement, in our own words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Status { code, message: message.into() }
    }

    /// From the header block that ended the stream. `None`: it carries no status, which is an error of its own.
    pub fn from_trailers(fields: &[Header]) -> Option<Status> {
        let code = Code::parse(find(fields, "grpc-status")?)?;
        let message = find(fields, "grpc-message").map(percent_decode).unwrap_or_default();
        Some(Status { code, message: printable(&message) })
    }

    /// From a response head that is no gRPC: wrong HTTP status, or wrong content type.
    pub fn from_bad_head(fields: &[Header]) -> Option<Status> {
        let http = find(fields, ":status").unwrap_or(b"none");
        let content = find(fields, "content-type").unwrap_or(b"none");
        if http != b"200" {
            let text = format!("HTTP status {}", printable(http));
            return Some(Status::new(Code::of_http(http), text));
        }
        if !content.starts_with(b"application/grpc") {
            return Some(Status::new(Code::Unknown, format!("content type '{}' is not gRPC", printable(content))));
        }
        None
    }

    /// From an error code of RST_STREAM.
    pub fn from_reset(code: u32) -> Status {
        Status::new(Code::of_reset(code), format!("stream reset by the peer ({})", http2_error(code)))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.word())?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl std::error::Error for Status {}

/// Name of an HTTP/2 error code (RFC 9113 §7).
pub fn http2_error(code: u32) -> &'static str {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    usize::try_from(code).ok().and_then(|at| NAMES.get(at)).unwrap_or(&"unknown error")
}

/// The first field of that name.
pub fn find<'a>(fields: &'a [Header], name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|field| field.name == name).map(|field| field.value.as_slice())
}

/// Undoes the percent encoding of `grpc-message`; what is no valid escape stays as it is, as the protocol asks.
fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = tail;
                }
                _ => out.push(*byte),
            },
            _ => out.push(*byte),
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Text that cannot harm a terminal or a log: UTF-8, no control characters, at most 4 KiB.
pub fn printable(bytes: &[u8]) -> String {
    let mut out = String::new();
    for letter in String::from_utf8_lossy(bytes).chars() {
        let before = out.len();
        if hidden(letter) {
            out.extend(letter.escape_default())
        } else {
            out.push(letter)
        }
        if out.len() > MAX_MESSAGE {
            out.truncate(before);
            out.push('…');
            break;
        }
    }
    out
}

/// Control characters, and those that turn the direction of text (they make a log line read as another one).
fn hidden(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::mutate;

    fn fields(list: &[(&str, &str)]) -> Vec<Header> {
        list.iter().map(|(name, value)| Header::new(name, value.as_bytes())).collect()
    }

    #[test]
    fn codes_have_their_numbers_and_words() {
        for (number, (code, word)) in Code::ALL.iter().enumerate() {
            assert_eq!(Code::parse(number.to_string().as_bytes()), Some(*code));
            assert_eq!(code.word(), *word);
        }
        assert_eq!(Code::parse(b"16"), Some(Code::Unauthenticated));
        assert_eq!(Code::parse(b"5").unwrap().word(), "NOT_FOUND");
        assert_eq!(Code::parse(b"17"), Some(Code::Unknown));
        assert_eq!(Code::parse(b"4294967295"), Some(Code::Unknown));
        for bad in ["", "-1", "x", "5 ", " 5", "0x5", "4294967296", "é"] {
            assert_eq!(Code::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn trailers_carry_code_and_text() {
        let table = [
            (&[("grpc-status", "0")][..], Some(Status::new(Code::Ok, ""))),
            (&[("a", "b"), ("grpc-message", "x%20y"), ("grpc-status", "5")], Some(Status::new(Code::NotFound, "x y"))),
            (&[("grpc-status", "14"), ("grpc-status", "0")], Some(Status::new(Code::Unavailable, ""))),
            (&[("grpc-message", "x")], None),
            (&[("grpc-status", "no")], None),
            (&[], None),
        ];
        for (list, want) in table {
            assert_eq!(Status::from_trailers(&fields(list)), want);
        }
    }

    #[test]
    fn texts_are_decoded_but_never_dangerous() {
        let table: &[(&[u8], &str)] = &[
            (b"plain \"text\"", "plain \"text\""),
            (b"%C3%A4 %e2%82%ac", "ä €"),
            (b"100%", "100%"),
            (b"%zz %4 %", "%zz %4 %"),
            (b"%25!:(MISSING)", "%!:(MISSING)"),
            (b"%%41", "%A"),
            (b"a%0ab%00%1b[31m\x7f", "a\\nb\\u{0}\\u{1b}[31m\\u{7f}"),
            (b"%FF", "\u{fffd}"),
            (b"%e2%80%ae evil %C2%9B", "\\u{202e} evil \\u{9b}"),
            ("roh: ä".as_bytes(), "roh: ä"),
        ];
        for (raw, want) in table {
            assert_eq!(printable(&percent_decode(raw)), *want);
        }
    }

    #[test]
    fn texts_are_cut() {
        assert_eq!(printable(&[b'x'; 4096]), "x".repeat(4096));
        assert_eq!(printable(&[b'x'; 4097]), "x".repeat(4096) + "…");
        // Neither a letter nor an escape is cut in two.
        let euros = printable("€".repeat(2000).as_bytes());
        assert_eq!((euros.len(), euros.ends_with("€…")), (1365 * 3 + 3, true));
        assert!(printable(&[7; 4096]).ends_with("\\u{7}…"));
    }

    #[test]
    fn heads_that_are_no_grpc() {
        let table = [
            (&[(":status", "200"), ("content-type", "application/grpc")][..], None),
            (&[(":status", "200"), ("content-type", "application/grpc+proto")], None),
            (
                &[(":status", "200"), ("content-type", "text/html")],
                Some(Status::new(Code::Unknown, "content type 'text/html' is not gRPC")),
            ),
            (&[(":status", "200")], Some(Status::new(Code::Unknown, "content type 'none' is not gRPC"))),
            (&[(":status", "404")], Some(Status::new(Code::Unimplemented, "HTTP status 404"))),
            (&[(":status", "400")], Some(Status::new(Code::Internal, "HTTP status 400"))),
            (&[(":status", "503")], Some(Status::new(Code::Unavailable, "HTTP status 503"))),
            (&[(":status", "2\n")], Some(Status::new(Code::Unknown, "HTTP status 2\\n"))),
            (&[], Some(Status::new(Code::Unknown, "HTTP status none"))),
        ];
        for (list, want) in table {
            assert_eq!(Status::from_bad_head(&fields(list)), want);
        }
    }

    #[test]
    fn resets_mean_something() {
        for (code, want, word) in [
            (0, Code::Internal, "NO_ERROR"),
            (1, Code::Internal, "PROTOCOL_ERROR"),
            (7, Code::Unavailable, "REFUSED_STREAM"),
            (8, Code::Cancelled, "CANCEL"),
            (11, Code::ResourceExhausted, "ENHANCE_YOUR_CALM"),
            (13, Code::Internal, "HTTP_1_1_REQUIRED"),
            (14, Code::Internal, "unknown error"),
            (u32::MAX, Code::Internal, "unknown error"),
        ] {
            assert_eq!(Status::from_reset(code), Status::new(want, format!("stream reset by the peer ({word})")));
        }
    }

    #[test]
    fn any_text_is_made_printable() {
        let seeds = [b"%C3%A4 %e2%82%ac %zz %4".to_vec(), "ä\u{202e}\u{7}".repeat(700).into_bytes(), vec![]];
        mutate(&seeds, 5_000, |raw| {
            let text = printable(&percent_decode(raw));
            assert!(text.len() <= MAX_MESSAGE + '…'.len_utf8());
            assert!(!text.chars().any(hidden));
        });
    }
}
