//! Our gRPC client against an independent HTTP/2 implementation: a small containerd made of the `h2` crate.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use edgelay::containerd::api::Map;
use edgelay::containerd::{Client, Code, Committed, Ingest, Opened, Upload};
use edgelay::digest::{Digest, Hasher};
use edgelay::error::Error;
use edgelay::pb::{Decode, PbError, Take, Value, Writer, decode};
use h2::server::{Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{UnixListener, UnixStream};

/// 19 KB with every letter that is not a control character, of many scripts: many Huffman codes, four frames.
fn long_text() -> String {
    let letters: String = (' '..='\u{24f}').chain('\u{370}'..='\u{3ff}').chain('\u{1f600}'..='\u{1f64f}').collect();
    let safe: String = letters.chars().filter(|c| !c.is_control() && *c != '%').collect();
    safe.repeat(12)
}

/// What happens on the connection while calls run.
#[derive(Clone, Copy)]
struct Habits {
    /// Receive windows that the server announces one after the other, again and again.
    windows: &'static [u32],
    /// A ping before each change.
    pings: bool,
}

struct Server {
    dir: tempfile::TempDir,
    thread: Option<std::thread::JoinHandle<()>>,
    stop: Arc<AtomicUsize>,
    pongs: Arc<AtomicUsize>,
}

impl Server {
    fn start(habits: Habits) -> Server {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let (stop, pongs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let listener = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = (stop.clone(), pongs.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { serve(UnixListener::from_std(listener).unwrap(), habits, shared).await });
        });
        Server { dir, thread: Some(thread), stop, pongs }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(1, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let end = thread.join();
            assert!(end.is_ok() || std::thread::panicking(), "the server failed");
        }
    }
}

type Shared = (Arc<AtomicUsize>, Arc<AtomicUsize>);

async fn serve(listener: UnixListener, habits: Habits, shared: Shared) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    loop {
        tokio::select! {
            Ok((socket, _)) = listener.accept() => drop(tokio::spawn(connection(socket, habits, shared.1.clone()))),
            _ = tick.tick() => if shared.0.load(Ordering::SeqCst) == 1 { return },
        }
    }
}

