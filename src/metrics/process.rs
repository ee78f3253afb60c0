//! This process as the system sees it, under the names that Prometheus' own libraries use.

use std::fmt;
use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::rooms::{Page, Value};

/// The tick in which `/proc/self/stat` counts (`USER_HZ`): a hundredth of a second on every architecture that Linux
/// is built for today, whatever the kernel's own clock does (proc(5), sysconf(3) `_SC_CLK_TCK`).
const TICK: Duration = Duration::from_millis(10);

/// Asked at each scrape. What `/proc` does not tell is absent.
#[derive(Debug)]
pub(super) struct Process {
    started: Timestamp,
}

impl Process {
    /// A process that began then.
    pub(super) fn started(at: Timestamp) -> Self {
        Self { started: at }
    }
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let start = self.started.as_duration().as_secs_f64();
        page.gauge(
            "process_start_time_seconds",
            "When drawbridge started, in Unix time.",
            Value::Seconds(start),
        )?;
        if let Some(bytes) = resident_bytes() {
            page.gauge("process_resident_memory_bytes", "Resident memory.", bytes)?;
        }
        if let Some(seconds) = cpu_seconds() {
            page.seconds_counter("process_cpu_seconds", "Processor time in user and system mode.", seconds)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // The directory itself is open while it is read.
            page.gauge("process_open_fds", "Open file descriptors.", open.count().saturating_sub(1))?;
        }
        if let Some(most) = fds_max() {
            page.gauge("process_max_fds", "The most file descriptors that may be open.", most)?;
        }
        if let Some(threads) = status("Threads:") {
            page.gauge("process_threads", "Threads.", threads)?;
        }
        Ok(())
    }
}

/// The first number behind a heading of `/proc/self/status`.
fn status(heading: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    number_behind(&text, heading)
}

fn number_behind(text: &str, heading: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(heading))?.split_whitespace().next()?.parse().ok()
}

fn resident_bytes() -> Option<u64> {
    status("VmRSS:")?.checked_mul(1024)
}

fn fds_max() -> Option<u64> {
    number_behind(&fs::read_to_string("/proc/self/limits").ok()?, "Max open files")
}

fn cpu_seconds() -> Option<f64> {
    cpu_seconds_in(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15 (`utime`, `stime`) of `stat`. The second field is the program's name in parentheses, and may
/// hold anything, so that counting starts behind the last of them.
fn cpu_seconds_in(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((TICK * user + TICK * system).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_descriptors_and_a_limit() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(fds_max().is_some_and(|most| most > 10));
        assert!(status("Threads:").is_some_and(|threads| threads >= 1));
        assert!(cpu_seconds().is_some());
    }

    #[test]
    fn a_program_of_any_name_has_its_time() {
        let stat = "1 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 1 2";
        assert_eq!(cpu_seconds_in(stat), Some(3.0));
        assert_eq!(cpu_seconds_in("nonsense"), None);
    }
}
