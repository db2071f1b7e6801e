//! A way to PostgreSQL that can be cut, or frozen.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use keyfob_store::{Options, Store};
use postgres::config::Host;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

use crate::bench::Bench;

/// What becomes of the next commit on its way to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Cut {
    Nowhere,
    /// It never arrives.
    Before,
    /// It is done, but its answer never arrives.
    After,
}

/// What the wire is to do, set by the test and reset by the wire when it is done.
#[derive(Clone)]
pub(crate) struct Scissors {
    cut: Arc<AtomicU32>,
    /// Whether nothing moves on the wire, and nothing breaks either.
    frozen: watch::Sender<bool>,
}

impl Default for Scissors {
    fn default() -> Self {
        Self { cut: Arc::default(), frozen: watch::Sender::new(false) }
    }
}

impl Scissors {
    pub(crate) fn set(&self, cut: Cut) {
        self.cut.store(cut as u32, Ordering::SeqCst);
    }

    pub(crate) fn take(&self) -> Cut {
        match self.cut.swap(Cut::Nowhere as u32, Ordering::SeqCst) {
            1 => Cut::Before,
            2 => Cut::After,
            _ => Cut::Nowhere,
        }
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Waits for as long as the wire is frozen.
    async fn thaw(&self) {
        self.frozen.subscribe().wait_for(|frozen| !frozen).await.unwrap();
    }
}

/// Passes bytes on until one side ends or a commit is to be cut.
async fn pass<S>(mut client: TcpStream, mut server: S, scissors: Scissors) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        scissors.thaw().await;
        tokio::select! {
            count = client.read(&mut asked) => {
                let asked = &asked[..count?];
                scissors.thaw().await;
                let commits = asked.windows(6).any(|word| word == b"COMMIT");
                let cut = if commits { scissors.take() } else { Cut::Nowhere };
                if asked.is_empty() || cut == Cut::Before {
                    return Ok(());
                }
                server.write_all(asked).await?;
                if cut == Cut::After {
                    return server.read(&mut answered).await.map(drop);
                }
            }
            count = server.read(&mut answered) => {
                let answered = &answered[..count?];
                if answered.is_empty() {
                    return Ok(());
                }
                client.write_all(answered).await?;
            }
        }
    }
}

/// A way to the server at `url` that can be cut.
async fn wire(url: &str, scissors: Scissors) -> SocketAddr {
    let config: postgres::Config = url.parse().unwrap();
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let host = config.get_hosts()[0].clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (host, scissors) = (host.clone(), scissors.clone());
            tokio::spawn(async move {
                match host {
                    Host::Tcp(host) => {
                        let server = TcpStream::connect((host, port)).await?;
                        pass(client, server, scissors).await
                    }
                    Host::Unix(dir) => {
                        let socket = dir.join(format!(".s.PGSQL.{port}"));
                        pass(client, UnixStream::connect(socket).await?, scissors).await
                    }
                }
            });
        }
    });
    address
}

/// A second store on the bench's database, over the wire.
pub(crate) async fn open(bench: &Bench, scissors: &Scissors) -> Store {
    let url = bench.database.url();
    let address = wire(&url, scissors.clone()).await;
    let (server, name) = url.rsplit_once('/').unwrap();
    let (user, _) = server.split_once('@').unwrap();
    let url = format!("{user}@{address}/{name}?sslmode=disable");
    let target = url.parse().unwrap();
    tokio::task::block_in_place(|| Store::open(&target, &Options::new([9; 16])).unwrap())
}