async fn connection(socket: UnixStream, habits: Habits, pongs: Arc<AtomicUsize>) {
    let mut conn: Connection<UnixStream, Bytes> = h2::server::handshake(socket).await.unwrap();
    let mut ping_pong = conn.ping_pong().unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let mut windows = habits.windows.iter().cycle();
    if habits.pings {
        tokio::spawn(async move {
            while ping_pong.ping(h2::Ping::opaque()).await.is_ok() {
                pongs.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    loop {
        tokio::select! {
            call = conn.accept() => match call {
                Some(Ok((request, answer))) if request.uri().path() == "/containerd.services.leases.v1.Leases/List" => {
                    // A daemon that goes away politely.
                    drop(tokio::spawn(handle(request, answer)));
                    conn.graceful_shutdown();
                }
                Some(Ok((request, answer))) => drop(tokio::spawn(handle(request, answer))),
                _ => return,
            },
            // Refused while the last change is not yet acknowledged: the next tick tries another size.
            _ = tick.tick() => if let Some(size) = windows.next() {
                let _ = conn.set_initial_window_size(*size);
            },
        }
    }
}

async fn handle(request: Request<RecvStream>, answer: SendResponse<Bytes>) {
    assert_eq!(request.method(), "POST");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!(request.uri().authority().unwrap(), "localhost");
    let path = request.uri().path().to_owned();
    let namespace = request.headers().get("containerd-namespace").cloned();
    let mut input = Messages { body: request.into_body(), bytes: BytesMut::new() };
    match path.rsplit('/').next().unwrap() {
        "Version" => {
            input.next().await.unwrap();
            let mut out = begin(answer);
            let mut version = Writer::default();
            version.delimited(1, namespace.as_ref().map_or(b"none", HeaderValue::as_bytes));
            send(&mut out, &version.into_bytes()).await;
            end(out, "0", "");
        }
        "List" => {
            let mut out = begin(answer);
            send(&mut out, &[]).await;
            end(out, "0", "");
        }
        "Read" => read(begin(answer)).await,
        "Write" => write(input, begin(answer)).await,
        "Get" => refuse(answer, &long_text()),
        "Delete" => refuse_reset(answer),
        _ => refuse(answer, "unknown"),
    }
}

/// A server stream of messages of very different sizes, 4 MiB together.
async fn read(mut out: SendStream<Bytes>) {
    let bytes = blob(4 << 20);
    let mut rest = bytes.as_slice();
    for size in [0, 1, 16_379, 16_380, 100_000, 1 << 20, 5].iter().cycle() {
        let (part, tail) = rest.split_at((*size).min(rest.len()));
        rest = tail;
        let mut message = Writer::default();
        message.delimited(2, part);
        send(&mut out, &message.into_bytes()).await;
        if rest.is_empty() {
            return end(out, "0", "");
        }
    }
}

#[derive(Default)]
struct WriteRequest {
    action: u64,
    offset: u64,
    data: Vec<u8>,
}

impl Decode for WriteRequest {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), PbError> {
        match number {
            1 => self.action.take(value),
            5 => self.offset.take(value),
            6 => self.data.take(value),
            _ => Ok(()),
        }
    }
}

async fn write(mut input: Messages, mut out: SendStream<Bytes>) {
    let (mut hasher, mut offset) = (Hasher::default(), 0u64);
    while let Some(message) = input.next().await {
        let request: WriteRequest = decode(&message).unwrap();
        if request.action != 0 && request.offset != offset {
            return end(out, "11", "wrong offset");
        }
        hasher.update(&request.data);
        offset += request.data.len() as u64;
        let mut answer = Writer::default();
        answer.varint(4, offset);
        answer.delimited(6, hasher.clone().finish().to_string().as_bytes());
        let answer = answer.into_bytes();
        send(&mut out, &answer).await;
        if request.action == 2 {
            send(&mut out, &answer).await;
            return end(out, "0", "");
        }
    }
}

/// Messages of a request; room is given back slowly, so that the windows matter.
struct Messages {
    body: RecvStream,
    bytes: BytesMut,
}

impl Messages {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some((prefix, rest)) = self.bytes.split_first_chunk::<5>() {
                let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
                if rest.len() >= length {
                    let _prefix = self.bytes.split_to(5);
                    return Some(self.bytes.split_to(length).freeze());
                }
            }
            let data = self.body.data().await?.ok()?;
            self.bytes.extend_from_slice(&data);
            let _after_reset = self.body.flow_control().release_capacity(data.len());
        }
    }
}

fn begin(mut answer: SendResponse<Bytes>) -> SendStream<Bytes> {
    let head = Response::builder().status(200).header("content-type", "application/grpc").body(()).unwrap();
    answer.send_response(head, false).unwrap()
}

async fn send(out: &mut SendStream<Bytes>, message: &[u8]) {
    let mut bytes = BytesMut::from(&[0][..]);
    bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(message);
    let _if_the_client_left = out.send_data(bytes.freeze(), false);
    tokio::task::yield_now().await;
}

fn status(code: &'static str, text: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", HeaderValue::from_static(code));
    fields.insert("grpc-message", HeaderValue::from_bytes(text.as_bytes()).unwrap());
    fields
}

fn end(mut out: SendStream<Bytes>, code: &'static str, text: &str) {
    let _if_the_client_left = out.send_trailers(status(code, text));
}

fn refuse(mut answer: SendResponse<Bytes>, text: &str) {
    let mut head = Response::builder().status(200).header("content-type", "application/grpc").body(()).unwrap();
    head.headers_mut().extend(status("5", text));
    answer.send_response(head, true).unwrap();
}

fn refuse_reset(mut answer: SendResponse<Bytes>) {
    answer.send_reset(h2::Reason::PROTOCOL_ERROR);
}

fn blob(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(31) ^ at >> 13).to_le_bytes()[0]).collect()
}

fn ingest(bytes: &[u8]) -> Ingest {
    let digest = Digest::of(bytes);
    Ingest { reference: format!("edgelay-{digest}"), digest, size: bytes.len() as u64 }
}

