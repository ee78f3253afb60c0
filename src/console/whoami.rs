//! `whoami`: who you are here, and how you proved it.

use std::net::IpAddr;

use serde::Serialize;

use super::answer::Answer;
use super::args::WhoamiArgs;
use super::text::{shown, shown_json};
use crate::audit::AuthProof;
use crate::domain::{AuthMethod, CertificateFacts, Identity, UserName};

/// The answer in JSON.
#[derive(Serialize)]
struct Whoami<'a> {
    user: &'a UserName,
    groups: &'a [String],
    #[serde(flatten)]
    proof: AuthProof,
    client_addr: IpAddr,
}

pub(super) fn answer(identity: &Identity, args: &WhoamiArgs) -> Answer {
    if args.json {
        let Identity { user, groups, auth, client_addr } = identity;
        let whoami = Whoami { user, groups, proof: auth.into(), client_addr: *client_addr };
        let json = serde_json::to_string_pretty(&whoami).unwrap_or_default();
        return Answer::text(shown_json(&json) + "\n");
    }
    let groups = if identity.groups.is_empty() { "none".to_owned() } else { identity.groups.join(", ") };
    let key = |algorithm: &str, fingerprint| format!("{} {fingerprint}", shown(algorithm));
    let proof = match &identity.auth {
        AuthMethod::PublicKey { fingerprint, algorithm } => {
            format!("key          {}\n", key(algorithm, fingerprint))
        }
        AuthMethod::Certificate { fingerprint, algorithm, certificate } => {
            let CertificateFacts { key_id, serial, ca } = certificate;
            format!(
                "certificate  \"{}\", serial {serial}\nsigned by    {ca}\nkey          {}\n",
                shown(key_id),
                key(algorithm, fingerprint)
            )
        }
    };
    Answer::text(format!(
        "user         {}\ngroups       {}\n{proof}from         {}\n",
        identity.user,
        shown(&groups),
        identity.client_addr
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ask, identity};
    use super::*;
    use crate::domain::Fingerprint;

    fn with_certificate() -> Identity {
        let certificate = CertificateFacts {
            key_id: "alice\u{1b}[2J laptop".to_owned(),
            serial: u64::MAX,
            ca: Fingerprint::of_blob(b"ca"),
        };
        let auth = AuthMethod::Certificate {
            fingerprint: Fingerprint::of_blob(b"key"),
            algorithm: "ssh-ed25519-cert-v01@openssh.com".to_owned(),
            certificate,
        };
        Identity { auth, ..identity("alice", &[]) }
    }

    fn text(identity: &Identity, json: bool) -> String {
        answer(identity, &WhoamiArgs { json }).output.collect()
    }

    #[tokio::test]
    async fn a_key() {
        let (code, out, err) = ask("", Vec::new(), "whoami").await;
        insta::assert_snapshot!(format!("{code} {err}\n{out}"));
    }

    #[test]
    fn a_certificate() {
        insta::assert_snapshot!(text(&with_certificate(), false));
    }

    #[test]
    fn json_for_scripts() {
        insta::assert_snapshot!(text(&identity("alice", &["eng", "ops"]), true));
        insta::assert_snapshot!(text(&with_certificate(), true));
    }
}
