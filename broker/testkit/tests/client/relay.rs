//! Something between a client and a server: a unix socket in front of a TCP address, which can be
//! pointed elsewhere, keep answers to itself, and cut what is connected.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};

/// A relay; ends with the value.
pub(crate) struct Relay {
    path: PathBuf,
    way: Arc<watch::Sender<Way>>,
    accepting: JoinHandle<()>,
}

/// Where it leads.
#[derive(Clone, Copy)]
struct Way {
    to: SocketAddr,
    /// Answers are kept from the client.
    silent: bool,
    /// Connections of an older count are cut.
    cuts: u32,
}

impl Relay {
    /// Listens at this path, which is not there yet.
    pub(crate) fn start(path: &Path, to: SocketAddr) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let way = Arc::new(watch::Sender::new(Way { to, silent: false, cuts: 0 }));
        let ways = way.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, ways.subscribe()));
            }
        });
        Ok(Self { path: path.to_owned(), way, accepting })
    }

    /// For a client.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// Leads new connections there, and cuts the others.
    pub(crate) fn lead(&self, to: SocketAddr) {
        self.way.send_modify(|way| *way = Way { to, silent: false, cuts: way.cuts + 1 });
    }

    /// Keeps all answers from now on.
    pub(crate) fn silence(&self) {
        self.way.send_modify(|way| way.silent = true);
    }

    /// Cuts what is connected; new connections are as good as ever.
    pub(crate) fn cut(&self) {
        self.way.send_modify(|way| *way = Way { silent: false, cuts: way.cuts + 1, ..*way });
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut client: UnixStream, mut ways: watch::Receiver<Way>) -> io::Result<()> {
    let begun = *ways.borrow_and_update();
    let mut server = TcpStream::connect(begun.to).await?;
    let (mut asked, mut answered) = (vec![0; 1 << 14], vec![0; 1 << 14]);
    loop {
        tokio::select! {
            biased;
            changed = ways.changed() => if changed.is_err() || ways.borrow().cuts != begun.cuts { return Ok(()) },
            read = client.read(&mut asked) => match read? {
                0 => return Ok(()),
                read => server.write_all(&asked[..read]).await?,
            },
            read = server.read(&mut answered) => match read? {
                0 => return Ok(()),
                _ if ways.borrow().silent => {}
                read => client.write_all(&answered[..read]).await?,
            },
        }
    }
}
