//! A way to Postgres that can be cut at a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What happens to the next commit. Its sender never hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Cut {
    /// It gets no answer, for it never arrives.
    Lost = 1,
    /// It arrives, but the answer does not.
    Unanswered = 2,
    /// It arrives when [`Proxy::deliver`] is called, long after its sender has gone.
    Late = 3,
}

/// `commit` as a simple query of Postgres' protocol.
const COMMIT: &[u8] = b"Q\0\0\0\x0bcommit\0";

pub(super) struct Proxy {
    pub(super) url: String,
    armed: Arc<AtomicU8>,
    late: Arc<Notify>,
}

impl Proxy {
    pub(super) async fn before(url: &str) -> Self {
        let (rest, database) = url.rsplit_once('/').unwrap();
        let (credentials, server) = rest.rsplit_once('@').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{credentials}@{}/{database}", listener.local_addr().unwrap());
        let (armed, late) = (Arc::new(AtomicU8::new(0)), Arc::new(Notify::new()));
        let (server, armed_too, late_too) = (server.to_owned(), Arc::clone(&armed), Arc::clone(&late));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&armed_too), Arc::clone(&late_too)));
            }
        });
        Self { url, armed, late }
    }

    pub(super) fn arm(&self, cut: Cut) {
        self.armed.store(cut as u8, Ordering::SeqCst);
    }

    pub(super) fn deliver(&self) {
        self.late.notify_one();
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, armed: Arc<AtomicU8>, late: Arc<Notify>) {
    let (mut sent, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            Ok(n) = client.read(&mut sent) => {
                let cut = if sent[..n].ends_with(COMMIT) { armed.swap(0, Ordering::SeqCst) } else { 0 };
                if n == 0 || cut == Cut::Lost as u8 {
                    return;
                }
                if cut == Cut::Late as u8 {
                    drop(client);
                    late.notified().await;
                    server.write_all(&sent[..n]).await.unwrap();
                    let _ = server.read(&mut answered).await;
                    return;
                }
                server.write_all(&sent[..n]).await.unwrap();
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
