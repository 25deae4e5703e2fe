//! A broker that speaks enough of Kafka's protocol for a producer, and fails as it is told to.
//!
//! Debian has no Kafka. Spoken are the versions that every broker since 1.0 understands: ApiVersions 0, Metadata 1 and
//! Produce 3, with record batches of format 2. Integers are big-endian; texts and arrays have their length before them.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
/// The versions spoken, of each of these.
const VERSIONS: [(i16, i16); 3] = [(PRODUCE, 3), (METADATA, 1), (API_VERSIONS, 0)];
const UNSUPPORTED_VERSION: i16 = 35;
/// The code of records that are too large.
pub const MESSAGE_TOO_LARGE: i16 = 10;

/// A record as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The partition.
    pub partition: i32,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The header `id`.
    pub id: String,
}

/// What a broker remembers, also while it is stopped.
#[derive(Default)]
pub struct Log {
    /// The topic; none if it is empty.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// Records, in the order in which they came.
    pub records: Vec<Stored>,
    /// Codes that the next requests to produce are refused with; 0 for one that is taken.
    pub refusals: VecDeque<i16>,
    /// The longest value that is taken, in bytes.
    pub value_bytes_max: usize,
    /// Requests to produce that came, taken or not.
    pub requests: usize,
}

/// A running broker. It stops when it is dropped, and with it all connections.
pub struct Broker {
    _tasks: JoinSet<()>,
}

impl Broker {
    /// Listens on the port.
    pub fn start(port: u16, log: &Arc<Mutex<Log>>, tls: Option<ServerConfig>) -> Broker {
        let socket = TcpSocket::new_v4().expect("a socket");
        // A port is taken up again right after a broker on it was stopped.
        socket.set_reuseaddr(true).expect("a socket");
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).expect("a free port");
        let listener = socket.listen(16).expect("a listener");
        let mut tasks = JoinSet::new();
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        tasks.spawn(accept(listener, port, Arc::clone(log), acceptor));
        Broker { _tasks: tasks }
    }
}

async fn accept(listener: TcpListener, port: u16, log: Arc<Mutex<Log>>, acceptor: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, port, Arc::clone(&log), acceptor.clone()));
    }
}

