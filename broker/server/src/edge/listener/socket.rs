//! Sockets that are listened on: of an address, or of a path.
//!
//! Invariants: a unix socket is never open to more than its configuration says, not even for a
//! moment; of files only sockets that nobody listens on are replaced; what was made is removed
//! at the end, if it is still there.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
            net as unix,
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, Mode as Permissions, flock},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::{Address, SocketConfig};

/// Connections that the kernel accepts before they are taken from it.
const BACKLOG: i32 = 1024;
/// Drops packets that begin a connection (SYN, RFC 9293, section 3.1): they are sent again, to who
/// listens by then, or are refused. Instructions of classic BPF: load byte 13 of the header, jump if
/// its bit 2 is set, drop; keep.
const NO_SYN: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x45, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];
/// How often, and after how long each time, the lock of a folder is asked for.
const ATTEMPTS: (usize, Duration) = (50, Duration::from_millis(100));

/// A socket that is listened on.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, Made),
}

/// A new connection.
pub(super) enum Stream {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Socket {
    /// Listens there.
    ///
    /// # Errors
    /// The operating system's, or words of ours about a file that is in the way.
    pub(crate) async fn bind(address: &Address, config: &SocketConfig) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Address::Unix(path) => {
                let (path, config) = (path.clone(), config.clone());
                let made = tokio::task::spawn_blocking(move || make(path, &config)).await;
                let (listener, made) = made.map_err(io::Error::other)??;
                Ok(Self::Unix(UnixListener::from_std(listener)?, made))
            }
        }
    }

    /// Where it listens; with the port that was taken when 0 was asked for.
    pub(crate) fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => Ok(Address::Tcp(listener.local_addr()?)),
            Self::Unix(_, made) => Ok(Address::Unix(made.path.clone())),
        }
    }

    /// Turns away who has not begun to connect; who has is accepted still.
    pub(super) fn turn_away(&mut self) {
        match self {
            // The file goes, and with it the way here.
            Self::Unix(_, made) => made.remove(),
            // What cannot be set costs the few that connect within the moment before the end.
            Self::Tcp(listener) => _ = SockRef::from(&*listener).attach_filter(&NO_SYN),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, address)| Stream::tcp(stream, address)),
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

impl Stream {
    fn tcp(stream: TcpStream, address: SocketAddr) -> Self {
        // Without it a small answer waits for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        // An IPv4 client of an IPv6 socket is one of IPv4.
        Self::Tcp(stream, address.ip().to_canonical())
    }
}

/// The file of a unix socket; removed when this drops, unless another is there by then.
pub(crate) struct Made {
    path: PathBuf,
    identity: [i64; 4],
}

impl Made {
    /// Of the file that is there now.
    fn at(path: PathBuf) -> io::Result<Self> {
        Ok(Self { identity: identity(&path)?, path })
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Made {
    fn remove(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // What cannot be removed is found stale at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Which file it is: its number alone may be that of one that is gone.
fn identity(path: &Path) -> io::Result<[i64; 4]> {
    let found = fs::symlink_metadata(path)?;
    Ok([found.dev().cast_signed(), found.ino().cast_signed(), found.mtime(), found.mtime_nsec()])
}

fn make(path: PathBuf, config: &SocketConfig) -> io::Result<(unix::UnixListener, Made)> {
    // Two that start at once would find each other's socket stale: between its making and its listening.
    let _alone = alone(path.parent().unwrap_or_else(|| Path::new("/")))?;
    clear(&path)?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    // Linux gives the file the permissions of the socket, less the umask: see unix(7).
    rustix::fs::fchmod(&socket, Permissions::RUSR | Permissions::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path)?)?;
    let made = Made::at(path)?;
    open_up(&made.path, config)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok((socket.into(), made))
}

/// A lock of the folder, so long as this is kept.
fn alone(folder: &Path) -> io::Result<OwnedFd> {
    let told = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", folder.display()));
    let file = fs::File::open(folder).map_err(told)?;
    let (attempts, pause) = ATTEMPTS;
    for _ in 0..attempts {
        match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file.into()),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::park_timeout(pause),
            Err(error) => return Err(told(error.into())),
        }
    }
    Err(io::Error::other(format!("{} is locked by another process", folder.display())))
}

/// Removes a socket that nobody listens on.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::other("there is a file, and it is no socket"));
    }
    match unix::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => Err(io::Error::other("another process listens there")),
        Err(error) => Err(io::Error::new(error.kind(), format!("there is a socket, and whether it is used: {error}"))),
    }
}

/// Gives the file, which is its maker's alone so far, to whom it shall belong.
fn open_up(path: &Path, config: &SocketConfig) -> io::Result<()> {
    if let Some(owner) = &config.owner {
        let user = owner.user.as_deref().map(|name| id("/etc/passwd", name)).transpose()?;
        let group = owner.group.as_deref().map(|name| id("/etc/group", name)).transpose()?;
        std::os::unix::fs::lchown(path, user, group)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot be given to {owner}: {e}")))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(config.mode.0))
}

/// The number of a user or a group: third on its line, as passwd(5) and group(5) have it.
fn id(file: &str, name: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let text = fs::read_to_string(file)?;
    let line = text.lines().map(|line| line.split(':')).find(|line| line.clone().next() == Some(name));
    let number = line.and_then(|mut line| line.nth(2)?.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("there is no {name} in {file}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &Path) -> io::Result<(unix::UnixListener, Made)> {
        make(path.to_owned(), &SocketConfig::default())
    }

    #[test]
    fn only_a_socket_that_nobody_listens_on_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.sock");
        let (listener, made) = at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let told = at(&path).map(|_| ()).unwrap_err().to_string();
        assert_eq!(told, "another process listens there");
        drop(listener);
        // Files made within one tick of the kernel's clock may be the same one to us.
        std::thread::park_timeout(Duration::from_millis(50));
        let (second, replaced) = at(&path).unwrap();
        drop(made);
        assert!(path.exists(), "the first leaves the second's file alone");
        drop((second, replaced));
        assert!(!path.exists());
        for make in [|path: &Path| fs::write(path, "kept"), |path: &Path| std::os::unix::fs::symlink("/nowhere", path)]
        {
            make(&path).unwrap();
            let told = at(&path).map(|_| ()).unwrap_err().to_string();
            assert_eq!(told, "there is a file, and it is no socket");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_socket_is_opened_to_whom_it_is_configured_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.sock");
        let group = fs::metadata(folder.path()).unwrap().gid();
        let owner = crate::config::Owner { user: None, group: Some(group.to_string()) };
        let config = SocketConfig { mode: crate::config::Mode(0o660), owner: Some(owner) };
        let kept = make(path.clone(), &config).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.permissions().mode() & 0o777, found.gid()), (0o660, group));
        drop(kept);
        let owner = crate::config::Owner { user: Some("nobody-has-this-name".to_owned()), group: None };
        let told = make(path.clone(), &SocketConfig { owner: Some(owner), ..SocketConfig::default() });
        let told = told.map(|_| ()).unwrap_err().to_string();
        assert_eq!(told, "there is no nobody-has-this-name in /etc/passwd");
        assert!(!path.exists());
        assert_eq!(id("/etc/passwd", "root").unwrap(), 0);
    }
}
