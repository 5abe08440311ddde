//! The request of an `http` check.

use std::net::IpAddr;

use crate::config::HttpCheck;

/// Why a request cannot be sent. The configuration's own validation finds these first; this is the last fence
/// against a second request smuggled into the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not a token as HTTP defines it (RFC 9110, 5.6.2).
    #[error("bad method in the configuration")]
    Method,
    /// Empty, or with a blank or control byte.
    #[error("bad path in the configuration")]
    Path,
    /// The value of `host`, with a control byte.
    #[error("bad host in the configuration")]
    Host,
    /// A header whose name is no token, or whose value has a control byte.
    #[error("bad header in the configuration")]
    Header,
}

/// The bytes of the request to `address`:`port`.
///
/// `Host` is the check's `host`, else a header of that name, else the address (in brackets for IPv6) with the port
/// where it is not 80 (443 with TLS). `User-Agent: maglev` and `Connection: close` give way to headers of the same name. A method
/// that usually carries a body (POST, PUT, PATCH) announces an empty one.
///
/// # Errors
/// See [`RequestError`].
pub fn build(check: &HttpCheck, address: IpAddr, port: u16) -> Result<Vec<u8>, RequestError> {
    if !is_token(&check.method) {
        return Err(RequestError::Method);
    }
    if check.path.is_empty() || check.path.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(RequestError::Path);
    }
    let given = |name: &str| check.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));

    let mut out = Vec::with_capacity(192);
    for part in [check.method.as_str(), " ", &check.path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    match &check.host {
        Some(host) if host.bytes().any(is_control) => return Err(RequestError::Host),
        Some(host) => header(&mut out, "Host", host),
        None if given("host") => {}
        None => {
            header(&mut out, "Host", &authority(address, port, if check.tls.is_some() { 443 } else { 80 }))
        }
    }
    if !given("user-agent") {
        header(&mut out, "User-Agent", "maglev");
    }
    if !given("connection") {
        header(&mut out, "Connection", "close");
    }
    let announces_body = matches!(check.method.as_str(), "POST" | "PUT" | "PATCH");
    if announces_body && !given("content-length") && !given("transfer-encoding") {
        header(&mut out, "Content-Length", "0");
    }
    for (name, value) in &check.headers {
        if !is_token(name) || value.bytes().any(|b| is_control(b) && b != b'\t') {
            return Err(RequestError::Header);
        }
        if !(check.host.is_some() && name.eq_ignore_ascii_case("host")) {
            header(&mut out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

fn header(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn authority(address: IpAddr, port: u16, usual: u16) -> String {
    match (address, port) {
        (IpAddr::V4(a), p) if p == usual => a.to_string(),
        (IpAddr::V4(a), p) => format!("{a}:{p}"),
        (IpAddr::V6(a), p) if p == usual => format!("[{a}]"),
        (IpAddr::V6(a), p) => format!("[{a}]:{p}"),
    }
}

fn is_control(b: u8) -> bool {
    b < 0x20 || b == 0x7f
}

fn is_token(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(check: &HttpCheck, to: &str, port: u16) -> String {
        String::from_utf8(build(check, to.parse().unwrap(), port).unwrap()).unwrap()
    }

    #[test]
    fn defaults() {
        assert_eq!(
            text(&HttpCheck::default(), "192.0.2.1", 80),
            "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: maglev\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn host_has_the_port_unless_80_and_brackets_for_ipv6() {
        for (to, port, host) in [
            ("192.0.2.1", 8080, "192.0.2.1:8080"),
            ("2001:db8::1", 80, "[2001:db8::1]"),
            ("2001:db8::1", 8080, "[2001:db8::1]:8080"),
        ] {
            let t = text(&HttpCheck::default(), to, port);
            assert!(t.contains(&format!("\r\nHost: {host}\r\n")), "{t}");
        }
    }

    #[test]
    fn host_beats_a_header_host_and_that_beats_the_default() {
        let headers = vec![("hOsT".to_string(), "from-header".to_string())];
        let t = text(&HttpCheck { headers: headers.clone(), ..Default::default() }, "192.0.2.1", 80);
        assert_eq!(t.to_lowercase().matches("host:").count(), 1);
        assert!(t.contains("hOsT: from-header\r\n"));
        let t = text(
            &HttpCheck { headers, host: Some("a.example".into()), ..Default::default() },
            "192.0.2.1",
            80,
        );
        assert_eq!(t.to_lowercase().matches("host:").count(), 1);
        assert!(t.contains("Host: a.example\r\n"));
    }

    #[test]
    fn headers_keep_their_order_and_replace_the_defaults() {
        let headers = [("X-B", "1"), ("User-Agent", "u"), ("X-A", "2"), ("Connection", "keep-alive")];
        let headers = headers.map(|(n, v)| (n.to_string(), v.to_string())).to_vec();
        let t = text(&HttpCheck { headers, ..Default::default() }, "192.0.2.1", 80);
        assert!(t.ends_with("X-B: 1\r\nUser-Agent: u\r\nX-A: 2\r\nConnection: keep-alive\r\n\r\n"), "{t}");
        assert!(!t.contains("maglev") && !t.contains("close"));
    }

    #[test]
    fn a_method_with_a_body_announces_an_empty_one() {
        let t = text(&HttpCheck { method: "POST".into(), ..Default::default() }, "192.0.2.1", 80);
        assert!(t.contains("\r\nContent-Length: 0\r\n"));
        let t = text(&HttpCheck { method: "HEAD".into(), ..Default::default() }, "192.0.2.1", 80);
        assert!(!t.contains("Content-Length"));
    }

    #[test]
    fn nothing_can_smuggle_a_second_request() {
        let with = |f: fn(&mut HttpCheck)| {
            let mut c = HttpCheck::default();
            f(&mut c);
            build(&c, "192.0.2.1".parse().unwrap(), 80)
        };
        assert_eq!(with(|c| c.path = "/ HTTP/1.1\r\n\r\nGET /x".into()), Err(RequestError::Path));
        assert_eq!(with(|c| c.path = String::new()), Err(RequestError::Path));
        assert_eq!(with(|c| c.method = "GET /\r\n".into()), Err(RequestError::Method));
        assert_eq!(with(|c| c.host = Some("a\r\nb".into())), Err(RequestError::Host));
        assert_eq!(with(|c| c.headers = vec![("a".into(), "b\r\nc: d".into())]), Err(RequestError::Header));
        assert_eq!(with(|c| c.headers = vec![("a b".into(), "c".into())]), Err(RequestError::Header));
    }
}
