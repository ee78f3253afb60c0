//! Tests' own workshop: a directory in which the real `ssh-keygen` makes keys, certificates,
//! signatures and KRLs, so that what we read was written by somebody else.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A temporary directory and the tool.
#[derive(Debug)]
pub(crate) struct Workshop {
    dir: tempfile::TempDir,
}

/// A key pair's files.
#[derive(Debug, Clone)]
pub(crate) struct KeyFiles {
    /// The private key; the public one is beside it with `.pub`.
    pub(crate) path: PathBuf,
    /// The public key's line: type, base64, comment.
    pub(crate) line: String,
    /// The public key in wire form.
    pub(crate) blob: Vec<u8>,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a writable directory");
        path
    }

    /// Runs `ssh-keygen` and expects it to succeed.
    pub(crate) fn ssh_keygen(&self, arguments: &[&str]) {
        let output = Command::new("ssh-keygen")
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(std::process::Stdio::null())
            .output()
            .expect("ssh-keygen is installed (Debian package openssh-client)");
        assert!(
            output.status.success(),
            "ssh-keygen {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Makes a key pair: `kind` and `bits` as `ssh-keygen -t -b` take them.
    pub(crate) fn key(&self, name: &str, kind: &str, bits: &str) -> KeyFiles {
        self.ssh_keygen(&["-q", "-t", kind, "-b", bits, "-N", "", "-C", name, "-f", name]);
        self.key_files(name)
    }

    /// Makes an Ed25519 pair, the quickest kind.
    pub(crate) fn ed25519(&self, name: &str) -> KeyFiles {
        self.key(name, "ed25519", "256")
    }

    fn key_files(&self, name: &str) -> KeyFiles {
        let line = read_line(&self.path(&format!("{name}.pub")));
        KeyFiles { path: self.path(name), blob: blob_of(&line), line }
    }

    /// Signs `key` with `ca`; `options` go before the file name. Gives the certificate's blob.
    pub(crate) fn certify(&self, ca: &KeyFiles, key: &KeyFiles, options: &[&str]) -> Vec<u8> {
        let ca_path = ca.path.to_str().expect("a plain path");
        let public = format!("{}.pub", key.path.to_str().expect("a plain path"));
        let mut arguments = vec!["-q", "-s", ca_path];
        arguments.extend_from_slice(options);
        arguments.push(&public);
        self.ssh_keygen(&arguments);
        let certificate = format!("{}-cert.pub", key.path.to_str().expect("a plain path"));
        blob_of(&read_line(Path::new(&certificate)))
    }

    /// Signs a message as `ssh-keygen -Y sign` does (PROTOCOL.sshsig). Gives the bytes that were
    /// really signed and the SSH signature blob.
    pub(crate) fn sign(&self, key: &KeyFiles, message: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let file = self.write("message", message);
        let signature = self.path("message.sig");
        if signature.exists() {
            std::fs::remove_file(&signature).expect("our own file");
        }
        let key_path = key.path.to_str().expect("a plain path");
        let file = file.to_str().expect("a plain path").to_owned();
        self.ssh_keygen(&["-q", "-Y", "sign", "-f", key_path, "-n", "test", "-O", "hashalg=sha512", &file]);
        let armored = std::fs::read_to_string(signature).expect("the signature");
        let base64: String = armored.lines().filter(|line| !line.starts_with("-----")).collect();
        let sshsig = data_encoding::BASE64.decode(base64.as_bytes()).expect("base64");
        let mut reader = super::wire::Reader::new(&sshsig[6 + 4..]);
        for _ in ["public key", "namespace", "reserved", "hash"] {
            reader.string().expect("a field");
        }
        let blob = reader.string().expect("the signature").to_vec();
        let mut signed = b"SSHSIG".to_vec();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, message);
        for field in [&b"test"[..], b"", b"sha512", digest.as_ref()] {
            super::public_key::put_string(&mut signed, field);
        }
        (signed, blob)
    }
}

fn read_line(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the public key's file").trim().to_owned()
}

/// The blob in a public key line without options.
pub(crate) fn blob_of(line: &str) -> Vec<u8> {
    let base64 = line.split_whitespace().nth(1).expect("a key line");
    data_encoding::BASE64.decode(base64.as_bytes()).expect("base64")
}

/// A FIDO key in software: makes `sk-ssh-ed25519@openssh.com` keys and signatures with any flags.
#[derive(Debug)]
pub(crate) struct SoftToken {
    pair: aws_lc_rs::signature::Ed25519KeyPair,
    application: &'static [u8],
}

impl SoftToken {
    pub(crate) fn new() -> Self {
        let pair = aws_lc_rs::signature::Ed25519KeyPair::generate().expect("a key pair");
        Self { pair, application: b"ssh:" }
    }

    pub(crate) fn blob(&self) -> Vec<u8> {
        use aws_lc_rs::signature::KeyPair as _;
        let mut blob = Vec::new();
        for field in [&b"sk-ssh-ed25519@openssh.com"[..], self.pair.public_key().as_ref(), self.application] {
            super::public_key::put_string(&mut blob, field);
        }
        blob
    }

    pub(crate) fn line(&self) -> String {
        format!("sk-ssh-ed25519@openssh.com {} token", data_encoding::BASE64.encode(&self.blob()))
    }

    pub(crate) fn sign(&self, message: &[u8], flags: u8, counter: u32) -> Vec<u8> {
        let signed = super::token_message(self.application, flags, counter, message);
        let mut blob = Vec::new();
        super::public_key::put_string(&mut blob, b"sk-ssh-ed25519@openssh.com");
        super::public_key::put_string(&mut blob, self.pair.sign(&signed).as_ref());
        blob.push(flags);
        blob.extend_from_slice(&counter.to_be_bytes());
        blob
    }
}
