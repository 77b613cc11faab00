//! Where a visitor was going when a proxy asked about them: the way from the gate to the waiting page, and back.
//!
//! What a proxy tells may have come from its client, so nothing here may lead a visitor to a host that nobody allowed:
//! a way back is a path on the waiting page's own host, or begins with one of `return_hosts`.

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderName};

use crate::config::Config;
use crate::ids::RoomName;

/// Longer addresses are no way back: they would not fit into a header beside others.
const LONGEST: usize = 1_024;

/// Where nginx says that the visitor was going: an address or a path.
const ORIGINAL: [HeaderName; 2] =
    [HeaderName::from_static("x-original-url"), HeaderName::from_static("x-original-uri")];
/// What Traefik, Caddy and others say of it: scheme, host and path.
const SCHEME: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PATH: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// The address of a room's waiting page, with the way back from there.
pub(super) fn waiting_page(config: &Config, room: &RoomName, headers: &HeaderMap) -> String {
    let page = format!("{}/wait/{room}", config.public_url);
    match way_back(config, headers) {
        Some(back) => format!("{page}?return={}", form_urlencoded::byte_serialize(back.as_bytes()).collect::<String>()),
        None => page,
    }
}

/// Where the visitor was going, where it may be told.
fn way_back(config: &Config, headers: &HeaderMap) -> Option<String> {
    let told = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let original = ORIGINAL.iter().map(told).find(|original| !original.is_empty()).unwrap_or_else(|| told(&PATH));
    let address = original.split_once("://").filter(|_| !original.starts_with('/'));
    let (scheme, host, path) = match address {
        Some((scheme, rest)) => {
            let at = rest.find('/').unwrap_or(rest.len());
            (scheme, &rest[..at], rest.get(at..).filter(|path| !path.is_empty()).unwrap_or("/"))
        }
        None => (
            told(&SCHEME),
            Some(told(&FORWARDED_HOST)).filter(|host| !host.is_empty()).unwrap_or(told(&HOST)),
            original,
        ),
    };
    if !is_path(path) {
        return None;
    }
    if config.return_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
        let scheme = if scheme == "http" { "http" } else { "https" };
        return Some(format!("{scheme}://{host}{path}"));
    }
    config.public_url.is_empty().then(|| path.to_owned())
}

/// A way back that a waiting page was asked for, where it may lead there: a path on its own host, or an allowed host.
pub(super) fn allowed_way_back(config: &Config, asked: &str) -> Option<String> {
    let other = asked.strip_prefix("https://").or_else(|| asked.strip_prefix("http://"));
    let (host, path) = other.map_or(("", asked), |rest| rest.split_at(rest.find('/').unwrap_or(rest.len())));
    let allowed = other.is_none() || config.return_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host));
    (allowed && is_path(path)).then(|| asked.to_owned())
}

/// Whether this can only be read as a path on the same host: browsers take `//` and `/\` for the beginning of another.
fn is_path(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && text.len() <= LONGEST && text.starts_with('/') && !text.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(config: &Config, headers: &[(&'static str, &str)]) -> String {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        waiting_page(config, &RoomName::parse("main").unwrap(), &headers.collect())
    }

    #[test]
    fn the_way_back_is_a_path_on_the_same_host() {
        let config = Config::default();
        assert_eq!(page(&config, &[]), "/wait/main");
        for name in ["x-original-url", "x-original-uri", "x-forwarded-uri"] {
            assert_eq!(page(&config, &[(name, "/shop?a=1&b=2")]), "/wait/main?return=%2Fshop%3Fa%3D1%26b%3D2");
            let other = page(&config, &[(name, "/shop?next=https://evil.example/x")]);
            assert_eq!(
                other, "/wait/main?return=%2Fshop%3Fnext%3Dhttps%3A%2F%2Fevil.example%2Fx",
                "a path, whatever is in it"
            );
        }
        let elsewhere = [("x-original-url", "https://evil.example/a"), ("x-forwarded-host", "evil.example")];
        assert_eq!(page(&config, &elsewhere), "/wait/main?return=%2Fa");
    }

    #[test]
    fn what_a_browser_might_take_for_another_host_is_no_way_back() {
        let long = format!("/{}", "a".repeat(LONGEST));
        for path in
            ["//evil.example", "/\\evil.example", "evil.example", "javascript:alert(1)", "/a b", "/\u{e9}", "*", &long]
        {
            assert_eq!(page(&Config::default(), &[("x-original-uri", path)]), "/wait/main", "{path}");
        }
        for url in ["https://shop.example//evil.example", "https:///evil.example/..//x\\"] {
            let config = Config { return_hosts: vec!["shop.example".into()], ..Config::default() };
            assert_eq!(page(&config, &[("x-original-url", url)]), "/wait/main", "{url}");
        }
    }

    #[test]
    fn a_waiting_page_leads_only_where_the_gate_would() {
        let config = Config { return_hosts: vec!["shop.example".into()], ..Config::default() };
        for good in ["/", "/shop?a=1#b", "https://shop.example/a", "http://SHOP.example/"] {
            assert_eq!(allowed_way_back(&config, good).as_deref(), Some(good));
        }
        for bad in [
            "",
            "shop",
            "//evil.example",
            "/\\evil",
            "javascript:alert(1)",
            "https://evil.example/",
            "https://shop.example",
        ] {
            assert_eq!(allowed_way_back(&config, bad), None, "{bad}");
        }
        for bad in
            ["https://shop.example@evil.example/", "https://shop.example.evil.example/", "/a\nb", "HTTPS://evil/"]
        {
            assert_eq!(allowed_way_back(&config, bad), None, "{bad}");
        }
    }

    #[test]
    fn another_host_is_led_back_to_only_where_it_is_allowed() {
        let config = Config {
            public_url: "https://queue.example".into(),
            return_hosts: vec!["shop.example".into(), "localhost:8081".into()],
            ..Config::default()
        };
        let forwarded = |host| [("x-forwarded-proto", "https"), ("x-forwarded-host", host), ("x-forwarded-uri", "/a")];
        let back = "https://queue.example/wait/main?return=https%3A%2F%2Fshop.example%2Fa";
        assert_eq!(page(&config, &forwarded("shop.example")), back);
        assert_eq!(page(&config, &[("x-original-url", "https://shop.example/a")]), back);
        assert_eq!(page(&config, &[("host", "shop.example"), ("x-original-uri", "/a")]), back);
        let local = page(&config, &[("x-original-url", "http://localhost:8081")]);
        assert_eq!(local, "https://queue.example/wait/main?return=http%3A%2F%2Flocalhost%3A8081%2F");
        for host in ["evil.example", "shop.example.evil.example", "shop.example@evil.example", "shop.example:81", ""] {
            assert_eq!(page(&config, &forwarded(host)), "https://queue.example/wait/main", "{host}");
        }
    }
}
