//! Accounts and tokens.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::caller::{Shared, device, language};
use super::idempotency::once;
use super::problem::{Code, Problem};
use super::request::{ClientAddr, IdempotencyKey, Json};
use crate::accounts::{self, NewPassword, Password};
use crate::booking::Key;
use crate::ids::{RoomName, UserId};
use crate::login::{self, Credentials};
use crate::queue::Place;
use crate::refusals;

/// A new account.
#[derive(Deserialize, ToSchema)]
pub(super) struct SignUp {
    /// 1 to 64 letters, digits and `. _ @ + -`.
    username: UserId,
    /// 8 to 256 bytes.
    #[serde(deserialize_with = "new_password")]
    #[schema(value_type = String, format = "password")]
    password: NewPassword,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignedUp {
    user_id: UserId,
}

refusals!(SignUpRefusals: UsernameTaken, SignupClosed, ValidationFailed, MalformedBody, RateLimited,
    IdempotencyKeyReused, IdempotencyKeyInFlight);

/// Makes an account.
#[utoipa::path(
    post, path = "/auth/users", tag = "accounts", request_body = SignUp,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 201, body = SignedUp), SignUpRefusals)
)]
pub(super) async fn sign_up(
    State(app): State<Shared>,
    ClientAddr(address): ClientAddr,
    IdempotencyKey(key): IdempotencyKey,
    Json { value, body_hash }: Json<SignUp>,
) -> Result<Response, Problem> {
    // The body has a password in it: what is kept of it must not tell it to who reads Redis.
    let body_hash = app.seal.close(body_hash);
    let key = key.map(|key| Key::of_address(address, "sign-up", &key, &body_hash));
    once(app, key, move |app| async move {
        accounts::sign_up(&app.accounts, &value.username, &value.password, address).await?;
        Ok((StatusCode::CREATED, axum::Json(SignedUp { user_id: value.username })).into_response())
    })
    .await
}

/// Who wants a place, and where.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenRequest {
    username: UserId,
    #[serde(deserialize_with = "password")]
    #[schema(value_type = String, format = "password")]
    password: Password,
    /// The room; without it, the service's default.
    room: Option<String>,
}

/// A place, and the token that opens it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entered {
    #[serde(flatten)]
    place: Place,
    /// Always `Bearer`.
    token_type: &'static str,
    /// How long the token is valid, in seconds.
    expires_in: u64,
}

refusals!(TokenRefusals: BadCredentials, UnknownRoom, RoomClosed, ValidationFailed, MalformedBody, RateLimited,
    QueueFull);

/// Takes a place. Asking again keeps the same place.
///
/// Who says that it is a phone, by `Sec-CH-UA-Mobile: ?1` or with `Mobi` in `User-Agent`, keeps the place of an absent one for the
/// room's `phoneGraceSeconds` instead of its `graceSeconds`: a browser in a pocket does not ask.
#[utoipa::path(
    post, path = "/auth/token", tag = "accounts", request_body = TokenRequest,
    responses((status = 200, body = Entered), TokenRefusals)
)]
pub(super) async fn token(
    State(app): State<Shared>,
    ClientAddr(address): ClientAddr,
    headers: HeaderMap,
    Json { value, .. }: Json<TokenRequest>,
) -> Result<Response, Problem> {
    let unknown = || Problem::new(Code::UnknownRoom);
    let name = value.room.map_or(Ok(app.default_room.clone()), |room| RoomName::parse(&room)).map_err(|_| unknown())?;
    let room = app.queue.room(&name).ok_or_else(unknown)?;
    let device = device(&headers);
    let credentials = Credentials { user: value.username, password: value.password, address, device };
    let mut place = login::log_in(&app.login, &room, credentials).await?;
    place.message = room.view().message_in(language(&headers));
    Ok(axum::Json(Entered { place, token_type: "Bearer", expires_in: app.config.token_seconds }).into_response())
}

fn password<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Password, D::Error> {
    Password::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn new_password<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NewPassword, D::Error> {
    NewPassword::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
