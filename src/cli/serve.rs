//! `anteroom serve`: the service, on the Redis and Postgres that the configuration names.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{STARTING, descriptors};
use crate::app::App;
use crate::config::{Config, LogFormat};
use crate::error::Fault;
use crate::http::server::{self, Limits};
use crate::{clock, http, jobs};

/// A service that answers, until it is stopped.
pub struct Service {
    /// Where visitors are served.
    pub address: SocketAddr,
    /// Where operators are served.
    pub admin_address: SocketAddr,
    /// Every room.
    pub app: Arc<App>,
    ended: tokio::task::JoinHandle<()>,
}

impl Service {
    /// Starts the service. When this returns it answers.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        config.check_for_serving()?;
        let key_file = config.token_key_file.clone().unwrap_or_default();
        let key = tokio::fs::read(&key_file).await;
        let key = key.with_context(|| format!("token_key_file: cannot read {}", key_file.display()))?;
        if let Some(too_few) = descriptors::raise(descriptors::needed(&config)) {
            tracing::warn!("{too_few}");
        }
        http::metrics::recorder();
        let (listen, admin_listen) = (config.listen, config.admin_listen);
        let limits = Limits::from(&config);
        let app = App::build(config, &key).context("cannot start")?;
        patiently(async || app.db.migrate().await).await.context("cannot bring the tables up to date")?;
        patiently(async || app.open().await).await.context("cannot set the rooms up")?;

        let listener = server::listen(listen).with_context(|| format!("cannot listen on {listen}"))?;
        let admin_listener =
            server::listen(admin_listen).with_context(|| format!("cannot listen on {admin_listen}"))?;
        let (address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);
        let jobs_stop = CancellationToken::new();
        let jobs = jobs::start(&app, &jobs_stop).await.context("cannot start the scheduler")?;
        let public = server::serve(listener, http::public(&app), limits, app.stopping.clone());
        let admin = server::serve(admin_listener, http::admin(&app), limits, app.stopping.clone());
        let ending = Arc::clone(&app);
        let ended = tokio::spawn(async move {
            tokio::join!(public, admin);
            jobs_stop.cancel();
            jobs.wait().await;
            ending.close().await;
        });
        Ok(Self { address, admin_address, app, ended })
    }

    /// Stops: no new connections, requests under way end, what was accepted is finished.
    pub async fn stop(self) {
        self.app.stopping.cancel();
        if let Err(error) = self.ended.await {
            tracing::error!(%error, "the service ended in disorder");
        }
    }
}

/// Repeats a step of the start while Postgres is busy. Requests are refused after a quarter of a second without a
/// connection; a start on a loaded machine, where every connection has yet to be made, is not.
async fn patiently(step: impl AsyncFn() -> Result<(), Fault>) -> Result<(), Fault> {
    let began = clock::now();
    loop {
        match step().await {
            Err(Fault::Overload(_)) if began.elapsed() < STARTING => {}
            done => return done,
        }
    }
}

/// Serves until it is told to stop.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let service = Service::start(config).await?;
    tracing::info!(url = %format!("http://{}", service.address), "serving visitors");
    tracing::info!(url = %format!("http://{}", service.admin_address), "serving operators");
    told_to_stop().await?;
    tracing::info!("stopping: no new connections; what is under way is finished");
    service.stop().await;
    Ok(())
}

/// Returns at SIGTERM or Ctrl-C.
pub async fn told_to_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Starts logging as configured.
pub fn start_logging(config: &Config) -> anyhow::Result<()> {
    use tracing_subscriber::EnvFilter;
    // The scheduler's own steps are no news, unless someone asks for them.
    let Ok(filter) = EnvFilter::try_new(format!("tokio_cron_scheduler=warn,{}", config.log)) else {
        bail!("log is not a filter such as info or info,anteroom=debug: {:?}", config.log)
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Text => builder.with_target(false).with_ansi(shows_colours()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|e| anyhow::anyhow!("logging: {e}"))
}

/// Colours are for people's eyes: in a file or a journal they are noise (and see <https://no-color.org>).
fn shows_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|unwanted| unwanted.is_empty())
}
