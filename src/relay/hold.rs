//! How much of the client's channel a program has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// How much of the client's channel is the program's.
#[derive(Debug, Clone, Copy)]
pub enum Hold<'l> {
    /// All of it: the channel was opened for the program and ends with it.
    Whole,
    /// It is lent: others used it before and will use it afterwards, so nothing that ends a channel reaches the
    /// client. A client that ends it still ends the program.
    Lent(&'l Loan),
}

impl Hold<'_> {
    /// Whether the client's channel ends with the program.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Whole)
    }

    /// Whether the client is to hear of a request by which a target speaks of the program's end.
    pub(super) fn lets_through(self, request: &str) -> bool {
        self.is_whole() || !matches!(request, "exit-status" | "exit-signal" | "eow@openssh.com")
    }

    /// What came from the client before the program was there.
    pub(super) fn typed_ahead(self) -> Bytes {
        match self {
            Self::Whole => Bytes::new(),
            Self::Lent(loan) => std::mem::take(&mut *lock(&loan.typed_ahead)),
        }
    }

    /// The client's terminal has another size: the lender will want to know.
    pub(super) fn note_window(self, payload: &Bytes) {
        if let Self::Lent(loan) = self {
            *lock(&loan.window) = Some(payload.clone());
        }
    }

    /// The client will write no more.
    pub(super) fn note_eof(self) {
        if let Self::Lent(loan) = self {
            loan.client_eof.store(true, Ordering::Relaxed);
        }
    }
}

/// A client's channel that is lent to a program: what the lender gives, and gets back.
#[derive(Debug, Default)]
pub struct Loan {
    typed_ahead: Mutex<Bytes>,
    window: Mutex<Option<Bytes>>,
    client_eof: AtomicBool,
}

impl Loan {
    /// A loan; `typed_ahead` was read from the channel already and is the program's first input.
    #[must_use]
    pub fn new(typed_ahead: Bytes) -> Self {
        Self { typed_ahead: Mutex::new(typed_ahead), ..Self::default() }
    }

    /// The latest `window-change` that went by, its fields as they came (RFC 4254 §6.7).
    #[must_use]
    pub fn window(&self) -> Option<Bytes> {
        lock(&self.window).clone()
    }

    /// Whether the client has said that it will write no more.
    #[must_use]
    pub fn client_eof(&self) -> bool {
        self.client_eof.load(Ordering::Relaxed)
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
