//! What handlers take from a request, parsed once; what cannot be is answered with a problem.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::body::invalid;
pub use super::body::{Json, MaybeJson};
use super::problem::{Code, Problem};
use crate::ids::{ReservationId, RoomName, ScheduleId, UserId};

/// The cookie in which a browser carries its token.
pub const TOKEN_COOKIE: &str = "anteroom_token";

/// The other end of the connection, as the server saw it: an extension of every request it serves.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddr(pub SocketAddr);

/// The parameters after the question mark.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs))
            .map(Self)
            .map_err(|error| invalid(&error.path().to_string(), &error.inner().to_string()))
    }
}

/// A name that may stand in a path, and what is said when nothing has that name.
pub trait PathName: Sized {
    /// Reads the name. What cannot be a name of this kind is answered like one that nothing has.
    fn read(text: &str) -> Result<Self, Code>;
}

macro_rules! path_names {
    ($($name:ident $unknown:ident,)*) => {
        $(impl PathName for $name {
            fn read(text: &str) -> Result<Self, Code> {
                text.parse().map_err(|_| Code::$unknown)
            }
        })*
    };
}

path_names! {
    RoomName UnknownRoom,
    ScheduleId UnknownSchedule,
    ReservationId UnknownReservation,
    UserId UnknownPlace,
}

/// What stands in a path, whatever it is: for a name that the request makes, so that a bad one can be said to be bad.
#[derive(Debug)]
pub struct Raw(pub String);

impl PathName for Raw {
    fn read(text: &str) -> Result<Self, Code> {
        Ok(Self(text.to_owned()))
    }
}

/// The names of a path, in its order: one name, or two as a tuple.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// What [`Path`] can be made of.
pub trait PathNames: Sized {
    /// Reads all names of a path.
    fn read_all<'a>(values: impl Iterator<Item = &'a str>) -> Result<Self, Code>;
}

impl<A: PathName> PathNames for A {
    fn read_all<'a>(mut values: impl Iterator<Item = &'a str>) -> Result<Self, Code> {
        A::read(values.next().unwrap_or_default())
    }
}

impl<A: PathName, B: PathName> PathNames for (A, B) {
    fn read_all<'a>(mut values: impl Iterator<Item = &'a str>) -> Result<Self, Code> {
        Ok((A::read(values.next().unwrap_or_default())?, B::read(values.next().unwrap_or_default())?))
    }
}

impl<T: PathNames, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named = RawPathParams::from_request_parts(parts, state).await;
        let named = named.map_err(|_| Problem::new(Code::NotFound))?;
        T::read_all(named.iter().map(|(_, value)| value)).map(Self).map_err(Problem::new)
    }
}

/// The caller's `Idempotency-Key`, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let refusal =
            || Problem::invalid("Idempotency-Key", "must be given once, with 1 to 255 visible ASCII characters");
        let mut given = parts.headers.get_all("idempotency-key").iter();
        let Some(key) = given.next() else {
            return Ok(Self(None));
        };
        let fits = (1..=255).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
        match key.to_str() {
            Ok(key) if fits && given.next().is_none() => Ok(Self(Some(key.to_owned()))),
            _ => Err(refusal()),
        }
    }
}

/// The proxies whose word about the client is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpAddr]>);

impl From<&[IpAddr]> for TrustedProxies {
    fn from(proxies: &[IpAddr]) -> Self {
        Self(proxies.iter().map(IpAddr::to_canonical).collect())
    }
}

/// The address of the client: the peer, or what trusted proxies say who is behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddr
where
    TrustedProxies: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let PeerAddr(peer) = parts
            .extensions
            .get()
            .ok_or_else(|| Problem::new(Code::InternalError).cause("the request came without its peer's address"))?;
        let TrustedProxies(trusted) = TrustedProxies::from_ref(state);
        Ok(Self(client(peer.ip().to_canonical(), &parts.headers, &trusted)))
    }
}

/// Walks back from the peer through the hops that trusted proxies added, to the first that is not one of them. What
/// stands left of it is only what a client claims.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let hops: Vec<&str> =
        if trusted.contains(&peer) { lines.flat_map(|line| line.split(',')).collect() } else { vec![] };
    let mut client = peer;
    for hop in hops.into_iter().rev().map_while(hop) {
        client = hop;
        if !trusted.contains(&hop) {
            break;
        }
    }
    client
}

/// One hop of `X-Forwarded-For`: an address, with or without a port.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// The token that a request carries: in `Authorization: Bearer`, else in the cookie.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers).or_else(|| cookie(headers))
}

/// The token in `Authorization: Bearer` alone.
pub fn authorization(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token in the cookie alone.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == TOKEN_COOKIE).map(|(_, token)| token)
}
