//! A way to Postgres that can be cut when a batch is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next batch. Its sender never hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Cut {
    /// It gets no answer, for it never arrives.
    Lost = 1,
    /// It arrives, but the answer does not.
    Unanswered = 2,
    /// It arrives, and its sender is gone before it is done.
    Left = 3,
}

/// What each operation of a batch says.
const BATCH: &[u8] = b"\"kind\":";

pub(super) struct Proxy {
    pub(super) url: String,
    armed: Arc<AtomicU8>,
}

impl Proxy {
    pub(super) async fn before(url: &str) -> Self {
        let (rest, database) = url.rsplit_once('/').unwrap();
        let (credentials, server) = rest.rsplit_once('@').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{credentials}@{}/{database}", listener.local_addr().unwrap());
        let (server, armed) = (server.to_owned(), Arc::new(AtomicU8::new(0)));
        let armed_too = Arc::clone(&armed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&armed_too)));
            }
        });
        Self { url, armed }
    }

    pub(super) fn arm(&self, cut: Cut) {
        self.armed.store(cut as u8, Ordering::SeqCst);
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, armed: Arc<AtomicU8>) {
    let (mut sent, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            Ok(n) = client.read(&mut sent) => {
                let batch = sent[..n].windows(BATCH.len()).any(|part| part == BATCH);
                let cut = if batch { armed.swap(0, Ordering::SeqCst) } else { 0 };
                if n == 0 || cut == Cut::Lost as u8 {
                    return;
                }
                server.write_all(&sent[..n]).await.unwrap();
                if cut == Cut::Left as u8 {
                    drop(client);
                    let _ = server.read(&mut answered).await;
                    return;
                }
                if cut == Cut::Unanswered as u8 {
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            Ok(n) = server.read(&mut answered) => {
                if n == 0 || client.write_all(&answered[..n]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}
