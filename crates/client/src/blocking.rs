//! For programs without a runtime: [`Wait::wait`] on whatever is awaited elsewhere, and `for` over what is streamed.
//!
//! ```
//! # mod doc { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/example.rs")); }
//! use keyfob_client::{Client, blocking::Wait};
//!
//! let client = Client::builder().secret("kft_…").build()?;
//! # let client = doc::client();
//! let code = client.totp().get_code("550e8400-e29b-41d4-a716-446655440000").wait()?;
//! println!("{}", code.code);
//! for contact in client.contacts().list().stream() {
//!     println!("{}", contact?.name);
//! }
//! # Ok::<(), keyfob_client::Error>(())
//! ```

use std::{future::IntoFuture, sync::LazyLock};

use tokio::runtime::{Builder, Runtime};

use crate::{Error, Items};

/// Where connections live, for all clients of the process.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let built = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("keyfob-client")
        .enable_all()
        .build();
    #[expect(clippy::expect_used, reason = "a process that can start no thread cannot go on")]
    built.expect("a thread for connections")
});

/// Waits for what is awaited elsewhere.
pub trait Wait: IntoFuture + Sized {
    /// What comes of it. The thread does nothing else meanwhile.
    ///
    /// # Panics
    /// Within a runtime: await it there.
    fn wait(self) -> Self::Output {
        RUNTIME.block_on(self.into_future())
    }
}

impl<F: IntoFuture> Wait for F {}

/// Items, the thread of which does nothing else while it waits for the next one.
#[derive(Debug)]
pub struct IntoIter<T>(Items<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.try_next().wait().transpose()
    }
}

impl<T> IntoIterator for Items<T> {
    type Item = Result<T, Error>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}
