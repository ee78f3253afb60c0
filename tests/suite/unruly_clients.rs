//! Clients that are let in and then ask for what no stock client asks for.

use std::sync::Arc;
use std::time::Duration;

use russh::ChannelMsg;
use russh::client::{Handle, Handler};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};

use crate::support::{Lab, Supervisor};

struct TrustsAnyone;

impl Handler for TrustsAnyone {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

async fn log_in(lab: &Lab, target: &str) -> Handle<TrustsAnyone> {
    let config = Arc::new(russh::client::Config::default());
    let address = ("127.0.0.1", lab.port());
    let mut session = russh::client::connect(config, address, TrustsAnyone).await.expect("keys exchanged");
    let key = load_secret_key(lab.key("alice"), None).expect("the lab's own key");
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let user = format!("{}@{target}", Supervisor::get().login);
    assert!(session.authenticate_publickey(user, key).await.expect("an answer").success());
    session
}

type Channel = russh::Channel<russh::client::Msg>;

/// The next message that is not about windows.
async fn next(channel: &mut Channel) -> ChannelMsg {
    let told = async {
        loop {
            let message = channel.wait().await.expect("the channel is open");
            if !matches!(message, ChannelMsg::WindowAdjusted { .. }) {
                return message;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("in time")
}

async fn echoes(channel: &mut Channel, line: &'static [u8]) {
    channel.data_bytes(line).await.expect("sent");
    let echoed = next(channel).await;
    assert!(matches!(&echoed, ChannelMsg::Data { data } if data.as_ref() == line), "{echoed:?}");
}

#[tokio::test]
async fn a_second_program_on_one_channel_is_refused_and_the_first_goes_on() {
    let lab = Lab::with().instance("web-1").start();
    let session = log_in(&lab, "web-1").await;
    let mut channel = session.channel_open_session().await.expect("opened");
    channel.exec(true, "cat").await.expect("sent");
    let started = next(&mut channel).await;
    assert!(matches!(started, ChannelMsg::Success), "{started:?}");
    echoes(&mut channel, b"one\n").await;
    channel.request_shell(true).await.expect("sent");
    let answered = next(&mut channel).await;
    assert!(matches!(answered, ChannelMsg::Failure), "a second shell: {answered:?}");
    channel.exec(true, "echo second").await.expect("sent");
    let answered = next(&mut channel).await;
    assert!(matches!(answered, ChannelMsg::Failure), "a second command: {answered:?}");
    channel.request_subsystem(true, "sftp").await.expect("sent");
    let answered = next(&mut channel).await;
    assert!(matches!(answered, ChannelMsg::Failure), "a subsystem: {answered:?}");
    echoes(&mut channel, b"two\n").await;
    channel.eof().await.expect("sent");
    let mut status = None;
    while status.is_none() {
        if let ChannelMsg::ExitStatus { exit_status } = next(&mut channel).await {
            status = Some(exit_status);
        }
    }
    assert_eq!(status, Some(0));
    lab.audited("channel-ended", |_| true);
    let started = lab.audit().iter().filter(|event| event["event"] == "channel-started").count();
    assert_eq!(started, 1, "a second program was started: {:#?}", lab.audit());
}
