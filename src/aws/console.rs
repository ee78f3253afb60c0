//! What stands on an instance's console, by GetConsoleOutput.

use std::collections::HashMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::get_console_output::GetConsoleOutputError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use data_encoding::BASE64;

use super::access::PlaceClients;
use super::fault::{Fault, FaultKind};
use crate::domain::Target;
use crate::target::Place;
use crate::tasks::BoxFuture;
use crate::vouch::{ConsoleCopy, ConsoleFault, ConsoleReader};

const ACTION: &str = "ec2:GetConsoleOutput";
/// 64 KB in base64, and some line ends.
const ENCODED_MAX: usize = 96 * 1024;

/// The consoles of every account and region.
#[derive(Debug)]
pub struct Consoles {
    clients: HashMap<Place, Client>,
}

impl Consoles {
    /// The consoles of these places.
    #[must_use]
    pub fn new(clients: &[PlaceClients]) -> Self {
        let client = |clients: &PlaceClients| (clients.place.clone(), clients.ec2.clone());
        Self { clients: clients.iter().map(client).collect() }
    }

    async fn output(&self, target: &Target, copy: ConsoleCopy) -> Result<Option<Vec<u8>>, ConsoleFault> {
        let place = Place { account_alias: target.account_alias.clone(), region: target.region.clone() };
        let client = self
            .clients
            .get(&place)
            .ok_or_else(|| ConsoleFault::Unavailable(format!("no client for {place}")))?;
        let latest = match copy {
            ConsoleCopy::Latest => Some(true),
            ConsoleCopy::Kept => None,
        };
        let asked = client.get_console_output().instance_id(target.id.as_str()).set_latest(latest);
        match asked.send().await {
            Ok(answer) => answer.output.as_deref().map(decoded).transpose(),
            Err(error) => nothing_if_not_supported(&error, copy),
        }
    }
}

impl ConsoleReader for Consoles {
    fn read<'a>(
        &'a self,
        target: &'a Target,
        copy: ConsoleCopy,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ConsoleFault>> {
        Box::pin(self.output(target, copy))
    }
}

/// The base64 of an answer; what lies beyond the 64 KB that EC2 keeps is not looked at.
fn decoded(output: &str) -> Result<Vec<u8>, ConsoleFault> {
    let mut encoded: Vec<u8> = output.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    encoded.truncate(ENCODED_MAX);
    BASE64
        .decode(&encoded)
        .map_err(|_| ConsoleFault::Unavailable(format!("{ACTION}: the answer is not base64")))
}

/// Instances that are not on Nitro have no latest copy (EC2 API reference, GetConsoleOutput).
fn nothing_if_not_supported(
    error: &SdkError<GetConsoleOutputError, HttpResponse>,
    copy: ConsoleCopy,
) -> Result<Option<Vec<u8>>, ConsoleFault> {
    let fault = Fault::of(error);
    let unsupported = fault.code.as_deref().is_some_and(|code| code.starts_with("Unsupported"));
    if copy == ConsoleCopy::Latest && unsupported {
        return Ok(None);
    }
    let text = fault.text;
    Err(match fault.kind {
        FaultKind::NoCredentials | FaultKind::Denied => ConsoleFault::Denied { action: ACTION, text },
        FaultKind::Throttled => ConsoleFault::Throttled(format!("{ACTION}: {text}")),
        FaultKind::Timeout
        | FaultKind::Unreachable
        | FaultKind::BadAnswer
        | FaultKind::ServiceFailing
        | FaultKind::Refused => ConsoleFault::Unavailable(format!("{ACTION}: {text}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::testing::{Reply, Seen, Stub, clients};
    use crate::target::testing::target;

    fn answer(output: &str) -> Reply {
        let xml = format!(
            "<GetConsoleOutputResponse><instanceId>i-1</instanceId>\
             <timestamp>2026-11-22T10:00:00.000Z</timestamp><output>{output}</output></GetConsoleOutputResponse>"
        );
        Reply::xml(200, xml)
    }

    async fn read(
        copy: ConsoleCopy,
        answers: impl FnMut(&Seen) -> Reply + Send + 'static,
    ) -> (Result<Option<Vec<u8>>, ConsoleFault>, Vec<Seen>) {
        let stub = Stub::answering(answers).await;
        let consoles = Consoles::new(&[clients(&stub.url).await]);
        let read = consoles.read(&target("web-1", 1), copy).await;
        (read, stub.seen())
    }

    #[tokio::test]
    async fn the_latest_copy_is_asked_for_by_name_and_decoded() {
        let (latest, seen) = read(ConsoleCopy::Latest, |_| answer("aGVs\nbG8=")).await;
        assert_eq!(latest, Ok(Some(b"hello".to_vec())));
        assert!(seen[0].body.contains("Action=GetConsoleOutput"), "{}", seen[0].body);
        assert_eq!(seen[0].field("InstanceId").as_deref(), Some("i-00000000000000001"));
        assert_eq!(seen[0].field("Latest").as_deref(), Some("true"));
        let (kept, seen) = read(ConsoleCopy::Kept, |_| answer("")).await;
        assert!(kept.expect("an answer").is_none_or(|text| text.is_empty()));
        assert_eq!(seen[0].field("Latest"), None);
    }

    #[tokio::test]
    async fn machines_without_a_latest_copy_have_none_and_faults_have_their_kinds() {
        let refuse = |code: &'static str| move |_: &Seen| Reply::ec2_error(400, code);
        let (latest, _) = read(ConsoleCopy::Latest, refuse("UnsupportedOperation")).await;
        assert_eq!(latest, Ok(None));
        let (kept, _) = read(ConsoleCopy::Kept, refuse("UnsupportedOperation")).await;
        assert!(matches!(kept, Err(ConsoleFault::Unavailable(_))), "{kept:?}");
        let (denied, _) = read(ConsoleCopy::Latest, refuse("UnauthorizedOperation")).await;
        assert!(matches!(denied, Err(ConsoleFault::Denied { action: ACTION, .. })), "{denied:?}");
        let (nonsense, _) = read(ConsoleCopy::Latest, |_| answer("not base64!")).await;
        assert!(matches!(nonsense, Err(ConsoleFault::Unavailable(_))), "{nonsense:?}");
    }
}
