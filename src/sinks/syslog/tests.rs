use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener};

use super::*;

/// The longest that something on loopback may take.
const SOON: Duration = Duration::from_secs(20);

fn to(to: SyslogAddress) -> Syslog {
    let config = SyslogConfig {
        to,
        facility: 10,
        app_name: "drawbridge".to_owned(),
        message_bytes_max: 2048,
        ca: None,
        certificate: None,
        key: None,
    };
    Syslog::new(&config, "b1").expect("it can be made")
}

fn lines(seqs: std::ops::RangeInclusive<u64>) -> Vec<JournalLine> {
    seqs.map(|seq| JournalLine { seq, text: format!(r#"{{"event":"reloaded","seq":{seq},"node":"b1"}}"#) })
        .collect()
}

async fn listener() -> (TcpListener, Syslog) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, to(SyslogAddress::Tcp("127.0.0.1".to_owned(), port)))
}

/// One message of RFC 6587 §3.4.1.
async fn counted(stream: &mut TcpStream) -> String {
    let mut length = 0;
    loop {
        match stream.read_u8().await.expect("a length") {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await.expect("a message");
    String::from_utf8(message).expect("UTF-8")
}

/// The failure that comes once the receiver has gone.
async fn failure_of(sink: &mut Syslog, more: &[JournalLine]) -> Failure {
    timeout(SOON, async {
        loop {
            if let Err(failure) = sink.deliver(more).await {
                return failure;
            }
        }
    })
    .await
    .expect("a failure")
}

#[tokio::test]
async fn messages_over_tcp_have_their_length_before_them() {
    let (listener, mut sink) = listener().await;
    sink.deliver(&lines(1..=3)).await.expect("sent");
    let (mut stream, _) = listener.accept().await.expect("a connection");
    for seq in 1..=3 {
        let message = counted(&mut stream).await;
        assert!(message.starts_with("<85>1 - b1 drawbridge "), "{message}");
        assert!(message.ends_with(&lines(seq..=seq)[0].text), "{message}");
    }
    assert_eq!(sink.settled(3).await, Ok(0), "nobody knows yet whether they were read");
    let closing = tokio::spawn(async move {
        sink.close().await;
        sink
    });
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("a goodbye");
    assert!(rest.is_empty());
    drop(stream);
    let mut sink = closing.await.expect("it ends");
    assert_eq!(sink.settled(3).await, Ok(3));
}

#[tokio::test]
async fn lines_of_a_connection_that_broke_are_sent_again_on_the_next() {
    let (listener, mut sink) = listener().await;
    sink.deliver(&lines(5..=6)).await.expect("sent");
    let (stream, _) = listener.accept().await.expect("a connection");
    drop(stream);
    let failure = failure_of(&mut sink, &lines(7..=7)).await;
    assert_eq!(failure.resume_after, Some(4), "{failure}");
    sink.deliver(&lines(5..=7)).await.expect("a new connection");
    let (mut stream, _) = listener.accept().await.expect("a connection");
    for seq in 5..=7 {
        assert!(counted(&mut stream).await.ends_with(&lines(seq..=seq)[0].text));
    }
}

#[tokio::test]
async fn a_receiver_that_closes_an_idle_connection_costs_nothing() {
    let (listener, mut sink) = listener().await;
    sink.deliver(&lines(1..=1)).await.expect("sent");
    let (mut stream, _) = listener.accept().await.expect("a connection");
    counted(&mut stream).await;
    sink.under_way.arrived();
    drop(stream);
    timeout(SOON, async {
        while let Some(link) = &mut sink.link {
            if link.is_closed().await {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the end is seen");
    sink.deliver(&lines(2..=2)).await.expect("on a new connection");
    let (mut stream, _) = listener.accept().await.expect("a connection");
    assert!(counted(&mut stream).await.ends_with(&lines(2..=2)[0].text));
}

#[tokio::test]
async fn a_delivery_that_was_dropped_in_the_middle_is_not_counted() {
    let (listener, mut sink) = listener().await;
    sink.deliver(&lines(1..=1)).await.expect("sent");
    // More than the buffers of loopback hold, to somebody who does not read.
    let (stream, _) = listener.accept().await.expect("a connection");
    let many = lines(2..=200_000);
    let dropped = tokio::select! { biased; _ = sink.deliver(&many) => false, () = tokio::time::sleep(Duration::ZERO) => true };
    assert!(dropped);
    let failure = sink.deliver(&many).await.expect_err("the connection is in the middle of a message");
    assert_eq!(failure.resume_after, Some(0));
    drop(stream);
}

#[tokio::test]
async fn a_receiver_that_talks_back_is_none() {
    let (listener, mut sink) = listener().await;
    sink.deliver(&lines(1..=1)).await.expect("sent");
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let talking = tokio::spawn(async move { while stream.write_all(&[b'x'; 4096]).await.is_ok() {} });
    failure_of(&mut sink, &lines(2..=2)).await;
    drop(sink);
    talking.await.expect("it ends");
}

#[tokio::test]
async fn nobody_there_is_a_failure() {
    let (listener, mut sink) = listener().await;
    drop(listener);
    let failure = sink.deliver(&lines(1..=1)).await.expect_err("nobody listens");
    assert!(failure.detail.starts_with("no connection: "), "{failure}");
    assert_eq!(failure.resume_after, None);
}

#[tokio::test]
async fn over_udp_each_message_is_a_datagram() {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let port = receiver.local_addr().expect("an address").port();
    let mut sink = to(SyslogAddress::Udp("127.0.0.1".to_owned(), port));
    let long = format!(r#"{{"event":"reloaded","detail":"{}"}}"#, "x".repeat(5000));
    let mut both = lines(1..=1);
    both.push(JournalLine { seq: 2, text: long });
    sink.deliver(&both).await.expect("sent");
    assert_eq!(sink.settled(2).await, Ok(2));
    let mut datagram = vec![0; 65_536];
    let length = receiver.recv(&mut datagram).await.expect("a datagram");
    assert!(datagram[..length].ends_with(both[0].text.as_bytes()));
    let length = receiver.recv(&mut datagram).await.expect("a datagram");
    assert!(length <= 2048 && datagram[..length].ends_with(b"}"), "{length}");
}

fn socket(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("log")
}

async fn over_unix(path: &Path) {
    let mut sink = to(SyslogAddress::Unix(path.to_owned()));
    sink.deliver(&lines(1..=2)).await.expect("sent");
    sink.close().await;
}

#[tokio::test]
async fn a_unix_socket_of_datagrams() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = UnixDatagram::bind(socket(&directory)).expect("a socket");
    over_unix(&socket(&directory)).await;
    let mut datagram = vec![0; 4096];
    for seq in 1..=2 {
        let length = receiver.recv(&mut datagram).await.expect("a datagram");
        assert!(datagram[..length].ends_with(lines(seq..=seq)[0].text.as_bytes()));
    }
}

#[tokio::test]
async fn a_unix_socket_of_a_stream_has_lines() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = UnixListener::bind(socket(&directory)).expect("a socket");
    let sending = tokio::spawn(async move { over_unix(&socket(&directory)).await });
    let (mut stream, _) = receiver.accept().await.expect("a connection");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("lines");
    assert_eq!(text.lines().count(), 2);
    assert!(text.ends_with(&format!("{}\n", lines(2..=2)[0].text)));
    drop(stream);
    sending.await.expect("sent");
}

#[test]
fn lines_settle_in_order_when_their_connection_has_stood_long_enough() {
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let mut under_way = UnderWay::default();
    assert_eq!(under_way.settled(9, at(0)), 9, "nothing is under way");
    under_way.sent(10, 19, at(0));
    under_way.sent(20, 29, at(5));
    assert_eq!(under_way.settled(29, at(11)), 9);
    assert_eq!(under_way.settled(29, at(12)), 19);
    let mut broken = UnderWay { settled: under_way.settled, parts: under_way.parts.clone() };
    assert_eq!(broken.lost("it broke").and_then(|failure| failure.resume_after), Some(19));
    assert_eq!(broken.lost("again"), None);
    assert_eq!(under_way.settled(29, at(17)), 29);
    // However many batches there are, little is remembered.
    for batch in 0..100_000 {
        under_way.sent(30 + batch, 30 + batch, start + Duration::from_millis(20_000 + batch));
    }
    assert!(under_way.parts.len() <= 101, "{}", under_way.parts.len());
}
