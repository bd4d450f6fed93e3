//! `grpc`: a cached `Get` through the real binary (token, policy, file audit) against a bare tonic
//! server that answers the same bytes, in alternating rounds of one run.

use std::{
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
use warder_client::{Client, Token, proto};
use warder_testkit::{Failure, Process, Result, Warder, temp_dir};

use crate::{
    bare,
    frames::{Connection, Unary},
    get::{half_row, report},
    load::{Figures, pause},
    rounds::{Side, alternate},
    server,
};

/// Calls under way: on so many connections, so many on each.
const CONNECTIONS: usize = 16;
const STREAMS: usize = 4;
/// The paced load has one call at a time on each.
const PACED: usize = CONNECTIONS * STREAMS;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const PATH: &str = "database/postgres";

/// Measures and prints.
pub(crate) async fn run() -> Result {
    let directory = temp_dir()?;
    let (warder, token) = prepare(&directory.path().join("warder"))?;
    let client = Client::builder(format!("http://{}", warder.address())).token(Token::new(&*token)).build();
    let client = client.map_err(|why| Failure::new("build a client", why))?;
    let asked = proto::SecretsServiceGetRequest { path: PATH.to_owned(), ..Default::default() };
    let get = || client.secrets().get(asked.clone());
    get().await.map_err(|why| Failure::new("Get", why))?;
    // Once more, so that the log ends with a record of the kind that is measured.
    let answer = get().await.map_err(|why| Failure::new("Get", why))?;
    let unary = Unary {
        path: "/warder.v1.SecretsService/Get".to_owned(),
        token,
        message: asked.encode_to_vec().into(),
        holds: answer.json.to_vec().into(),
    };
    let file = bare::answer_file(directory.path(), &answer.encode_to_vec())?;
    let (bare, bare_address) = bare::start("grpc", &[file.as_os_str()])?;
    let (recording, recording_address) = recorded(directory.path(), &file)?;
    let load = |address| Load { address, unary: unary.clone() };
    let (floor, ours) = (load(bare_address), load(warder.address()));
    let mut sides = [
        floor.side("bare tonic, the same bytes", bare.pid()),
        load(recording_address).side("bare tonic, and a record hashed and written", recording.pid()),
        ours.side("warder, audit file (the default)", warder.process().pid()),
    ];
    alternate(&mut sides, ROUNDS, ROUND).await?;
    println!(
        "Cached `Get` of a message of {} bytes, {CONNECTIONS} connections with {STREAMS} calls under way on each, median \
         of {ROUNDS} alternating rounds of {} s; the aim is 0.7 of bare:\n",
        answer.encoded_len(),
        ROUND.as_secs()
    );
    report(&sides);
    let [bare_side, _, our_side] = &sides;
    for (side, load) in [(bare_side, &floor), (our_side, &ours)] {
        let half = side.median().per_second / 2.0;
        half_row(&side.name, tokio::task::block_in_place(|| load.paced(ROUND, half))?);
    }
    Ok(())
}

/// A server with one secret and a token that may read it.
fn prepare(directory: &Path) -> Result<(Warder, String)> {
    let (warder, root) = server::serve(directory, "effects")?;
    root.put(&format!("/api/v1/secrets/{PATH}")).json(&server::secret()).send()?.expect_status(201)?;
    let token = server::token(&root)?;
    Ok((warder, token))
}

/// The second floor: bare tonic that appends the server's own last record before each answer.
fn recorded(directory: &Path, answer: &Path) -> Result<(Process, SocketAddr)> {
    let records = std::fs::read_to_string(directory.join("warder/audit.log"))?;
    let last = records.lines().last().ok_or("the audit log is empty")?;
    let (line, log) = (directory.join("line"), directory.join("recorded.log"));
    std::fs::write(&line, format!("{last}\n"))?;
    bare::start("grpc-recorded", &[answer.as_os_str(), line.as_os_str(), log.as_os_str()])
}

/// One call, asked of one server.
#[derive(Clone)]
struct Load {
    address: SocketAddr,
    unary: Unary,
}

impl Load {
    fn side(&self, name: &str, pid: u32) -> Side {
        let load = self.clone();
        Side::new(name, pid, move |lasting| {
            let load = load.clone();
            async move { Ok(load.run(lasting).await?) }
        })
    }

    /// As many calls as there are answers.
    async fn run(&self, lasting: Duration) -> io::Result<Figures> {
        let start = Instant::now();
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            connections.spawn(unpaced(self.address, self.unary.clone(), start + lasting));
        }
        let mut took = Vec::new();
        while let Some(done) = connections.join_next().await {
            took.extend(done.map_err(io::Error::other)??);
        }
        Ok(Figures::of(took, start.elapsed()))
    }

    /// So many calls a second, evenly over time: as [`crate::load::Load::paced`].
    fn paced(&self, lasting: Duration, per_second: f64) -> io::Result<Figures> {
        let gap = Duration::from_secs_f64(PACED as f64 / per_second);
        let start = Instant::now();
        let first = |at: usize| start + gap.mul_f64(at as f64 / PACED as f64);
        let mut lines: Vec<_> =
            (0..PACED).map(|at| Line::open(self.address, &self.unary, first(at))).collect::<io::Result<_>>()?;
        let (mut took, end) = (Vec::with_capacity(1 << 20), start + lasting);
        while Instant::now() < end {
            for line in &mut lines {
                took.extend(line.turn(gap)?);
            }
            pause();
        }
        Ok(Figures::of(took, start.elapsed()))
    }
}

async fn unpaced(address: SocketAddr, unary: Unary, end: Instant) -> io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(unary);
    (0..STREAMS).for_each(|_| connection.ask(Instant::now()));
    let (mut took, mut buffer) = (Vec::with_capacity(1 << 16), vec![0; 1 << 14]);
    while connection.waiting() > 0 {
        stream.write_all(&connection.outgoing).await?;
        connection.outgoing.clear();
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let now = Instant::now();
        for from in connection.take(&buffer[..read])? {
            took.push(now - from);
            if now < end {
                connection.ask(now);
            }
        }
    }
    Ok(took)
}

/// A connection of the paced load.
struct Line {
    stream: std::net::TcpStream,
    connection: Connection,
    due: Instant,
    buffer: Vec<u8>,
}

impl Line {
    fn open(address: SocketAddr, unary: &Unary, due: Instant) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let buffer = vec![0; 1 << 14];
        Ok(Self { stream, connection: Connection::new(unary.clone()), due, buffer })
    }

    /// Takes what has come and sends what is due; how long an answer took that is whole now.
    fn turn(&mut self, gap: Duration) -> io::Result<Option<Duration>> {
        let mut answered = None;
        if self.connection.waiting() > 0 {
            answered = self.received()?;
            if answered.is_none() {
                return Ok(None);
            }
        }
        let now = Instant::now();
        if now >= self.due {
            // It was due while the answer before it was awaited.
            self.connection.ask(if answered.is_some() { self.due } else { now });
            self.due += gap;
        }
        if !self.connection.outgoing.is_empty() {
            self.stream.write_all(&self.connection.outgoing)?;
            self.connection.outgoing.clear();
        }
        Ok(answered)
    }

    fn received(&mut self) -> io::Result<Option<Duration>> {
        match self.stream.read(&mut self.buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                let done = self.connection.take(&self.buffer[..read])?;
                // What the connection itself must answer does not wait for the next call.
                Ok(done.first().map(Instant::elapsed))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}
