//! Large bodies, sent piece by piece.
//!
//! What is written to an HTTP/1 connection is copied behind its head, into a buffer that grows to what it once held and
//! lives as long as the connection. In pieces, a list of a hundred kilobytes leaves no more behind than a short answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::server::HEAD_BYTES;

/// The largest piece: as much as is buffered at most before it is written.
const PIECE: usize = HEAD_BYTES;

/// A body of these bytes.
pub(super) fn body(bytes: Bytes) -> Body {
    if bytes.len() <= PIECE { Body::from(bytes) } else { Body::new(Pieces(bytes)) }
}

/// What is left to send.
struct Pieces(Bytes);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.len().min(PIECE);
        Poll::Ready((next > 0).then(|| Ok(Frame::data(self.0.split_to(next)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.0.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use axum::body::HttpBody;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_large_body_comes_whole_in_small_pieces_and_its_length_is_known() {
        let bytes: Bytes = (0..100_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let mut body = pin!(body(bytes.clone()));
        assert_eq!(body.size_hint().exact(), Some(100_000));
        let mut come = Vec::new();
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(!piece.is_empty() && piece.len() <= PIECE, "{}", piece.len());
            come.extend_from_slice(&piece);
        }
        assert!(come == bytes);
        assert!(body.is_end_stream());
    }
}
