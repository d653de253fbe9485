//! The static table (RFC 7541 appendix A).

/// Field number `index` (1 to 61); there is nothing behind it because we have no dynamic table.
pub(super) fn field(index: usize) -> Option<(&'static str, &'static str)> {
    let line = STATIC.lines().nth(index.checked_sub(1)?)?;
    Some(line.split_once(' ').unwrap_or((line, "")))
}

/// Name and value of each, one a line: a table of texts would hold four words for every line.
const STATIC: &str = "\
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_landmarks_are_where_the_rfc_has_them() {
        for (index, want) in [
            (0, None),
            (1, Some((":authority", ""))),
            (8, Some((":status", "200"))),
            (14, Some((":status", "500"))),
            (16, Some(("accept-encoding", "gzip, deflate"))),
            (31, Some(("content-type", ""))),
            (54, Some(("server", ""))),
            (61, Some(("www-authenticate", ""))),
            (62, None),
            (usize::MAX, None),
        ] {
            assert_eq!(field(index), want, "{index}");
        }
    }
}
