//! What a thread does before it goes to sleep, when it has just brought something large from a target.
//!
//! A target that sends as fast as it can wakes us with every packet, and a thread that sleeps between two packets costs a
//! wake-up on every side. A thread that first lets others run finds more to carry when its turn comes again. Where nobody
//! else wants the core, that is at once: nothing is waited for.
//!
//! Only the way from targets counts: a client sends in larger pieces by itself.

use std::cell::Cell;

/// What is worth it, in bytes: more than a terminal prints at once.
const LARGE: usize = 16 * 1024;
/// How often others are let run.
const TURNS: usize = 2;

thread_local! {
    /// What this thread has brought from targets since it last slept, in bytes.
    static BROUGHT: Cell<usize> = const { Cell::new(0) };
}

/// So many bytes came from a target.
pub(super) fn brought(count: usize) {
    BROUGHT.set(BROUGHT.get().saturating_add(count));
}

/// Lets other threads and programs run if this thread has just carried much. For a thread that carries connections, each
/// time before it sleeps.
pub fn give_way() {
    if BROUGHT.take() >= LARGE {
        for _ in 0..TURNS {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_brought_counts_once_and_on_its_own_thread() {
        brought(LARGE);
        brought(1);
        assert_eq!(std::thread::spawn(|| BROUGHT.get()).join().expect("it ends"), 0);
        assert_eq!(BROUGHT.get(), LARGE + 1);
        give_way();
        assert_eq!(BROUGHT.get(), 0);
    }
}
