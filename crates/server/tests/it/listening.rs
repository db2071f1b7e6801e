//! The service behind a socket.

use std::{net::SocketAddr, time::Duration};

use keyfob_server::serve::{Bounds, serve};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::app::TestApp;

/// Longer than anything here takes, and less than any bound of production.
const PATIENCE: Duration = Duration::from_secs(15);
/// Small, so that what nobody reads does not disappear in buffers.
const BUFFER: u32 = 16 * 1024;

/// A service that listens.
pub(crate) struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(app: &TestApp, connections: usize) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(BUFFER).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(16).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let bounds = Bounds { connections, taken_within: Duration::from_millis(200) };
        let stopped = async move { stopped.await.unwrap_or_default() };
        let ended = tokio::spawn(serve(listener, app.anonymous().app, bounds, stopped));
        Self { address, stop, ended }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(BUFFER).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// Tells it to stop, and ends when it has.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        within_patience(self.ended).await.unwrap();
    }
}

/// Fails if it takes long.
pub(crate) async fn within_patience<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it still hangs")
}
