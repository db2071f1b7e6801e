//! A connection that is lost during a commit, PostgreSQL only: was it done or not?

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use keyfob_store::{Options, Store, StoreError, WriteTx};
use postgres::config::Host;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
};

use crate::{
    bench::{Bench, run},
    database::Database,
    sample::{self, store_account},
};

/// What becomes of the next commit on its way to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Cut {
    Nowhere,
    /// It never arrives.
    Before,
    /// It is done, but its answer never arrives.
    After,
}

/// What the wire is to do, set by the test and reset by the wire when it is done.
#[derive(Clone, Default)]
struct Scissors(Arc<AtomicU32>);

impl Scissors {
    fn set(&self, cut: Cut) {
        self.0.store(cut as u32, Ordering::SeqCst);
    }

    fn take(&self) -> Cut {
        match self.0.swap(Cut::Nowhere as u32, Ordering::SeqCst) {
            1 => Cut::Before,
            2 => Cut::After,
            _ => Cut::Nowhere,
        }
    }
}

/// Passes bytes on until one side ends or a commit is to be cut.
async fn pass<S>(mut client: TcpStream, mut server: S, scissors: Scissors) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let asked = &asked[..count?];
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
async fn open(bench: &Bench, scissors: &Scissors) -> Store {
    let url = bench.database.url();
    let address = wire(&url, scissors.clone()).await;
    let (server, name) = url.rsplit_once('/').unwrap();
    let (user, _) = server.split_once('@').unwrap();
    let url = format!("{user}@{address}/{name}?sslmode=disable");
    let target = url.parse().unwrap();
    tokio::task::block_in_place(|| Store::open(&target, &Options::new([9; 4])).unwrap())
}

/// Cuts the commits of 20 units, one after the other; how often the units ran.
fn commits_that_are_cut(cut: Cut) -> u32 {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    run(Database::postgres(), async move |bench| {
        let scissors = Scissors::default();
        let store = open(bench, &scissors).await;
        for number in 0..20 {
            let counted = Arc::clone(&counted);
            let unit = move |tx: &mut WriteTx<'_>| {
                counted.fetch_add(1, Ordering::Relaxed);
                store_account(tx, number)?;
                Ok::<_, StoreError>(tx.commit(sample::event(number, "stored"), ()))
            };
            scissors.set(cut);
            store.write(unit).await.unwrap();
            assert!(scissors.take() == Cut::Nowhere, "no commit was cut");
        }
        let database = &bench.database;
        assert_eq!(database.number("SELECT count(*) FROM account"), 20);
        assert_eq!(database.number("SELECT count(*) FROM event"), 20);
        tokio::task::block_in_place(|| store.close());
    });
    runs.load(Ordering::Relaxed)
}

#[test]
fn a_commit_that_was_done_but_not_answered_is_not_done_again() {
    assert_eq!(commits_that_are_cut(Cut::After), 20);
}

#[test]
fn a_commit_that_never_arrived_is_done_again() {
    assert_eq!(commits_that_are_cut(Cut::Before), 40);
}
