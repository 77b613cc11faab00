//! A way to Postgres that can be made slow, or stand still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// A way to Postgres on which a connection takes as long as it is told, and on which all stands still while it is
/// frozen.
pub(crate) struct Road {
    pub(crate) url: String,
    delay_ms: Arc<AtomicU64>,
    frozen: watch::Sender<bool>,
}

impl Road {
    pub(crate) async fn to(url: &str) -> Self {
        let (rest, database) = url.rsplit_once('/').unwrap();
        let (credentials, server) = rest.rsplit_once('@').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{credentials}@{}/{database}", listener.local_addr().unwrap());
        let (server, delay_ms) = (server.to_owned(), Arc::new(AtomicU64::new(0)));
        let delay = Arc::clone(&delay_ms);
        let (frozen, freezing) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, freezing) = (server.clone(), freezing.clone());
                let delay = Duration::from_millis(delay.load(Ordering::Relaxed));
                tokio::spawn(async move {
                    sleep(delay).await;
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = TcpStream::connect(server).await.unwrap().into_split();
                    let there = carry(from_client, to_server, freezing.clone());
                    tokio::join!(there, carry(from_server, to_client, freezing));
                });
            }
        });
        Self { url, delay_ms, frozen }
    }

    /// How long a connection takes from now on.
    pub(crate) fn delay(&self, by: Duration) {
        self.delay_ms.store(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// From now on nothing arrives, and nobody is told.
    pub(crate) fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// What was said meanwhile arrives.
    pub(crate) fn thaw(&self) {
        self.frozen.send_replace(false);
    }
}

/// Carries what one side says to the other; the end of it, too.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut frozen: watch::Receiver<bool>) {
    let mut part = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut part).await {
        let thawed = frozen.wait_for(|frozen| !frozen).await.is_ok();
        if !thawed || to.write_all(&part[..length]).await.is_err() {
            return;
        }
    }
}