async fn connection(stream: TcpStream, port: u16, log: Arc<Mutex<Log>>, acceptor: Option<TlsAcceptor>) {
    match acceptor {
        None => serve(stream, port, log).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, port, log).await;
            }
        }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, port: u16, log: Arc<Mutex<Log>>) {
    while let Ok(size) = stream.read_i32().await {
        let mut request = vec![0; size as usize];
        if stream.read_exact(&mut request).await.is_err() {
            return;
        }
        let answer = answer(Reader(&request), port, &mut log.lock().expect("a log"));
        let framed = [&(answer.len() as i32).to_be_bytes()[..], &answer].concat();
        if stream.write_all(&framed).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

fn answer(mut request: Reader<'_>, port: u16, log: &mut Log) -> Vec<u8> {
    let (kind, version, correlation) = (request.i16(), request.i16(), request.i32());
    let mut answer = Writer(correlation.to_be_bytes().to_vec());
    if !VERSIONS.contains(&(kind, version)) {
        assert_eq!(kind, API_VERSIONS, "the client uses versions that were not offered");
        // As brokers do: the client then asks in an older form.
        answer.i16(UNSUPPORTED_VERSION);
        answer.i32(0);
        return answer.0;
    }
    let _client = request.text();
    match kind {
        API_VERSIONS => {
            answer.i16(0);
            answer.i32(VERSIONS.len() as i32);
            for (kind, version) in VERSIONS {
                answer.i16(kind);
                answer.i16(version);
                answer.i16(version);
            }
        }
        METADATA => metadata(&mut answer, port, log),
        _ => produce(&mut request, &mut answer, log),
    }
    answer.0
}

/// One broker, which leads all partitions of the one topic.
fn metadata(answer: &mut Writer, port: u16, log: &Log) {
    answer.i32(1);
    answer.i32(1);
    answer.text("localhost");
    answer.i32(i32::from(port));
    answer.i16(-1);
    answer.i32(1);
    answer.i32(i32::from(!log.topic.is_empty()));
    if log.topic.is_empty() {
        return;
    }
    answer.i16(0);
    answer.text(&log.topic);
    answer.0.push(0);
    answer.i32(log.partitions);
    for partition in 0..log.partitions {
        answer.i16(0);
        for number in [partition, 1, 1, 1, 1, 1] {
            answer.i32(number);
        }
    }
}

fn produce(request: &mut Reader<'_>, answer: &mut Writer, log: &mut Log) {
    assert_eq!(request.text(), None, "not in a transaction");
    assert_eq!(request.i16(), -1, "all replicas are waited for");
    let _timeout = request.i32();
    assert_eq!(request.i32(), 1, "one topic");
    let topic = request.text().expect("a topic");
    assert_eq!(request.i32(), 1, "one partition");
    let partition = request.i32();
    let size = request.i32() as usize;
    let records = batch(Reader(request.bytes(size)), partition);
    log.requests += 1;
    let refusal = log.refusals.pop_front().unwrap_or(0);
    let too_large = records.iter().any(|record| record.value.len() > log.value_bytes_max);
    let code = if refusal == 0 && too_large { MESSAGE_TOO_LARGE } else { refusal };
    let offset = log.records.iter().filter(|record| record.partition == partition).count() as i64;
    if code == 0 {
        log.records.extend(records);
    }
    answer.i32(1);
    answer.text(&topic);
    answer.i32(1);
    answer.i32(partition);
    answer.i16(code);
    answer.i64(if code == 0 { offset } else { -1 });
    answer.i64(-1);
    answer.i32(0);
}

/// The records of one batch.
fn batch(mut data: Reader<'_>, partition: i32) -> Vec<Stored> {
    let (_offset, _size, _epoch) = (data.i64(), data.i32(), data.i32());
    assert_eq!(data.bytes(1), [2], "batches of format 2");
    let (_checksum, attributes, _last) = (data.i32(), data.i16(), data.i32());
    assert_eq!(attributes, 0, "not compressed");
    let (_first_time, _last_time, _producer) = (data.i64(), data.i64(), data.i64());
    let (_producer_epoch, _sequence) = (data.i16(), data.i32());
    let count = data.i32();
    (0..count).map(|_| record(&mut data, partition)).collect()
}

fn record(data: &mut Reader<'_>, partition: i32) -> Stored {
    let _size = data.varint();
    let _attributes = data.bytes(1);
    let (_time, _offset) = (data.varint(), data.varint());
    let mut part = || {
        let size = data.varint() as usize;
        data.bytes(size).to_vec()
    };
    let (key, value) = (part(), part());
    assert_eq!(data.varint(), 1, "one header");
    let mut part = || {
        let size = data.varint() as usize;
        String::from_utf8(data.bytes(size).to_vec()).expect("text")
    };
    assert_eq!(part(), "id");
    Stored { partition, key: String::from_utf8(key).expect("text"), value, id: part() }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.bytes(2).try_into().expect("two bytes"))
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.bytes(4).try_into().expect("four bytes"))
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.bytes(8).try_into().expect("eight bytes"))
    }

    fn text(&mut self) -> Option<String> {
        let size = usize::try_from(self.i16()).ok()?;
        Some(String::from_utf8(self.bytes(size).to_vec()).expect("text"))
    }

    /// Seven bits a byte, the lowest first; the sign is the lowest bit.
    fn varint(&mut self) -> i64 {
        let mut number = 0u64;
        for shift in (0..).step_by(7) {
            let byte = self.bytes(1)[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        (number >> 1) as i64 ^ -((number & 1) as i64)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn i16(&mut self, number: i16) {
        self.0.extend(number.to_be_bytes());
    }

    fn i32(&mut self, number: i32) {
        self.0.extend(number.to_be_bytes());
    }

    fn i64(&mut self, number: i64) {
        self.0.extend(number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.i16(text.len() as i16);
        self.0.extend(text.as_bytes());
    }
}
