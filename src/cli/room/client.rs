//! A client of the operators' listener, which speaks plain HTTP on a private network: one connection for each request.

use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, IF_MATCH};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The operators' listener, and the token for it.
pub(super) struct Client {
    authority: String,
    token: SecretString,
}

/// An answer that is no refusal.
#[derive(Debug)]
pub(super) struct Answer {
    /// Null where it has no body.
    pub(super) body: Value,
}

impl Client {
    pub(super) fn new(url: &str, token: &SecretString) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is not an address"))?;
        if uri.scheme_str() != Some("http") {
            bail!("{url} must begin with http:// — reach a listener behind TLS through a tunnel of your own");
        }
        let authority = uri.authority().with_context(|| format!("{url} names no host"))?;
        let authority = if authority.port().is_some() { authority.to_string() } else { format!("{authority}:80") };
        Ok(Self { authority, token: SecretString::from(token.expose_secret().trim()) })
    }

    /// Asks, and gives the answer; what is refused becomes an error that says why.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        version: Option<i64>,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let asked = timeout(PATIENCE, self.send(method, path, version, body)).await;
        let (status, bytes) = asked.with_context(|| format!("{} did not answer in time", self.authority))??;
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or_default() };
        if status.is_success() {
            return Ok(Answer { body });
        }
        if status == StatusCode::PRECONDITION_FAILED {
            bail!(
                "someone changed the room meanwhile: it is at version {} now. Look at it, and try again.",
                body["current"]["version"]
            );
        }
        match (body["detail"].as_str(), body["code"].as_str()) {
            (Some(detail), Some(code)) => bail!("{detail} ({code})"),
            _ => bail!("{} answered {status}", self.authority),
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        version: Option<i64>,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = TcpStream::connect(&self.authority).await;
        let stream = stream.with_context(|| format!("cannot reach the operators' listener at {}", self.authority))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, format!("Bearer {}", self.token.expose_secret()));
        if let Some(version) = version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        let bytes = body.map(serde_json::to_vec).transpose()?;
        if bytes.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let answer = sender.send_request(request.body(Full::new(Bytes::from(bytes.unwrap_or_default())))?).await?;
        let status = answer.status();
        let told = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok((status, told))
    }
}

/// A text as one part of a path or a query.
pub(super) fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
