//! One connection: what it sends, watched for slowness and silence by one timer.
//!
//! hyper has a time-out for heads, but it runs while a connection idles between requests too, does not run before the
//! first byte, and costs a timer for each request. Here each step only notes the time, and one sleep per connection,
//! at most every ten seconds, looks at the notes.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::server::{HEAD_BYTES, Patience};
use crate::clock;

/// What is noted about a connection. Times are milliseconds of uptime, plus one, so that 0 means never. Only slow and
/// silent connections have times noted: what goes on at once costs no look at the clock.
pub(super) struct Notes {
    under_way: AtomicU32,
    multiplexed: AtomicBool,
    /// Bytes of a head came that is not complete yet.
    arriving: AtomicBool,
    /// When the head that is arriving began to be awaited or to arrive.
    head_since: AtomicU64,
    /// Something was written since the last look.
    wrote: AtomicBool,
    /// The last look after something had been written.
    moved: AtomicU64,
    /// When the client stopped reading what is being written.
    blocked_since: AtomicU64,
    /// The bytes of the head that is arriving.
    head: Mutex<Vec<u8>>,
}

impl Notes {
    pub(super) fn new() -> Self {
        let now = now();
        Self {
            under_way: AtomicU32::new(0),
            multiplexed: AtomicBool::new(false),
            arriving: AtomicBool::new(false),
            head_since: AtomicU64::new(now),
            wrote: AtomicBool::new(false),
            moved: AtomicU64::new(now),
            blocked_since: AtomicU64::new(0),
            head: Mutex::default(),
        }
    }

    /// How long the connection may go on before it is looked at again; none when its time is up.
    pub(super) fn patience(&self, allowed: &Patience) -> Option<Duration> {
        let now = now();
        if self.wrote.swap(false, Relaxed) {
            self.moved.store(now, Relaxed);
        }
        let left = |since: u64, most: Duration| (since + clock::millis(most)).checked_sub(now).filter(|ms| *ms > 0);
        let mut patience = clock::millis(allowed.head);
        let blocked = self.blocked_since.load(Relaxed);
        if blocked > 0 {
            patience = patience.min(left(blocked, allowed.blocked)?);
        }
        if self.under_way.load(Relaxed) == 0 {
            patience = patience.min(left(self.moved.load(Relaxed), allowed.idle)?);
            let head = self.head_since.load(Relaxed);
            if head > 0 {
                patience = patience.min(left(head, allowed.head)?);
            }
        }
        Some(Duration::from_millis(patience))
    }

    /// Notes that a head is complete. Of a chunked request, tells whether a length was given beside it, which hyper
    /// takes away unseen.
    pub(super) fn begin(&self, multiplexed: bool, chunked: bool) -> bool {
        self.under_way.fetch_add(1, Relaxed);
        self.arriving.store(false, Relaxed);
        self.head_since.store(0, Relaxed);
        if multiplexed {
            self.multiplexed.store(true, Relaxed);
        }
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let both = chunked && names_length(&head);
        head.clear();
        both
    }

    /// Notes that a request was answered, or given up.
    pub(super) fn end(&self) {
        self.under_way.fetch_sub(1, Relaxed);
        self.wrote.store(true, Relaxed);
    }

    /// Notes that the connection waits for more. A head that has begun by now came in more than one piece.
    pub(super) fn pause(&self) {
        if self.arriving.load(Relaxed) && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(now(), Relaxed);
        }
    }

    fn heard(&self, bytes: &[u8]) {
        if bytes.is_empty() || self.under_way.load(Relaxed) > 0 || self.multiplexed.load(Relaxed) {
            return;
        }
        self.arriving.store(true, Relaxed);
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let room = HEAD_BYTES.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn wrote(&self, outcome: &Poll<io::Result<usize>>) {
        match outcome {
            Poll::Ready(_) => {
                self.wrote.store(true, Relaxed);
                self.blocked_since.store(0, Relaxed);
            }
            Poll::Pending if self.blocked_since.load(Relaxed) == 0 => self.blocked_since.store(now(), Relaxed),
            Poll::Pending => {}
        }
    }
}

fn now() -> u64 {
    clock::uptime_ms() + 1
}

/// Whether one of a head's lines is a `Content-Length`.
fn names_length(head: &[u8]) -> bool {
    let name = b"content-length:";
    let mut lines = head.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty() && *line != b"\r");
    lines.any(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

/// A socket that notes what it does.
pub(super) struct Noted {
    pub(super) stream: TcpStream,
    pub(super) notes: Arc<Notes>,
}

impl AsyncRead for Noted {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(context, buffer);
        this.notes.heard(&buffer.filled()[before..]);
        outcome
    }
}

impl AsyncWrite for Noted {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.notes.wrote(&outcome);
        outcome
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.notes.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
