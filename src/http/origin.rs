//! Whether a request that a browser sent by itself, with its cookie, was meant by the page of ours that it shows.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method};

use super::problem::{Code, Problem};
use crate::config::Config;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what another site made a browser send. Browsers say where a request comes from and pages cannot change what
/// they say (Fetch Metadata; older ones send `Origin`), so forms need no secret of their own. What says neither is no
/// browser, and has no cookie by accident.
pub(super) fn meant(config: &Config, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if method.is_safe() || ours(config, headers) { Ok(()) } else { Err(Problem::new(Code::CrossOrigin)) }
}

fn ours(config: &Config, headers: &HeaderMap) -> bool {
    let told = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (told(&FETCH_SITE), told(&ORIGIN)) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            origin == config.public_url || (host.is_some() && host == told(&HOST))
        }
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, headers: &[(HeaderName, &str)]) -> bool {
        let config = Config { public_url: "https://queue.example".into(), ..Config::default() };
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        meant(&config, method, &headers).is_err()
    }

    #[test]
    fn only_a_page_of_this_origin_may_change_something() {
        for (headers, other) in [
            (&[][..], false),
            (&[(FETCH_SITE, "same-origin")], false),
            (&[(FETCH_SITE, "none")], false),
            (&[(FETCH_SITE, "same-site")], true),
            (&[(FETCH_SITE, "cross-site")], true),
            (&[(FETCH_SITE, "cross-site"), (ORIGIN, "https://queue.example")], true),
            (&[(ORIGIN, "http://127.0.0.1:8080"), (HOST, "127.0.0.1:8080")], false),
            (&[(ORIGIN, "https://queue.example"), (HOST, "10.0.0.1")], false),
            (&[(ORIGIN, "https://evil.example"), (HOST, "queue.example")], true),
            (&[(ORIGIN, "null"), (HOST, "queue.example")], true),
        ] {
            assert_eq!(refused(&Method::POST, headers), other, "{headers:?}");
            assert!(!refused(&Method::GET, headers), "{headers:?}");
        }
    }
}
