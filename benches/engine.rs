//! What the SSH engine costs: bulk data through one channel, bulk data through a relay, and logging in.
//!
//! Why: these three are what users wait for. `scp` through the bastion is `relay`, and each session
//! that starts pays for two of `log_in`, once with its client and once with its target.
//!
//! Everything runs on one thread, both ends of every connection included, because a connection of the
//! daemon stays on one thread too. So the figures are the cost of the work and not the speed of a
//! network: `bulk` is one sealing and one opening end, and what `relay` takes beyond `bulk` is the
//! bastion's own part. The streams are loopback TCP, but for `log_in`, which would run out of ports.
//!
//! `cargo bench --bench engine`; a name such as `relay` after `--` picks some of them.

#![expect(clippy::expect_used, reason = "a bench that cannot go on should say why and stop")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use drawbridge::credential::EphemeralKey;
use drawbridge::relay::{self, Activity, Hold};
use drawbridge::ssh::{
    Channel, ChannelEvent, ChannelKind, ClientConfig, Connection, ConnectionEvent, HostKey, Limits, Offer,
    RekeyPolicy, ServerConfig, ServerIdentity, Signer, Stream, accept, connect,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The daemon's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CIPHERS: [&str; 3] =
    ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"];
const KEY_EXCHANGES: [&str; 2] = ["curve25519-sha256", "mlkem768x25519-sha256"];
/// What one write brings, in bytes: about what a client puts into one packet.
const PIECE: usize = 32 * 1024;
const PIECES: usize = 512;
const TOTAL: usize = PIECES * PIECE;

fn bulk(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("bulk");
    group.throughput(Throughput::Bytes(TOTAL as u64)).sample_size(10);
    for cipher in CIPHERS {
        let link = runtime.block_on(Link::with_cipher(cipher));
        group.bench_function(cipher, |bencher| {
            bencher.iter(|| runtime.block_on(transfer(&link.client, &link.server)));
        });
    }
}

fn relayed(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("relay");
    group.throughput(Throughput::Bytes(TOTAL as u64)).sample_size(10);
    for cipher in CIPHERS {
        let Relayed { client, target, .. } = &runtime.block_on(Relayed::with_cipher(cipher));
        group.bench_function(BenchmarkId::new("to_client", cipher), |bencher| {
            bencher.iter(|| runtime.block_on(transfer(target, client)));
        });
        group.bench_function(BenchmarkId::new("to_target", cipher), |bencher| {
            bencher.iter(|| runtime.block_on(transfer(client, target)));
        });
    }
}

fn log_in(criterion: &mut Criterion) {
    let runtime = runtime();
    let server = server_config();
    let mut group = criterion.benchmark_group("log_in");
    for kex in KEY_EXCHANGES {
        let client = ClientConfig { kex: vec![kex.to_owned()], ..ClientConfig::default() };
        group.bench_function(kex, |bencher| {
            bencher.iter(|| {
                let (near, far) = tokio::io::duplex(64 * 1024);
                black_box(runtime.block_on(connected((near, far), &client, &server)))
            });
        });
    }
}

criterion_group!(engine, bulk, relayed, log_in);
criterion_main!(engine);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// All of [`TOTAL`], until the last byte was read.
async fn transfer(from: &Channel, to: &Channel) {
    static ZEROS: [u8; PIECE] = [0; PIECE];
    let send = async {
        for _ in 0..PIECES {
            from.write(Bytes::from_static(&ZEROS)).await.expect("written");
        }
    };
    let receive = async {
        let mut left = TOTAL;
        while left > 0 {
            let Some(ChannelEvent::Data(data)) = to.recv().await else { unreachable!("only data is sent") };
            left -= data.len();
        }
    };
    tokio::join!(send, receive);
}

/// A channel's two ends, and the connection that carries it.
struct Link {
    client: Channel,
    server: Channel,
    carriers: (Connection, Connection),
}

impl Link {
    async fn with_cipher(cipher: &str) -> Self {
        let config = ClientConfig { ciphers: vec![cipher.to_owned()], ..ClientConfig::default() };
        let carriers = connected(loopback().await, &config, &server_config()).await;
        let opened = async { carriers.0.open(&ChannelKind::Session).await.expect("opened") };
        let accepted = async {
            let Ok(ConnectionEvent::Open(open)) = carriers.1.next().await else {
                unreachable!("the client opens a channel first")
            };
            open.accept()
        };
        let (client, server) = tokio::join!(opened, accepted);
        Self { client, server, carriers }
    }
}

/// A client's and a target's channel with a bastion between them.
struct Relayed {
    client: Channel,
    target: Channel,
    _carriers: [(Connection, Connection); 2],
}

impl Relayed {
    async fn with_cipher(cipher: &str) -> Self {
        let outer = Link::with_cipher(cipher).await;
        let inner = Link::with_cipher(cipher).await;
        let (to_client, to_target) = (outer.server, inner.client);
        tokio::spawn(async move {
            let (_order, stop) = watch::channel(None);
            relay::run(&to_client, &to_target, &Activity::default(), stop, Hold::Whole, None).await
        });
        Self { client: outer.client, target: inner.server, _carriers: [outer.carriers, inner.carriers] }
    }
}

async fn loopback() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (near, (far, _)) = (near.expect("connected"), far.expect("accepted"));
    for stream in [&near, &far] {
        stream.set_nodelay(true).expect("set");
    }
    (near, far)
}

/// Key exchange and login with one key. The client's end comes first.
async fn connected<S: Stream>(
    (near, far): (S, S),
    client: &ClientConfig,
    server: &ServerConfig,
) -> (Connection, Connection) {
    let client_end = async {
        let unverified = connect(near, client).await.expect("keys exchanged");
        unverified.authenticate("someone", &UserKey::fresh()).await.expect("let in")
    };
    let server_end = async {
        let unauthenticated = accept(far, server).await.expect("keys exchanged");
        black_box(unauthenticated.next().await.expect("a signed request"));
        unauthenticated.succeed()
    };
    tokio::join!(client_end, server_end)
}

fn server_config() -> ServerConfig {
    let key = Arc::new(HostKey::generate("bench").expect("a host key"));
    ServerConfig {
        identity: ServerIdentity { key, certificate: None },
        offer: Offer::default(),
        rekey: RekeyPolicy::default(),
        limits: Limits::default(),
    }
}

struct UserKey(EphemeralKey);

impl UserKey {
    fn fresh() -> Self {
        Self(EphemeralKey::generate().expect("a key"))
    }
}

impl Signer for UserKey {
    fn public_blob(&self) -> Vec<u8> {
        self.0.public_blob()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).expect("a signature").to_vec()
    }
}
