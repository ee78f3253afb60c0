//! paramiko, as scripts use it.

use super::{Person, copies_a_large_file_by, lab};
use crate::support::named;

const WAYS: [&str; 2] = ["paramiko-direct", "paramiko-jump"];

fn person() -> Person {
    let person = Person::with(&[]);
    person.runs(&person.snippet("paramiko-known-hosts")).ended_with(0);
    person
}

/// A script that connects as one block of the page says and goes on as told.
fn script(person: &Person, way: &str, then: &str) -> String {
    format!("{}\n{then}", person.snippet(way))
}

#[test]
fn paramiko_runs_a_command() {
    let person = person();
    for way in WAYS {
        let command = "echo out; echo err >&2; exit 37";
        let run = person.snippet("paramiko-run").replace("uptime", command);
        let done = person.runs_python(&script(&person, way, &run)).ended_with(37);
        assert_eq!((done.out().as_str(), done.err().as_str()), ("out\n", "err\n"), "{way}");
    }
}

#[test]
fn paramiko_moves_a_large_file() {
    let person = person();
    for way in WAYS {
        person.writes("transfer.py", &script(&person, way, &person.snippet("paramiko-copy")));
        copies_a_large_file_by(&person, "python transfer.py");
    }
}

#[test]
fn paramiko_renews_keys_with_a_small_window() {
    let person = person();
    // Both limits: the server's renewals and its own, and what it lets the other side send unread.
    let copy = format!(
        "transport = client.get_transport()\n\
         transport.packetizer.REKEY_BYTES = 8 << 20\n\
         transport.default_window_size = 1 << 16\n\
         transport.default_max_packet_size = 1 << 15\n\
         before = transport.session_id\n\
         exchanges = []\n\
         agreed = transport._parse_newkeys\n\
         transport._parse_newkeys = lambda message: (exchanges.append(1), agreed(message))\n\
         transport._handler_table = {{**transport._handler_table, 21: lambda *a: transport._parse_newkeys(a[-1])}}\n\
         {}\n\
         assert len(exchanges) >= 8, f'only {{len(exchanges)}} key exchanges'\n",
        person.snippet("paramiko-copy")
    );
    for way in WAYS {
        person.writes("transfer.py", &script(&person, way, &copy));
        copies_a_large_file_by(&person, "python transfer.py");
    }
}

/// A sign of life of paramiko's, `keepalive@lag.net`, was a line of the audit trail each time.
#[test]
fn paramiko_keeps_alive_and_leaves_no_line_about_it() {
    let person = person();
    let wait = "transport = client.get_transport()\n\
                transport.global_request('keepalive@lag.net', wait=True)\n\
                transport.set_keepalive(1)\n\
                into, out, _ = client.exec_command('read line; echo $line')\n\
                transport.global_request('keepalive@lag.net', wait=True)\n\
                into.write(b'alive\\n')\n\
                sys.stdout.write(out.read().decode())\n\
                client.close()\n";
    for way in WAYS {
        let done = person.runs_python(&script(&person, way, wait)).ended_with(0);
        assert_eq!(done.out(), "alive\n", "{way}");
    }
    for refused in named(&lab().audit(), "channel-refused") {
        assert_ne!(refused["requested"], "keepalive@lag.net", "{refused}");
    }
}

#[test]
fn paramiko_opens_a_shell() {
    let person = person();
    let talk = "shell = client.invoke_shell(width=100, height=30)\n\
                shell.sendall(b'stty size; exit 4\\n')\n\
                while data := shell.recv(4096):\n    sys.stdout.write(data.decode())\n\
                code = shell.recv_exit_status()\n\
                client.close()\n\
                sys.exit(code)\n";
    for way in WAYS {
        let done = person.runs_python(&script(&person, way, talk)).ended_with(4);
        assert!(done.out().contains("30 100"), "{way}: {done:?}");
    }
}