fn ready(opened: Opened<'_>) -> Upload<'_> {
    match opened {
        Opened::Ready(upload) => *upload,
        Opened::Exists => panic!("the blob is there already"),
    }
}

const QUIET: Habits = Habits { windows: &[], pings: false };

#[test]
fn calls_and_refusals() {
    let server = Server::start(QUIET);
    let mut client = Client::connect(&server.socket()).unwrap().in_namespace("mine".parse().unwrap());
    for _ in 0..3 {
        assert_eq!(client.version().unwrap().version, "mine");
        assert_eq!(client.cri().version().unwrap().version, "none");
        let e = client.images().get("x").unwrap_err();
        let text = e.message().unwrap().strip_suffix('…').unwrap();
        assert_eq!(e.code(), Some(Code::NotFound));
        assert!(text.len() > 4090 && long_text().starts_with(text), "{text}");
        let e = client.images().delete_sync("x").unwrap_err();
        assert_eq!(Error::from(e).to_string(), "Images/Delete: INTERNAL: stream reset by the peer (PROTOCOL_ERROR)");
    }
}

#[test]
fn uploads_under_windows_that_grow_and_shrink() {
    const HABITS: [Habits; 4] = [
        QUIET,
        Habits { windows: &[131_072, 262_144, 524_288, 1_048_576], pings: true },
        Habits { windows: &[200_000, 20_000, 1_000_000, 0, 65_535, 5, 300_000], pings: true },
        Habits { windows: &[1_000, 1_001], pings: true },
    ];
    for (habits, size) in HABITS.into_iter().zip([8 << 20, 8 << 20, 4 << 20, 512 << 10]) {
        let server = Server::start(habits);
        let mut client = Client::connect(&server.socket()).unwrap();
        let bytes = blob(size);
        // 256 KiB and 1 MiB are the sizes at which a client that ignores the changes stops for ever.
        for piece in [100_000, 256 << 10] {
            let mut upload = ready(client.content().write(ingest(&bytes)).unwrap());
            for data in bytes.chunks(piece) {
                upload.write(data).unwrap();
            }
            assert_eq!(upload.commit(Map::new()).unwrap(), Committed::Stored);
        }
        assert_eq!(client.version().unwrap().version, "k8s.io");
        assert_eq!(habits.pings, server.pongs.load(Ordering::SeqCst) > 0);
    }
}

#[test]
fn an_upload_that_is_dropped_leaves_the_connection_usable() {
    let server = Server::start(Habits { windows: &[40_000, 300_000], pings: true });
    let mut client = Client::connect(&server.socket()).unwrap();
    let bytes = blob(300_000);
    for cut in [0, 1, 70_000, 300_000] {
        let mut upload = ready(client.content().write(ingest(&bytes)).unwrap());
        upload.write(&bytes[..cut]).unwrap();
        drop(upload);
        assert_eq!(client.version().unwrap().version, "k8s.io");
    }
}

#[test]
fn downloads_and_large_answers() {
    let server = Server::start(Habits { windows: &[], pings: true });
    let mut client = Client::connect(&server.socket()).unwrap();
    let want = blob(4 << 20);
    for _ in 0..2 {
        let mut got = Vec::new();
        let mut reader = client.content().read(&Digest::of(b""), 0).unwrap();
        std::io::Read::read_to_end(&mut reader, &mut got).unwrap();
        assert!(got == want, "{} of {} bytes, or others", got.len(), want.len());
    }
    // One that is not read to its end.
    let mut reader = client.content().read(&Digest::of(b""), 0).unwrap();
    std::io::Read::read_exact(&mut reader, &mut [0; 1000]).unwrap();
    drop(reader);
    assert_eq!(client.version().unwrap().version, "k8s.io");
}

#[test]
fn a_polite_end_is_followed_by_a_new_connection() {
    let server = Server::start(QUIET);
    let mut client = Client::connect(&server.socket()).unwrap();
    for _ in 0..3 {
        assert_eq!(client.leases().list(&[]).unwrap(), []);
        assert_eq!(client.version().unwrap().version, "k8s.io");
    }
}
